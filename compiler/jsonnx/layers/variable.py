"""A layer whose result is a trainable tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.components import attr
from ..core.types import TensorType
from ..training.weights.constraints import Constraint
from ..training.weights.initializers import Initializer
from ..training.weights.regularizers import Regularizer
from .base import Layer, layer

if TYPE_CHECKING:
    from ..ir import Builder, Value


@layer
class Variable(Layer):
    """A trainable tensor, such as a bias, learned queries or a temperature.

    Without `from`, the layer takes no input, and its result has no batch axis: functions such as ops.add broadcast it.
    With `from`, the tensor is repeated for each sample of that input, whose values are not read.
    """

    formula = "y = broadcast_to(value, (len(x), *shape)) if xs else value"
    keras_name = ""
    arity = (0, 1)
    reads_only_shapes = True
    is_unbounded = True
    shape: tuple[int, ...] = attr(doc="Sizes of the axes, without the batch; [] for one number.", minimum=1)
    initializer: Initializer = attr("glorot_uniform", doc="Initial values.")
    regularizer: Regularizer | None = attr(None, doc="Penalty on the tensor, added to the loss.")
    constraint: Constraint | None = attr(None, doc="Constraint on the tensor, applied after each update.")
    activity_regularizer: Regularizer | None = attr(
        None, doc="Penalty on the layer's output.", unsupported="Use `regularizer` for a penalty."
    )

    def infer(self, *inputs: TensorType) -> TensorType:
        batch = inputs[0].shape[:1] if inputs else ()
        return TensorType("float32", (*batch, *self.shape))

    def lower(self, g: Builder, *inputs: Value) -> Any:
        tensor = g.param("value", self.shape, self.initializer, self.regularizer, self.constraint)
        if not inputs:
            return tensor
        shape = (inputs[0].shape[0], *self.shape)
        return g.refine(g.Expand(tensor, g.sizes(shape, inputs[0])), shape)
