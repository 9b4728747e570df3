"""A spec with a search: the spec of each trial, and the metric by which trials are compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from ...analysis.objective import reported_metrics
from ...core.components import Json
from ...core.reserved_names import is_validation_name, validation_name
from ...frontend.expansion.overrides import with_overrides, with_value_at
from ...frontend.json.json_reader import Source
from ...frontend.text.formatter import format_document, with_number_literals
from ...hyperparameter_search.space import Space, Values
from ...sections.lint_section import LINT_KEY
from ...sections.monitor import spec_has_validation
from ...sections.sweep_section import SWEEP_KEY, SweepSection
from .check import CheckedSpec, check_source
from .check_columns import check_columns

SPLIT_PATH = "training.data.split"


class MetricError(NamedTuple):
    """The metric of a search is not reported."""

    message: str
    known: Sequence[str]
    lacks_validation: bool


@dataclass(frozen=True)
class SweepPlan:
    """A spec with a search, at one of its scales and after the user's changes."""

    original: Source
    """The spec as it was read."""
    scale: str | None
    changes: Sequence[str]
    section: SweepSection
    space: Space

    @cached_property
    def source(self) -> Source:
        """The spec with scale and changes, and with its search."""
        return with_overrides(self.original, self.scale, self.changes)[0]

    def values_of_run(self, values: Values, fold: int | None) -> Values:
        """The values of a trial, and the values that select a fold of the cross-validation."""
        if self.section.folds is None or fold is None:
            return values
        return {f"{SPLIT_PATH}.folds": self.section.folds, f"{SPLIT_PATH}.fold": fold, **values}

    @property
    def first_fold(self) -> int | None:
        return 0 if self.section.folds is not None else None

    @property
    def folds(self) -> Sequence[int | None]:
        return range(self.section.folds) if self.section.folds is not None else (None,)

    def check(self, values: Values) -> CheckedSpec:
        """Checks the spec of a trial, as far as that is possible without its data.

        Raises OverrideError if a name or a path of the values does not exist.
        """
        checked = check_source(trial_source(self.source, self.values_of_run(values, self.first_fold)))
        return checked._replace(diagnostics=[*checked.diagnostics, *check_columns(checked)])

    def best_spec_text(self, values: Values, seed: int) -> str:
        """The spec with the values of a trial in place, without the search, in canonical format."""
        literals = with_overrides(with_number_literals(self.original), self.scale, self.changes)[0]
        document: Any = trial_source(literals, values).value
        training = document.get("training")
        if isinstance(training, dict) and self.check(values).seed(None) != seed:
            document = document | {"training": training | {"seed": seed}}
        return format_document(document)


def trial_source(source: Source, values: Mapping[str, Json]) -> Source:
    """A spec with values in place, without its search. Raises OverrideError."""
    for key, value in values.items():
        source, _ = with_value_at(source, key, value)
    return without_sweep(source)


def without_sweep(source: Source) -> Source:
    document: Any = source.value
    return replace(source, value={key: value for key, value in document.items() if key != SWEEP_KEY})


def as_changes(values: Mapping[str, Json]) -> list[str]:
    """The values as texts for `--set`."""
    return [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]


def spec_digest(checked: CheckedSpec) -> str:
    """The digest of a spec's meaning: of its layers and values without blocks, names of the model and comments."""
    document: Any = checked.flat.document if checked.flat is not None else checked.source.value
    text = json.dumps(_canonical(document), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


_COMMENTS = ("$schema", "version", "name", "description", SWEEP_KEY, LINT_KEY)


def _canonical(document: Json) -> Json:
    """A copy without comments at the top, in which numbers like 1.0 are integers."""
    kept = {key: value for key, value in document.items() if key not in _COMMENTS}
    return _with_plain_numbers(kept)


def _with_plain_numbers(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _with_plain_numbers(item) for key, item in value.items() if key != "description"}
    if isinstance(value, list):
        return [_with_plain_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


# -- the metric --------------------------------------------------------------------------------------------------------


def metric_error(checked: CheckedSpec, metric: str, has_validation: bool | None = None) -> MetricError | None:
    """The error of a metric that the training does not report, or that is a list of numbers.

    `has_validation` tells whether there are validation data; None if the spec says so.
    """
    typed, objective = checked.typed_network, checked.objective
    training = typed.network.training if typed is not None else None
    if typed is None or objective is None or training is None:
        return None
    metrics, lists = reported_metrics(objective, typed.network.outputs)
    is_validated = spec_has_validation(training) if has_validation is None else has_validation
    known = [*metrics, *(map(validation_name, metrics) if is_validated is not False else ())]
    if metric.removeprefix(validation_name("")) in lists:
        numbers = [name for name in known if name.removeprefix(validation_name("")) not in lists]
        return MetricError(f"{metric!r} is a list of numbers", numbers, False)
    if metric in known:
        return None
    lacks_validation = is_validation_name(metric) and metric.removeprefix(validation_name("")) in metrics
    return MetricError(f"the training does not report {metric!r}", known, lacks_validation)


def is_maximized(checked: CheckedSpec, section: SweepSection) -> bool:
    """Whether higher values of the metric are better."""
    if section.mode != "auto":
        return section.mode == "max"
    metrics = checked.objective.metrics_by_name() if checked.objective is not None else {}
    reported = metrics.get(section.metric.removeprefix(validation_name("")))
    return reported is not None and reported.metric.higher_is_better
