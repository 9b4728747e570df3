"""The samples that a report is computed from: the run's, if their files still have the same contents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...core.diagnostics import CompileError, UsageError
from ...core.files.spec_source import SpecSource
from ...core.files.user_files import UserFiles, files_text
from ...core.reserved_names import target_name
from ...data.files.dataset_files import from_file
from ...data.samples.data_errors import FeedError
from ...data.samples.dataset import Dataset
from ...html_report.json_values import rounded
from ...html_report.regression import histogram, scatter_sample
from ...runtime.training_plan import TrainingPlan
from ..run.trained_model import TrainedModel
from ..run_folder.run import Run
from ..train.run_data import read_data
from ..train.target_classes import class_counts

EVALUATED_PARTS = ("validation", "test")
"""The parts of a run's data that predictions are shown for, in the order of preference."""
MAX_HISTOGRAM_SAMPLES = 100_000


@dataclass
class ReportData:
    """The samples by part of the data, the part that predictions are computed for, and why others are missing."""

    parts: dict[str, Dataset]
    evaluated_part: str | None
    notes: list[str] = field(default_factory=list)

    @property
    def evaluated(self) -> Dataset | None:
        return None if self.evaluated_part is None else self.parts[self.evaluated_part]


def read_report_data(run: Run, model: TrainedModel, plan: TrainingPlan, files: UserFiles | None) -> ReportData:
    """The samples of a run, or of a file in their place. Raises CompileError, UsageError for a given file."""
    if files is not None:
        source = SpecSource(data_roots=model.data_roots)
        samples = from_file(files, plan.training.data, plan.data_spec, source)
        return ReportData({files_text(files): samples}, files_text(files))
    if run.info.get("arrays"):
        note = "The run was trained on arrays, so metrics of predictions are missing: --data FILE gives them."
        return ReportData({}, None, [note])
    try:
        parts = _parts_of_spec(model, plan)
    except (CompileError, UsageError, FeedError) as error:
        diagnostic = error.diagnostic if isinstance(error, UsageError) else error.diagnostics[0]
        help = f"; {diagnostic.help}" if diagnostic.help and diagnostic.code == "unsafe-path" else ""
        note = f"The data of the run cannot be read, so metrics of them are missing: {diagnostic.message}{help}."
        return ReportData({}, None, [note])
    return checked_report_data(run, parts)


def checked_report_data(run: Run, parts: Mapping[str, Dataset]) -> ReportData:
    """The parts with the same samples as in the run's training."""
    kept, notes = {}, []
    for part, samples in parts.items():
        recorded = run.data.get(part)
        digest = recorded.get("sha256") if isinstance(recorded, dict) else None
        if digest == samples.digest:
            kept[part] = samples
        elif digest is not None:
            notes.append(f"The {part} data have changed since the run, so metrics of them are missing.")
    evaluated = next((part for part in EVALUATED_PARTS if part in kept), None)
    if evaluated is None and not notes:
        notes.append("The run has neither validation nor test data, so metrics of predictions are missing.")
    return ReportData(kept, evaluated, notes)


def _parts_of_spec(model: TrainedModel, plan: TrainingPlan) -> dict[str, Dataset]:
    data = read_data(replace(plan, source=model.data.source), model.data.files)
    return {} if data is None else data.parts


# -- targets -----------------------------------------------------------------------------------------------------------


def target_balance(data: ReportData, model: TrainedModel) -> list[dict[str, Any]]:
    """For each output with classes, the samples of each class by part; for other numbers, their histogram by part."""
    objective, typed = model.checked.objective, model.checked.require()
    if objective is None or not data.parts:
        return []
    counts = class_counts(data.parts, objective)
    balance: list[dict[str, Any]] = []
    for output in objective.losses:
        labels = typed.network.labels.get(output, ())
        if output in counts:
            balance.append({"output": output, "classes": _class_rows(counts[output], labels)})
            continue
        histograms = _histograms(output, data.parts)
        balance += [{"output": output, "histograms": histograms}] if histograms else []
    return balance


def _class_rows(counts: Mapping[str, Mapping[int, int]], labels: Iterable[str]) -> list[dict[str, Any]]:
    labels = list(labels)
    indices = sorted({index for by_class in counts.values() for index in by_class} | set(range(len(labels))))
    return [
        {
            "label": labels[index] if index < len(labels) else str(index),
            "counts": {part: by_class.get(index, 0) for part, by_class in counts.items()},
        }
        for index in indices
    ]


def _histograms(output: str, parts: Mapping[str, Dataset]) -> dict[str, Any]:
    shown = {}
    for part, samples in parts.items():
        if output in samples.targets and len(samples):
            rows = scatter_sample(len(samples), MAX_HISTOGRAM_SAMPLES)
            shown[part] = rounded(histogram(samples.samples_of(target_name(output), rows))._asdict())
    return shown
