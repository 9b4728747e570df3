"""The layer brick: attributes, a shape rule and a lowering."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from ..core.components import Component, Registry, attr
from ..core.types import TensorType, require
from ..training.regularizers import Regularizer

if TYPE_CHECKING:
    from ..ir import Builder, Value

LAYERS = Registry("layer", "A layer of the network.", snake_case_names=False, allow_bare_names=False)
layer = LAYERS.register()

OutputTypes = TensorType | tuple[TensorType, ...]


class Layer(Component):
    """A function of one or more tensors, with weights of its own.

    `infer` gets the type of every input, the batch axis included, and answers the type of the output, or of every
    output; it raises ShapeError where the inputs do not fit. `lower` gets the inputs as values and emits operators
    through `g`. Both see only this layer.
    """

    registry = LAYERS
    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    """The least and the greatest number of inputs; None is no bound."""

    stem: ClassVar[str] = ""
    """What default names are made of, where that is not the type."""

    penalizes_itself: ClassVar[bool] = False
    """Whether `lower` applies the activity regularizer, to something else than the outputs."""

    mixes_samples: ClassVar[bool] = False
    """Whether in training a sample's result depends on the rest of its batch, or the layer counts its calls."""

    supports_masking: ClassVar[bool] = False
    """Whether a mask beside the first input goes on beside the first output, as Keras' `supports_masking`."""

    reads_masks: ClassVar[bool] = False
    """Whether `lower` takes a keyword `masks`: for every input its mask, or None."""

    mask_argument: ClassVar[bool] = False
    """Whether Keras calls the layer with the mask of its one input, as an argument `mask`."""

    trainable: bool = attr(True, doc="Whether training changes the layer's weights.")
    activity_regularizer: Regularizer | None = attr(
        None, doc="Penalty on the layer's output, divided by the batch size."
    )
    dtype: str | None = attr(
        None, doc="Element type the layer computes in.", unsupported="Only the default, float32, is supported."
    )

    def input_count_range(self) -> tuple[int, int | None]:
        """The least and the greatest number of inputs that the layer takes with its arguments."""
        return self.arity

    @property
    def always_mixes_samples(self) -> bool:
        """Whether a sample's result depends on the rest of its batch in inference too."""
        return False

    if TYPE_CHECKING:  # each layer has parameters of its own, one an input
        infer: ClassVar[Callable[..., OutputTypes]]
        lower: ClassVar[Callable[..., Any]]

    def output_names(self) -> tuple[str, ...]:
        """The names of the outputs after the first, as in `from: encoder.state_h`. Raises ShapeError."""
        return ()

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        """The type of the mask beside the first output (and those of `masked_output_count`), None where there is none.

        A mask is bool, false where later layers are to leave a place out; its axes are the first ones of the value
        that it goes with. Raises ShapeError where the layer cannot take the masks beside its inputs.
        """
        return masks[0] if self.supports_masking else None

    def lower_mask(self, g: Builder, inputs: Sequence[Value], masks: Sequence[Value | None]) -> Value | None:
        """The mask that `infer_mask` promises."""
        return masks[0]

    def cleared_mask_inputs(self) -> tuple[int, ...]:
        """The inputs that lose their masks here: what runs later sees none beside them."""
        return ()

    def is_passthrough(self, training: bool) -> bool:
        """Whether the output is the input itself, and a mask taken off the one is off the other."""
        return False

    def masked_output_count(self) -> int:
        """How many of the outputs, from the first, the mask goes with."""
        return 1


def require_real(*inputs: TensorType) -> None:
    """ShapeError where an input is not of real numbers."""
    for x in inputs:
        help = "Rescaling makes real numbers of integers, Embedding vectors"
        require(x.dtype.startswith("float"), f"needs real numbers, got {x}", help)


def penalize(g: Builder, regularizer: Regularizer | None, y: Value) -> None:
    """Add an activity regularizer's penalty on a value to the loss, divided by the batch size."""
    if regularizer is not None:
        batch = g.Squeeze(g.Shape(y, start=0, end=1), [0])
        g.add_loss(g.Div(regularizer.penalty(g, y), g.cast(batch, y.dtype)))


@contextmanager
def inner_layer_scope(g: Builder, name: str, inner: Layer) -> Iterator[None]:
    """What is emitted inside belongs to a layer inside the layer at hand: its weights bear both names."""
    outside, g.trainable = g.trainable, g.trainable and inner.trainable
    try:
        with g.scope(name):
            yield
    finally:
        g.trainable = outside


def output_types(types: OutputTypes) -> tuple[TensorType, ...]:
    """The types of a layer's outputs, of which there may be one."""
    return types if isinstance(types, tuple) else (types,)
