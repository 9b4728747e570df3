"""A spec with what its training data determine: the names of classes, the columns that patterns match, and the step of
time series.

The spec of a run and of a compiled model contains them, so that predictions have names, and read the data likewise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...analysis.decision import check_threshold_labels
from ...analysis.sample_weights import check_class_names
from ...core.diagnostics import Diagnostic
from ...data.samples.dataset import Dataset
from ...frontend.expansion.expressions import escape_expressions
from ..check.check import CheckedSpec

MAX_LISTED_NAMES = 20
"""Names of classes or columns that a note lists."""


def with_learned(checked: CheckedSpec, train: Dataset) -> CheckedSpec:
    """The checked spec with the labels, the columns and the step of the training data. Raises CompileError for weights
    of classes, and thresholds of labels, that the data lack."""
    learned = _with_learned(checked, train)
    if checked.objective is not None:
        report = checked.new_report()
        check_class_names(learned.require(), checked.objective.losses, report)
        check_threshold_labels(learned.require(), checked.objective.losses, report, are_learned=True)
        report.raise_errors()
    return learned


def _with_learned(checked: CheckedSpec, train: Dataset) -> CheckedSpec:
    network, training = checked.network, checked.network.training
    labels = dict(train.data_spec.labels)
    data = training.data if training is not None else None
    section = train.learned_section(data) if data is not None else None
    if labels == network.labels and section == data:
        return checked
    document: Any = dict(network.document)
    if labels != network.labels:
        document["labels"] = escape_expressions({name: list(names) for name, names in labels.items()})
    if training is not None and data is not None and section is not None and section != data:
        training = training.replaced(data=section)
        written = dict(document["training"]["data"])
        if train.columns:
            written["x"] = escape_expressions(section.to_json()["x"])
        if section.windows is not None and section.windows != data.windows:
            written["windows"] = written["windows"] | {"step": section.windows.step}
        document["training"] = document["training"] | {"data": written}
    network = replace(network, labels=labels, training=training, document=document)
    typed = checked.require()._replace(network=network)
    return checked._replace(source=replace(checked.source, value=document), typed_network=typed)


def learned_notes(checked: CheckedSpec, train: Dataset) -> list[Diagnostic]:
    """Notes about values that the training data determine and the spec does not have."""
    report = checked.new_report()
    for output, labels in train.data_spec.labels.items():
        if output not in checked.network.labels:
            message = f"the classes of {output!r}, in the order of the outputs: {_quoted(labels)}"
            report.add("learned-labels", checked.network.paths[output], message, severity="note")
    return [*report, *column_notes(checked, train)]


def column_notes(checked: CheckedSpec, train: Dataset) -> list[Diagnostic]:
    """The columns that patterns of the spec match, as notes."""
    report = checked.new_report()
    for name, columns in train.columns.items():
        message = f"the columns of the input {name!r}: {_quoted(columns)}"
        report.add("matched-columns", ("training", "data", "x"), message, severity="note")
    return list(report)


def _quoted(names: tuple[str, ...]) -> str:
    listed = ", ".join(map(repr, names[:MAX_LISTED_NAMES]))
    return listed if len(names) <= MAX_LISTED_NAMES else f"{listed} and {len(names) - MAX_LISTED_NAMES:,} more"
