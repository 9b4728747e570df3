"""A loss and a metric that are Python functions of targets and outputs.

A spec contains an entry `{"type": "python", ...}` in place of such a function: its name and its digest. Neither class
is registered, since no JSON text can contain the function itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ...core.components import attr
from ...core.types import TensorType, require
from ..losses.losses import Loss, mean_over_trailing_axes
from .metrics import Metric, sum_and_count

if TYPE_CHECKING:
    from ...ir import Builder, Value

FUNCTION_TYPE = "python"
"""The `type` of an entry that stands for a Python function."""
NAME = "Name of the function."
DIGEST = "SHA-256 of its source, and of the values that it reads."
CLASSES = "Whether targets are class indices, without the last axis of the output."


class Implementation(Protocol):
    """A Python function of targets and outputs, which emits operators."""

    def emit(self, g: Builder, target: Value, output: Value) -> Value:
        """The result of a call. Raises ShapeError."""
        ...

    def result_type(self, target: TensorType, output: TensorType) -> TensorType:
        """The type of the result. Raises ShapeError."""
        ...


def require_result(result: TensorType, output: TensorType) -> None:
    """Raises ShapeError unless a result is one number, or one for each sample or position of an output."""
    require(result.dtype.startswith("float"), f"returns {result}, no real numbers", "convert it with ops.cast")
    help = "return one number for each sample, as with ops.mean(..., axis=-1), or one number for the batch"
    fits = result.shape == output.shape[: result.rank]
    require(fits, f"returns {result}, whose axes are not the first ones of the output {output}", help)


class PythonLoss(Loss):
    """A loss that a Python function computes: one number for each sample or position, or one for the batch.

    Without an implementation, as in a spec that was read from a file, it stands for an unknown loss, which no result
    may contain.
    """

    type_name = FUNCTION_TYPE
    is_python_function = True
    implementation: Implementation | None = None

    name: str = attr(doc=NAME)
    sha256: str = attr("", doc=DIGEST)
    classes: bool = attr(False, doc=CLASSES)

    @property
    def has_class_targets(self) -> bool:  # type: ignore[override]
        return self.classes

    @property
    def mean_axis(self) -> int | None:
        return None

    def target_type(self, output: TensorType) -> TensorType:
        message = f"has class indices as targets, and needs an output with an axis of classes, got {output}"
        require(output.rank > 1 or not self.classes, message)
        target = TensorType("int64", output.shape[:-1]) if self.classes else output
        if self.implementation is not None:
            require_result(self.implementation.result_type(target, output), output)
        return target

    def loss_axes(self, output: TensorType) -> list[int]:
        if self.implementation is None:
            return list(range(max(output.rank - 1, 1)))
        return list(range(self.implementation.result_type(self.target_type(output), output).rank))

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        if self.implementation is None:
            return g.ReduceMean(output, list(range(len(self.loss_axes(output.type)), output.rank)), keepdims=0)
        return self.implementation.emit(g, target, output)

    def __call__(self, y_true: Any, y_pred: Any) -> Any:
        """The result of the function, within another function."""
        return self.implementation(y_true, y_pred)  # type: ignore[operator,misc]


class PythonMetric(Metric):
    """A metric that a Python function computes: the mean over all samples, or positions, of its results."""

    type_name = FUNCTION_TYPE
    is_python_function = True
    counts_classes = False
    implementation: Implementation | None = None

    sha256: str = attr("", doc=DIGEST)
    higher_is_better: bool = attr(False, doc="Whether higher metrics are better.")  # type: ignore[misc]

    def check(self, target: TensorType, output: TensorType) -> None:
        if self.implementation is not None:
            require_result(self.implementation.result_type(target, output), output)

    def statistics(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        if self.implementation is None:
            return g.const([0.0, 1.0])
        result = self.implementation.emit(g, target, output)
        if result.rank == 0:  # the mean of the results of batches, by their number of samples
            result = g.Expand(result, g.Shape(output, start=0, end=1))
        if mask is not None:
            mask = mean_over_trailing_axes(g, g.cast(mask, result.dtype), result.rank)
        return sum_and_count(g, result, mask)

    def __call__(self, y_true: Any, y_pred: Any) -> Any:
        """The result of the function, within another function."""
        return self.implementation(y_true, y_pred)  # type: ignore[operator,misc]
