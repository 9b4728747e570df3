"""The base class of layers: attributes, a shape rule, a mask rule and a lowering."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import inf, prod
from typing import TYPE_CHECKING, Any, ClassVar

from ..core.components import Component, Registry, attr, snake_case
from ..core.limits import MAX_ELEMENTS_PER_SAMPLE
from ..core.types import PaddingMask, ShapeError, TensorType, require
from ..training.weights.initializers import Initializer
from ..training.weights.regularizers import Regularizer
from .layer_modules import MODULE_BY_TYPE, TYPE_BY_ALIAS

if TYPE_CHECKING:
    from ..ir import Builder, Value

LAYERS = Registry(
    "layer",
    "A layer of the network.",
    snake_case_names=False,
    allow_bare_names=False,
    keras_format="keras.layers.{class_name}",
    module_by_name={name: f"{__package__}.{module}" for name, module in MODULE_BY_TYPE.items()},
    name_by_alias=TYPE_BY_ALIAS,
)
layer = LAYERS.register()

OutputTypes = TensorType | tuple[TensorType, ...]


MAX_OPERATORS_PER_LAYER = 40
"""Operators that layers do not exceed unless they override `max_operators`."""


class Layer(Component):
    """A function of one or more tensors, with its own weights.

    `infer` takes the type of every input, batch axis included, and returns the output type or a tuple of them; it
    raises ShapeError if the inputs do not fit. `lower` takes the inputs as values and emits the operators through `g`.
    """

    registry = LAYERS
    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    """The minimum and maximum number of inputs; None means unbounded."""

    keeps_single_input: ClassVar[bool] = False
    """Whether the result of one input, which copies or a pattern may come to, would be that input."""

    accepts_scalars: ClassVar[bool] = False
    """Whether inputs may have no axes. If not, axis 0 of every input is the batch."""

    stem: ClassVar[str] = ""
    """The stem of default layer names, if it is not the type name."""

    family: ClassVar[str] = ""
    """The name of similar layers, to which a rule of `jsonnx lint` applies as a whole, such as `pooling`."""

    penalizes_itself: ClassVar[bool] = False
    """Whether `lower` itself applies the activity regularizer, to a tensor other than the outputs."""

    adds_loss: ClassVar[bool] = False
    """Whether the layer adds a reported loss, so that nothing need use its result, and training needs no other loss."""

    adds_input: ClassVar[bool] = False
    """Whether the result is an input of compiled models, named after the call, that holds random numbers."""

    mixes_samples: ClassVar[bool] = False
    """Whether, in training, an output sample depends on other samples of the batch or on the number of calls so far."""

    supports_masking: ClassVar[bool] = False
    """Whether the first input's mask is passed on to the first output, as in Keras' `supports_masking`."""

    reads_masks: ClassVar[bool] = False
    """Whether `lower` takes the keyword `masks`: a sequence with each input's mask, or None."""

    keeps_padding: ClassVar[bool] = False
    """Whether each step of the output depends on the same step of the input only, so that a padding mask is passed on,
    though Keras passes no mask on."""

    merges_padding: ClassVar[bool] = False
    """Whether the output has the padding masks of all inputs: an input without one is the same for all sequences."""

    needs_all_masks: ClassVar[bool] = False
    """Whether the output has a mask only if all inputs have one."""

    mixes_steps: ClassVar[bool] = False
    """Whether a step of the output depends on several steps of the input, whose padding has to be 0."""

    mask_argument: ClassVar[bool] = False
    """Whether Keras passes the mask of the single input as the call argument `mask`."""

    blocks_gradient: ClassVar[bool] = False
    """Whether no gradient passes through the layer although its result contains real numbers."""

    reads_only_shapes: ClassVar[bool] = False
    """Whether the result depends on the shape of the first input, not on its values: it has neither their gradient nor
    their mask."""

    freezes_single_states: ClassVar[bool] = False
    """Whether patterns of `freeze` for single weights also freeze moving averages of the layer."""

    attributes_of_file: ClassVar[tuple[str, ...]] = ()
    """Attributes that jsonnx records from a file, whose digest is another attribute: differences do not show them."""

    has_modules: ClassVar[bool] = False
    """Whether the scopes of its operators, and the names of its weights, are those of modules of another program."""

    is_unbounded: ClassVar[bool] = False
    """Whether the result has numbers of both signs without bounds: weights, or products with weights, which have no
    constraint."""

    keeps_unbounded: ClassVar[bool] = False
    """Whether the result has numbers of both signs without bounds if one of the inputs has."""

    trainable: bool = attr(True, doc="Whether training changes the layer's weights.")
    activity_regularizer: Regularizer | None = attr(
        None, doc="Penalty on the layer's output, divided by the batch size."
    )
    dtype: str | None = attr(
        None, doc="Element type the layer computes in.", unsupported="Only the default, float32, is supported."
    )

    def input_count_range(self) -> tuple[int, int | None]:
        """The minimum and maximum number of inputs, given the layer's arguments."""
        return self.arity

    @property
    def always_mixes_samples(self) -> bool:
        """Whether an output sample depends on other samples of the batch in inference, too."""
        return False

    @property
    def has_trainable_weights(self) -> bool:
        """Whether training may change a weight of the layer: one that it has, or one of a layer inside it."""
        return self.trainable and (self.has_weights or any(map(_has_trainable_weights, vars(self).values())))

    @property
    def has_weights(self) -> bool:
        """Whether the layer itself has weights that are not frozen: by default, if it has an initializer."""
        return any(isinstance(value, Initializer) for value in vars(self).values())

    def max_operators(self) -> int:
        """Upper bound of the operators of a call in inference, without the operators of layers and activations inside
        it.

        Further inputs and outputs, and the steps of a loop, are counted by `lowering/size_limit.py`.
        """
        return MAX_OPERATORS_PER_LAYER

    if TYPE_CHECKING:  # the parameters differ from layer to layer: one per input
        infer: ClassVar[Callable[..., OutputTypes]]
        lower: ClassVar[Callable[..., Any]]

    def output_names(self) -> tuple[str, ...]:
        """The names of the outputs after the first, as in `from: encoder.state_h`. May raise ShapeError."""
        return ()

    def inputs_of_results(self, indices: Sequence[int]) -> Sequence[int] | None:
        """The indices of the inputs that results of these indices depend on; None for all. May raise ShapeError."""
        return None

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        """The type of the mask of the first `masked_output_count` outputs, or None if they have no mask.

        A mask is boolean, false at the positions that later layers skip; its axes are the leading axes of the value it
        belongs to. Raises ShapeError if the layer cannot handle the masks of its inputs.
        """
        if self.reads_only_shapes:
            return None
        if self.supports_masking:
            return masks[0]
        return padding_mask(masks[0]) if self.keeps_padding else None

    def takes_first_step(self, x: TensorType, mask: TensorType) -> bool:
        """Whether the result is computed from the first step of the masked input alone, which is no padding."""
        return False

    def lower_mask(self, g: Builder, inputs: Sequence[Value], masks: Sequence[Value | None]) -> Value | None:
        """Emits the mask whose type `infer_mask` returned."""
        return masks[0]

    def cleared_mask_inputs(self) -> tuple[int, ...]:
        """Indices of the inputs whose masks are removed: layers that run later see these inputs unmasked."""
        return ()

    def is_passthrough(self, training: bool) -> bool:
        """Whether the output is the input value itself, so that removing the mask of one removes the other's."""
        return False

    def masked_output_count(self) -> int:
        """The number of outputs, counted from the first, that the mask applies to."""
        return 1


def padding_mask(mask: TensorType | None) -> PaddingMask | None:
    """A mask that is a padding mask, else None."""
    return mask if isinstance(mask, PaddingMask) else None


def infer_types(layer: Layer, *inputs: TensorType) -> tuple[TensorType, ...]:
    """The types of a layer's outputs.

    Raises ShapeError if the layer does not accept the inputs, if an output has no elements or too many, or if its
    activity regularizer does not accept an output.
    """
    for x in inputs:
        help = "keep the batch axis in the layers before it"
        require(layer.accepts_scalars or x.rank > 0, f"needs an input with a batch axis, got {x}", help)
    layer.output_names()  # raises ShapeError if there are too many
    results = output_types(layer.infer(*inputs))
    for type in results:
        check_size(type, "makes")
        if layer.activity_regularizer is not None:
            message = f"has an activity_regularizer, and makes {type}, no real numbers"
            require(type.dtype.startswith("float"), message)
            require(type.rank > 0, f"has an activity_regularizer, and makes {type}, without a batch axis")
            layer.activity_regularizer.check(type.shape)
    return results


def check_size(type: TensorType, verb: str) -> None:
    """Raises ShapeError, with a message that begins with the verb, unless a value of this type has elements, and not
    too many of them."""
    known = [size for size in type.shape if isinstance(size, int)]
    if min(known, default=1) <= 0:
        raise ShapeError(f"{verb} {type}, which has no elements")
    if prod(known) > MAX_ELEMENTS_PER_SAMPLE:
        message = f"{verb} {type}, more than {MAX_ELEMENTS_PER_SAMPLE:,} elements a sample"
        raise ShapeError(message, code="out-of-range")


def require_real(*inputs: TensorType) -> None:
    """Raises ShapeError unless every input has a floating-point dtype."""
    for x in inputs:
        help = "use Rescaling to convert integers to real numbers, or Embedding to map them to vectors"
        require(x.dtype.startswith("float"), f"needs real numbers, got {x}", help)


def require_no_added_input(part: Any) -> None:
    """Raises ShapeError for a layer inside another one whose result would be an input of the model."""
    if isinstance(part, Layer) and part.adds_input:
        raise ShapeError(f"has {part.type_name}, an input of the model", "write it as a layer of its own")


INTEGER_RANGES = {"uint8": (0, 255), "int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
"""The smallest and the largest number of integer types."""


def are_within(numbers: Sequence[Any], dtype: str) -> bool:
    """Whether numbers are in the range of an integer type; true for other types."""
    least, most = INTEGER_RANGES.get(dtype, (-inf, inf))
    return all(least <= number <= most for number in numbers)


def require_in_range(number: float, dtype: str, name: str) -> None:
    """Raises ShapeError if an element type cannot hold the value of the argument `name`."""
    message = f"has the {name} {number:g}, which {dtype} cannot hold"
    require(are_within([number], dtype), message, code="out-of-range")


def penalize(g: Builder, regularizer: Regularizer | None, y: Value) -> None:
    """Adds an activity regularizer's penalty on y, divided by the batch size, to the loss."""
    if regularizer is not None:
        batch_size = g.Squeeze(g.Shape(y, start=0, end=1), [0])
        g.add_loss(g.Div(regularizer.penalty(g, y), g.cast(batch_size, y.dtype)))


def _has_trainable_weights(value: object) -> bool:
    """Whether an attribute is a layer with weights that training changes, or contains such a layer."""
    if isinstance(value, tuple):
        return any(map(_has_trainable_weights, value))
    return isinstance(value, Layer) and value.has_trainable_weights


@contextmanager
def inner_layer_scope(g: Builder, name: str, inner: Layer) -> Iterator[None]:
    """Scopes emission to an inner layer of the current one: weight names get the prefix, `trainable` is combined."""
    outer_trainable, g.trainable = g.trainable, g.trainable and inner.trainable
    try:
        with g.scope(name):
            yield
    finally:
        g.trainable = outer_trainable


def nested_shape(numbers: Any, message: str, code: str = "shape-mismatch") -> tuple[int, ...]:
    """The shape of nested tuples of numbers. Raises ShapeError with the message if they are ragged or empty."""
    if not isinstance(numbers, tuple):
        return ()
    shapes = {nested_shape(item, message, code) for item in numbers}
    require(len(shapes) == 1, message, code=code)
    return (len(numbers), *shapes.pop())


def numbered_names(layers: Iterable[Layer]) -> list[str]:
    """A unique name per layer: its type in snake case, with `_1`, `_2` and so on if the type is repeated."""
    counts: dict[str, int] = {}
    names = []
    for inner in layers:
        stem = snake_case(inner.type_name)
        number = counts[stem] = counts.get(stem, -1) + 1
        names.append(f"{stem}_{number}" if number else stem)
    return names


def output_types(types: OutputTypes) -> tuple[TensorType, ...]:
    """A layer's output types as a tuple, also for a single output."""
    return types if isinstance(types, tuple) else (types,)
