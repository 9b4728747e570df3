"""EinsumDense, and the weights of every layer that multiplies by a kernel of several axes."""

from __future__ import annotations

import re
from math import prod
from string import ascii_letters
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from ..core.components import ArrayCodec, IntegerCodec, NullableCodec, UnionCodec, attr
from ..core.types import Dim, TensorType, require
from ..training.constraints import Constraint
from ..training.initializers import FanScaledInitializer, Initializer
from ..training.regularizers import Regularizer
from .activations import ActivationFunction, activate, activated_type
from .base import Layer, layer
from .core import LORA, QUANTIZATION

if TYPE_CHECKING:
    from ..ir import Builder, Value

EQUATION_FORMS = "write it as 'ab,bc->ac', '...ab,bc->...ac' or 'ab...,bc->ac...'"

PartialShape = Annotated[
    int | tuple[int | None, ...],
    UnionCodec(
        (lambda value: isinstance(value, (int, float)), IntegerCodec()),
        (lambda value: True, ArrayCodec(NullableCodec(IntegerCodec()))),
    ),
]
"""One size, or a list of sizes in which null is what follows from the input."""


def with_fans(initializer: Initializer, inputs: list[int], outputs: list[int]) -> Initializer:
    """The initializer, with these axes of the kernel as its inputs and outputs, unless it says itself which."""
    given: Any = initializer
    if isinstance(initializer, FanScaledInitializer) and (given.input_axes is None or given.output_axes is None):
        return initializer.replace(input_axes=tuple(inputs), output_axes=tuple(outputs))
    return initializer


def contract_last_axes(g: Builder, x: Value, kernel: Value, contracted_rank: int) -> Value:
    """The sums over the last `contracted_rank` axes of x and the first of the kernel, whose other axes come out as one."""
    rows = prod(kernel.shape[:contracted_rank])
    matrix = g.reshape(kernel, (rows, prod(kernel.shape[contracted_rank:])))
    if contracted_rank > 1:
        shape = (*x.shape[: x.rank - contracted_rank], rows)
        x = g.refine(g.Reshape(x, g.sizes(shape, x)), shape)
    return g.MatMul(x, matrix)


def split_last_axis(g: Builder, x: Value, sizes: tuple[Dim, ...]) -> Value:
    """The last axis as several."""
    return reshape_symbolic(g, x, (*x.shape[:-1], *sizes), x)


def reshape_symbolic(g: Builder, x: Value, shape: tuple[Dim, ...], *sources: Value) -> Value:
    """x in a shape whose symbolic sizes are read from these values."""
    return x if x.shape == shape else g.refine(g.Reshape(x, g.sizes(shape, *sources)), shape)


class Equation(NamedTuple):
    """The subscripts of an einsum of an input and a kernel, letters in place of the ellipsis.

    `ellipsis_letters` are the letters that stand for the ellipsis.
    """

    x: str
    kernel: str
    y: str
    ellipsis_letters: str

    def __str__(self) -> str:
        return f"{self.x},{self.kernel}->{self.y}"

    def is_matmul(self) -> bool:
        """Whether it sums over the last axes of x and the first of the kernel, and keeps all others in their order."""
        bound = [letter for letter in self.kernel if letter not in self.y]
        kept, new = self.x[: len(self.x) - len(bound)], self.kernel[len(bound) :]
        distinct = all(len(set(term)) == len(term) for term in (self.x, self.kernel))
        return (
            distinct
            and bool(new)
            and self.x == kept + "".join(bound)
            and self.y == kept + new
            and not set(kept) & set(new)
        )


@layer
class EinsumDense(Layer):
    """An einsum of the input and a learned kernel: `activation(einsum(equation, x, kernel) + bias)`.

    The equation names the axes, the batch included; `...` stands for any number of axes, first or last.
    """

    equation: str = attr(doc="Subscripts of the input, the kernel and the output, as in 'abc,cd->abd'.")
    output_shape: PartialShape = attr(
        doc="Sizes of the output without the batch and the axes of the ellipsis; null where the input has the size.",
        minimum=1,
    )
    activation: ActivationFunction | None = attr(None, doc="Function applied to the result.")
    bias_axes: str | None = attr(None, doc="Axes of the output along which a learned bias is added; null for none.")
    kernel_initializer: Initializer = attr("glorot_uniform", doc="Initial value of the kernel.")
    bias_initializer: Initializer = attr("zeros", doc="Initial value of the bias.")
    kernel_regularizer: Regularizer | None = attr(None, doc="Penalty on the kernel.")
    bias_regularizer: Regularizer | None = attr(None, doc="Penalty on the bias.")
    kernel_constraint: Constraint | None = attr(None, doc="Projection of the kernel after every update.")
    bias_constraint: Constraint | None = attr(None, doc="Projection of the bias after every update.")
    lora_rank: int | None = attr(None, doc="Rank of a low-rank adaptation.", unsupported=LORA)
    lora_alpha: float | None = attr(None, doc="Scale of a low-rank adaptation.", unsupported=LORA)
    gptq_unpacked_column_size: int | None = attr(None, doc="Columns of a packed kernel.", unsupported=QUANTIZATION)
    quantization_config: str | None = attr(None, doc="Quantization of the kernel.", unsupported=QUANTIZATION)

    def infer(self, x: TensorType) -> TensorType:
        require(x.dtype.startswith("float"), f"multiplies real numbers, got {x}")
        equation = self.parse_equation(x)
        sizes = self.axis_sizes(x, equation)
        for letter in self.bias_axes or ():
            known = letter in equation.y and letter not in equation.ellipsis_letters
            require(known, f"has bias_axes {self.bias_axes!r}, but no {letter!r} in the output of {self.equation!r}")
        require(self.bias_axes != "", "has no axis in bias_axes", "leave it out for no bias", "invalid-value")
        for letter in equation.kernel + (self.bias_axes or ""):
            require(
                isinstance(sizes[letter], int), f"needs a fixed size on axis {letter!r} of {self.equation!r}, got {x}"
            )
        return activated_type(x.with_shape(sizes[letter] for letter in equation.y), self.activation)

    def parse_equation(self, x: TensorType) -> Equation:
        """The equation for this input; ShapeError where it is none, or does not fit."""
        found = re.fullmatch(r"(\.\.\.)?([A-Za-z]+)(\.\.\.)?,([A-Za-z]+)->(\.\.\.)?([A-Za-z]+)(\.\.\.)?", self.equation)
        parts = found.groups() if found else ()
        sound = found and (parts[0], parts[2]) == (parts[4], parts[6]) and not (parts[0] and parts[2])
        require(bool(sound), f"cannot read the equation {self.equation!r}", EQUATION_FORMS, "invalid-value")
        left, inputs, right, kernel, _, outputs, _ = parts
        count = x.rank - len(inputs)
        fits = count >= 0 if left or right else count == 0
        require(
            fits, f"has {len(inputs)} axes for the input in {self.equation!r}, got {x}", "count the batch as an axis"
        )
        require(len(set(outputs)) == len(outputs), f"names an axis of the output twice in {self.equation!r}")
        hidden = "".join(one for one in ascii_letters if one not in self.equation)[:count]
        before, after = (hidden, "") if left else ("", hidden)
        return Equation(before + inputs + after, kernel, before + outputs + after, hidden)

    def axis_sizes(self, x: TensorType, equation: Equation) -> dict[str, Dim]:
        """The size of every letter; ShapeError where two do not agree or one is nowhere said."""
        sizes: dict[str, Dim] = {}
        for axis, letter in enumerate(equation.x):
            size = sizes.setdefault(letter, x.shape[axis])
            require(
                size == x.shape[axis], f"has {size} and {x.shape[axis]} for {letter!r} of {self.equation!r}, got {x}"
            )
        named = [letter for letter in equation.y[1:] if letter not in equation.ellipsis_letters]
        if equation.ellipsis_letters and equation.y[0] == equation.ellipsis_letters[0]:
            named = [letter for letter in equation.y if letter not in equation.ellipsis_letters]
        given = self.output_shape if isinstance(self.output_shape, tuple) else (self.output_shape,)
        count = (
            f"needs {len(named)} sizes in output_shape, for {', '.join(named)} of {self.equation!r}, got {len(given)}"
        )
        require(len(named) == len(given), count)
        for letter, wanted in zip(named, given, strict=True):
            if wanted is None:
                continue
            size = sizes.setdefault(letter, wanted)
            require(
                size == wanted, f"has output_shape {wanted} for {letter!r} of {self.equation!r}, which is {size} in {x}"
            )
        for letter in equation.kernel + equation.y:
            help = "give its size in output_shape, or name it in the input"
            require(letter in sizes, f"cannot tell the size of {letter!r} of {self.equation!r} from {x}", help)
        for letter in equation.kernel + equation.y:
            known = letter in equation.x + equation.kernel
            require(known, f"has {letter!r} in the output of {self.equation!r}, but not in the input or the kernel")
        return sizes

    def lower(self, g: Builder, x: Value) -> Any:
        equation = self.parse_equation(x.type)
        sizes = self.axis_sizes(x.type, equation)
        inputs = [axis for axis, letter in enumerate(equation.kernel) if letter not in equation.y]
        outputs = [axis for axis, letter in enumerate(equation.kernel) if letter in equation.y]
        start = with_fans(self.kernel_initializer, inputs, outputs)
        shape: Any = [sizes[letter] for letter in equation.kernel]
        kernel = g.param("kernel", shape, start, self.kernel_regularizer, self.kernel_constraint)
        if equation.is_matmul():
            y = split_last_axis(g, contract_last_axes(g, x, kernel, len(inputs)), tuple(shape[len(inputs) :]))
        else:
            y = g.Einsum(x, kernel, equation=str(equation))
            y = g.refine(y, [sizes[letter] for letter in equation.y])
        if self.bias_axes is not None:
            y = g.Add(y, self.bias(g, equation, sizes))
        return activate(g, y, self.activation)

    def bias(self, g: Builder, equation: Equation, sizes: dict[str, Dim]) -> Value:
        """The bias: from its first axis on all axes of the output, of size 1 where it is not wanted."""
        axes = self.bias_axes or ""
        first = min(equation.y.find(letter) for letter in axes)
        shape: Any = [sizes[letter] if letter in axes else 1 for letter in equation.y[first:]]
        return g.param("bias", shape, self.bias_initializer, self.bias_regularizer, self.bias_constraint)
