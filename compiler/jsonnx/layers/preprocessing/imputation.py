"""The layer that replaces missing values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from ...core.components import Json, ScalarCodec, UnionCodec, attr
from ...core.types import Dim, TensorType, broadcast, require, shape_text
from ...training.weights.initializers import Zeros
from ..base import layer
from .adaptable import Adaptable
from .numerical import NumbersCodec, shape_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

    from ...ir import Builder, Value


def _is_text(value: Json) -> bool:
    return isinstance(value, str)


FillValue = Annotated[Any, UnionCodec((_is_text, ScalarCodec(type="string")), (lambda value: True, NumbersCodec()))]
"""A text, or a number, or a list (of lists) of numbers."""

MISSING_TEXT = ""
"""The text that stands for a missing one."""


@layer
class Imputation(Adaptable):
    """Replaces missing values, so that the deployed model takes them: NaN in numbers, the empty string in texts.

    `mean`, `median` and `most_frequent` are learned from the values of the training data that are not missing, each
    feature by itself; they are the state `statistic`. Of several values that are most frequent, it is the smallest. An
    input that only such layers read may have missing values in the data: empty cells, `NA`, `null` or NaN.
    """

    formula = """
        missing = x == "" if x.dtype.kind in "OU" else isnan(x)
        y = where(missing, array(fill_value) if strategy == "constant" else statistic, x)
        y = concatenate([y, missing], axis=-1) if indicator else y
    """
    keras_name = ""
    supports_masking = True

    strategy: Literal["mean", "median", "most_frequent", "constant"] = attr(
        "mean", doc="What replaces missing values. Texts need `constant`."
    )
    fill_value: FillValue | None = attr(
        None,
        doc="Replacement with the strategy `constant`: a number, a list (of lists) that broadcasts along the last "
        "axes, or a text.",
    )
    indicator: bool = attr(
        False, doc="Whether to append, along the last axis, 1 for each missing value and 0 for each other one."
    )

    @property
    def needs_adapt(self) -> bool:
        """Whether the replacement is learned from the data."""
        return self.strategy != "constant"

    def adapt_input(self, g: Builder, x: Value) -> Value:
        return g.cast(x, g.float_dtype)

    def adapt(self, batches: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        from .adapt_numpy import statistic_of_present

        return {"statistic": statistic_of_present(batches, self.strategy)}

    def infer(self, x: TensorType) -> TensorType:
        is_constant = self.strategy == "constant"
        require(is_constant or self.fill_value is None, f'has a fill_value, which "{self.strategy}" does not use')
        require(not is_constant or self.fill_value is not None, 'needs a fill_value for the strategy "constant"')
        if x.dtype == "string":
            help = 'say "strategy": "constant", "fill_value": "unknown"'
            require(isinstance(self.fill_value, str), f"needs a text as its fill_value, since its input is {x}", help)
            require(not self.indicator, "has an indicator, which only numbers have")
            return x
        help = "integers have no missing values: give the input the dtype float32"
        require(x.dtype.startswith("float"), f"needs real numbers or texts, got {x}", help)
        require(not isinstance(self.fill_value, str), f"has a text as its fill_value, and its input is {x}")
        if is_constant:
            shape = shape_of(self.fill_value, "fill_value")
            fits = broadcast(x.shape, shape) == x.shape
            require(fits, f"has a fill_value of shape {shape_text(shape)}, which does not broadcast to {x}")
        if x.rank > 1 and (self.indicator or not is_constant):
            x.static_size(-1)
        if not self.indicator:
            return x
        help = "give the input the shape [1]"
        require(x.rank > 1, f"has an indicator, which needs an axis of features, got {x}", help)
        size: Dim = x.static_size(-1) * 2
        return x.with_shape((*x.shape[:-1], size))

    def lower(self, g: Builder, x: Value) -> Any:
        if x.dtype == "string":
            return g.Where(g.Equal(x, g.const(MISSING_TEXT, "string")), g.const(self.fill_value, "string"), x)
        if self.needs_adapt:
            replacement: Value = g.state("statistic", x.shape[1:][-1:], Zeros())
        else:
            replacement = g.const(self.fill_value)
        is_missing = g.IsNaN(x)
        filled = g.Where(is_missing, replacement, x)
        return g.Concat(filled, g.cast(is_missing, g.float_dtype), axis=-1) if self.indicator else filled
