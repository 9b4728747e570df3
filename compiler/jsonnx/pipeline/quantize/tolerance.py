"""How much worse than the float model a quantized one may be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isnan

from ...core.diagnostics import UsageError, quoted_list, suggestion
from ...core.metric_values import numbers_only
from ...core.reserved_names import LOSS
from ...sections.quantization_section import DIFFERENCES, MAX_DIFFERENCE, MEAN_DIFFERENCE
from .comparison import Comparison

DEFAULT_RELATIVE_TOLERANCE = 0.01
"""Default tolerance of the first metric, relative to that of the float model."""

OPTION_HELP = "write a metric, =, and a number that is not negative: --tolerance accuracy=0.01"


def parse_tolerances(texts: Sequence[str]) -> dict[str, float]:
    """The limits in texts such as `accuracy=0.01`, by name. Raises UsageError `bad-option`."""
    limits = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            limit = float(number)
        except ValueError:
            limit = -1.0
        if not name.strip() or not 0 <= limit < inf:
            raise UsageError("bad-option", f"--tolerance {text}: this is no tolerance", OPTION_HELP)
        limits[name.strip()] = limit
    return limits


@dataclass(frozen=True)
class Tolerance:
    """Limits on how much worse metrics, and how large differences of outputs, may be."""

    limits: Mapping[str, float]
    maximized: Callable[[str], bool]
    """Whether higher values of a metric are better."""
    is_default: bool = False

    def require_known(self, metrics: Iterable[str]) -> None:
        """Raises UsageError `unknown-figure` for a limit of something else than these metrics and the differences."""
        known = [*metrics, *DIFFERENCES]
        for name in self.limits:
            if name not in known:
                help = suggestion(name, known) or f"known are {quoted_list(known)}"
                raise UsageError("unknown-figure", f"the tolerance has a limit of {name!r}, which is unknown", help)

    def losses(self, comparison: Comparison) -> dict[str, float]:
        """How much worse the quantized model is, by the names of the limits; negative if it is better."""
        losses = {}
        for name in self.limits:
            if name == MAX_DIFFERENCE:
                losses[name] = max((each.maximum for each in comparison.differences.values()), default=0.0)
            elif name == MEAN_DIFFERENCE:
                losses[name] = max((each.mean for each in comparison.differences.values()), default=0.0)
            else:
                difference = comparison.difference(name)
                losses[name] = -difference if self.maximized(name) else difference
        return losses

    def excess(self, losses: Mapping[str, float]) -> float:
        """The largest loss relative to its limit, at most 1 within the tolerance; infinite for NaN."""
        return max((_relative(loss, self.limits[name]) for name, loss in losses.items()), default=0.0)


def _relative(loss: float, limit: float) -> float:
    if isnan(loss):
        return inf
    if loss <= limit:
        return loss / limit if limit and loss > 0 else 0.0
    return loss / limit if limit else inf


def default_tolerance(comparison: Comparison, maximized: Callable[[str], bool]) -> Tolerance:
    """The limit of the first metric, or else of the loss."""
    numbers = numbers_only(comparison.float_metrics)
    name = next((name for name in numbers if name != LOSS and not name.endswith(f"_{LOSS}")), LOSS)
    limits = {name: DEFAULT_RELATIVE_TOLERANCE * abs(numbers[name])} if name in numbers else {}
    return Tolerance(limits, maximized, is_default=True)
