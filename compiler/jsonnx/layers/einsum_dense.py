"""EinsumDense, and helpers for layers that multiply by a kernel with several axes."""

from __future__ import annotations

import re
from math import prod
from string import ascii_letters
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from ..core.components import ArrayCodec, IntegerCodec, NullableCodec, UnionCodec, attr
from ..core.types import Dim, TensorType, require
from ..training.weights.constraints import Constraint
from ..training.weights.initializers import FanScaledInitializer, Initializer
from ..training.weights.lora import LORA_ALPHA, LORA_RANK, MAX_LORA_RANK, layer_adapter
from ..training.weights.regularizers import Regularizer
from .activations import ActivationFunction, activate, activated_type
from .base import Layer, layer, require_real
from .core import QUANTIZATION

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
"""One size, or a list of sizes; null is inferred from the input."""


def with_fans(initializer: Initializer, inputs: list[int], outputs: list[int]) -> Initializer:
    """Sets the kernel axes that count as inputs and outputs, unless the initializer already specifies them."""
    configured: Any = initializer
    if isinstance(initializer, FanScaledInitializer) and (
        configured.input_axes is None or configured.output_axes is None
    ):
        return initializer.replace(input_axes=tuple(inputs), output_axes=tuple(outputs))
    return initializer


def contract_last_axes(g: Builder, x: Value, kernel: Value, contracted_rank: int) -> Value:
    """Contracts the last `contracted_rank` axes of x with the first of the kernel, merging the kernel's other axes."""
    rows = prod(kernel.shape[:contracted_rank])
    matrix = g.reshape(kernel, (rows, prod(kernel.shape[contracted_rank:])))
    if contracted_rank > 1:
        shape = (*x.shape[: x.rank - contracted_rank], rows)
        x = g.refine(g.Reshape(x, g.sizes(shape, x)), shape)
    return g.MatMul(x, matrix)


def split_last_axis(g: Builder, x: Value, sizes: tuple[Dim, ...]) -> Value:
    """Splits the last axis into axes of these sizes."""
    return reshape_symbolic(g, x, (*x.shape[:-1], *sizes), x)


def reshape_symbolic(g: Builder, x: Value, shape: tuple[Dim, ...], *sources: Value) -> Value:
    """Reshapes x; symbolic sizes are read at run time from the `sources`."""
    return x if x.shape == shape else g.refine(g.Reshape(x, g.sizes(shape, *sources)), shape)


class Equation(NamedTuple):
    """The subscripts of an einsum of an input and a kernel, with letters in place of the ellipsis.

    `ellipsis_letters` are the letters that replace the ellipsis.
    """

    x: str
    kernel: str
    y: str
    ellipsis_letters: str

    def __str__(self) -> str:
        return f"{self.x},{self.kernel}->{self.y}"

    def is_matmul(self) -> bool:
        """Whether it contracts the last axes of x with the first of the kernel and keeps the order of all others."""
        bound = [letter for letter in self.kernel if letter not in self.y]
        batch_axes, new_axes = self.x[: len(self.x) - len(bound)], self.kernel[len(bound) :]
        distinct = all(len(set(term)) == len(term) for term in (self.x, self.kernel))
        return (
            distinct
            and bool(new_axes)
            and self.x == batch_axes + "".join(bound)
            and self.y == batch_axes + new_axes
            and not set(batch_axes) & set(new_axes)
        )


@layer
class EinsumDense(Layer):
    """Einsum of the input and a trainable kernel.

    The equation names all axes, batch included; `...` represents any number of axes at the start or the end.
    """

    formula = "y = activation(einsum(equation, x, kernel) + bias)"
    equation: str = attr(doc="Subscripts of the input, the kernel and the output, as in 'abc,cd->abd'.")
    output_shape: PartialShape = attr(
        doc="Sizes of the output axes, without the batch and the ellipsis; null infers a size from the input.",
        minimum=1,
    )
    activation: ActivationFunction | None = attr(None, doc="Activation function applied to the result.")
    bias_axes: str | None = attr(None, doc="Output axes that the bias varies along; null for no bias.")
    kernel_initializer: Initializer = attr("glorot_uniform", doc="Initial value of the kernel.")
    bias_initializer: Initializer = attr("zeros", doc="Initial value of the bias.")
    kernel_regularizer: Regularizer | None = attr(None, doc="Penalty on the kernel.")
    bias_regularizer: Regularizer | None = attr(None, doc="Penalty on the bias.")
    kernel_constraint: Constraint | None = attr(None, doc="Projection of the kernel after every update.")
    bias_constraint: Constraint | None = attr(None, doc="Projection of the bias after every update.")
    lora_rank: int | None = attr(None, doc=LORA_RANK, minimum=1, maximum=MAX_LORA_RANK)
    lora_alpha: float | None = attr(None, doc=LORA_ALPHA, above=0)
    gptq_unpacked_column_size: int | None = attr(None, doc="Columns of a packed kernel.", unsupported=QUANTIZATION)
    quantization_config: str | None = attr(None, doc="Quantization of the kernel.", unsupported=QUANTIZATION)

    def infer(self, x: TensorType) -> TensorType:
        require_real(x)
        equation = self.parse_equation(x)
        sizes = self.axis_sizes(x, equation)
        for letter in self.bias_axes or ():
            exists = letter in equation.y and letter not in equation.ellipsis_letters
            require(exists, f"has bias_axes {self.bias_axes!r}, but no {letter!r} in the output of {self.equation!r}")
        require(self.bias_axes != "", "has no axis in bias_axes", "leave it out for no bias", "invalid-value")
        for letter in equation.kernel + (self.bias_axes or ""):
            require(
                isinstance(sizes[letter], int), f"needs a fixed size on axis {letter!r} of {self.equation!r}, got {x}"
            )
        return activated_type(x.with_shape(sizes[letter] for letter in equation.y), self.activation)

    def parse_equation(self, x: TensorType) -> Equation:
        """The equation for an input of this type. Raises ShapeError if it is malformed or does not fit."""
        match = re.fullmatch(r"(\.\.\.)?([A-Za-z]+)(\.\.\.)?,([A-Za-z]+)->(\.\.\.)?([A-Za-z]+)(\.\.\.)?", self.equation)
        parts = match.groups() if match else ()
        well_formed = match and (parts[0], parts[2]) == (parts[4], parts[6]) and not (parts[0] and parts[2])
        require(bool(well_formed), f"cannot read the equation {self.equation!r}", EQUATION_FORMS, "invalid-value")
        dots_first, inputs, dots_last, kernel, _, outputs, _ = parts
        count = x.rank - len(inputs)
        fits = count >= 0 if dots_first or dots_last else count == 0
        require(
            fits, f"has {len(inputs)} axes for the input in {self.equation!r}, got {x}", "count the batch as an axis"
        )
        require(len(set(outputs)) == len(outputs), f"names an axis of the output twice in {self.equation!r}")
        dots = "".join(letter for letter in ascii_letters if letter not in self.equation)[:count]
        before, after = (dots, "") if dots_first else ("", dots)
        return Equation(before + inputs + after, kernel, before + outputs + after, dots)

    def axis_sizes(self, x: TensorType, equation: Equation) -> dict[str, Dim]:
        """The size of every letter. Raises ShapeError if sizes conflict or one cannot be determined."""
        sizes: dict[str, Dim] = {}
        for axis, letter in enumerate(equation.x):
            size = sizes.setdefault(letter, x.shape[axis])
            require(
                size == x.shape[axis], f"has {size} and {x.shape[axis]} for {letter!r} of {self.equation!r}, got {x}"
            )
        named = [letter for letter in equation.y[1:] if letter not in equation.ellipsis_letters]
        if equation.ellipsis_letters and equation.y[0] == equation.ellipsis_letters[0]:
            named = [letter for letter in equation.y if letter not in equation.ellipsis_letters]
        output_sizes = self.output_shape if isinstance(self.output_shape, tuple) else (self.output_shape,)
        need = f"needs {len(named)} sizes in output_shape, for {', '.join(named)} of {self.equation!r}"
        require(len(named) == len(output_sizes), f"{need}, got {len(output_sizes)}")
        for letter, output_size in zip(named, output_sizes, strict=True):
            if output_size is None:
                continue
            size = sizes.setdefault(letter, output_size)
            text = f"has output_shape {output_size} for {letter!r} of {self.equation!r}, which is {size} in {x}"
            require(size == output_size, text)
        for letter in equation.kernel + equation.y:
            help = "give its size in output_shape, or name it in the input"
            require(letter in sizes, f"cannot determine the size of {letter!r} of {self.equation!r} from {x}", help)
        for letter in equation.kernel + equation.y:
            exists = letter in equation.x + equation.kernel
            require(exists, f"has {letter!r} in the output of {self.equation!r}, but not in the input or the kernel")
        return sizes

    def lower(self, g: Builder, x: Value) -> Any:
        equation = self.parse_equation(x.type)
        sizes = self.axis_sizes(x.type, equation)
        inputs = [axis for axis, letter in enumerate(equation.kernel) if letter not in equation.y]
        outputs = [axis for axis, letter in enumerate(equation.kernel) if letter in equation.y]
        initializer = with_fans(self.kernel_initializer, inputs, outputs)
        shape: Any = [sizes[letter] for letter in equation.kernel]
        kernel = g.param(
            "kernel",
            shape,
            initializer,
            self.kernel_regularizer,
            self.kernel_constraint,
            input_axes=inputs,
            adapter=layer_adapter(self.lora_rank, self.lora_alpha),
        )
        if equation.is_matmul():
            y = split_last_axis(g, contract_last_axes(g, x, kernel, len(inputs)), tuple(shape[len(inputs) :]))
        else:
            y = g.Einsum(x, kernel, equation=str(equation))
            y = g.refine(y, [sizes[letter] for letter in equation.y])
        if self.bias_axes is not None:
            y = g.Add(y, self.bias(g, equation, sizes))
        return activate(g, y, self.activation)

    def bias(self, g: Builder, equation: Equation, sizes: dict[str, Dim]) -> Value:
        """The bias parameter: spans the output from the first of `bias_axes` on, with size 1 along other axes."""
        axes = self.bias_axes or ""
        first = min(equation.y.find(letter) for letter in axes)
        shape: Any = [sizes[letter] if letter in axes else 1 for letter in equation.y[first:]]
        return g.param("bias", shape, self.bias_initializer, self.bias_regularizer, self.bias_constraint)
