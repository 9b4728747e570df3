"""A trained model, from a RUN folder or from an ONNX file that contains its spec, and its evaluation."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...analysis.shape_inference import TypedNetwork
from ...backend import target_statistics_from, to_model_proto
from ...core.diagnostics import CompileError, Diagnostic, UsageError, quoted_list
from ...core.files.run_layout import RunPaths
from ...core.files.spec_folders import existing_folders
from ...core.files.spec_source import SpecSource
from ...core.files.user_files import UserFiles, file_names, files_text, with_paths
from ...core.metric_values import MetricValue
from ...data.files.dataset_files import from_file
from ...data.samples.dataset import Dataset
from ...passes.training_steps.batch_separability import is_batch_separable
from ...runtime.execution.history import MetricSums
from ...runtime.fit.trainer import PlanTrainer
from ...runtime.providers.provider_options import ProviderOptions
from ...runtime.session.session import Session
from ...runtime.session.weight_files import read_weight_file
from ...runtime.training_plan import TrainingPlan
from ..check.check import CheckedSpec
from ..compile.graphs import output_scoring_graph
from ..compile.target_forms import plan_for_target
from ..run_folder.run_info import RunInfo, path_from, read_run_info, write_evaluation
from ..train.evaluated_part import NO_PARTS, EvaluatedPart, evaluated_part
from ..train.left_out_notes import left_out_notes
from ..train.model_spec import SPEC_KEY, check_spec_of_model, checked_spec_of, require_spec
from ..train.plan_training import plan_training
from .recorded_data import RecordedData, recorded_data
from .run_warnings import Warn, no_warning

RECORDED_NAMES = {"train": "training data", "validation": "validation data"}
"""The names of parts of a spec's data under which `run.json` records evaluations."""

ARRAYS_REASON = "the run was trained on arrays, not on files"

BATCH_SIZE = 512
"""Samples in a call of the model."""


class Evaluation(NamedTuple):
    """The loss and the metrics of a model on samples."""

    metrics: dict[str, MetricValue]
    evaluated: EvaluatedPart


@dataclass(frozen=True)
class TrainedModel:
    """A trained model with the spec that it was compiled from.

    A model from a RUN folder also has the `folder` and what its files record.
    """

    session: Session
    checked: CheckedSpec
    folder: Path | None = None
    run_info: RunInfo | None = None
    verify: bool = True
    """Whether the weight file must match the digests that it records."""
    data_roots: tuple[Path, ...] = ()
    """Further folders whose files the spec may name as data."""
    path: Path | None = None
    """The RUN folder or the model file that was opened."""

    @staticmethod
    def open(
        path: Path,
        provider: str = "cpu",
        verify: bool = True,
        data_roots: Iterable[str | os.PathLike[str]] = (),
        provider_options: ProviderOptions | None = None,
        seed: int = 0,
        threads: int | None = None,
    ) -> TrainedModel:
        """Opens a RUN folder or a model file. With `verify`, files must match the digests that they record.

        `data_roots` are folders whose files the spec may name, besides its own; `seed` is that of the model's random
        inputs. Raises UsageError, CompileError.
        """
        roots = existing_folders(data_roots)
        run_info = read_run_info(path) if os.path.isdir(path) else None
        model = path if run_info is None else RunPaths(path).model
        if run_info is not None and not model.exists():
            help = "`jsonnx train --resume` continues it; Ctrl-C there writes the model as it is at that moment"
            raise UsageError("unreadable-file", f"the run in {str(path)!r} has no model yet", help)
        session = Session(model, provider, threads, verify, provider_options, seed)
        # From the model: the folder's spec may be of a later run.
        checked = require_spec(checked_spec_of(session, str(model), model.parent), str(model))
        return TrainedModel(session, checked, path if run_info is not None else None, run_info, verify, roots, path)

    @cached_property
    def data(self) -> RecordedData:
        """The source of the run's data; without a run, the current folder. Raises UsageError `unsafe-path`."""
        if self.folder is None or self.run_info is None:
            return RecordedData(SpecSource(data_roots=self.data_roots))
        return recorded_data(self.folder, self.run_info, self.data_roots)

    @cached_property
    def plan(self) -> TrainingPlan:
        """The training plan of the spec."""
        return plan_training(self.checked)

    @cached_property
    def checked_without_thresholds(self) -> CheckedSpec:
        """The spec with the thresholds of its metrics as written, not as chosen for this model."""
        return check_spec_of_model(self.session.metadata[SPEC_KEY])

    def figure_labels(self) -> dict[str, list[Sequence[str]]]:
        """The labels along the axes of the metrics that are lists, by the reported name."""
        objective = self.checked.objective
        metrics = objective.metrics_by_name() if objective is not None else {}
        labels = self.checked.network.labels
        return {
            name: reported.metric.axis_labels(labels.get(reported.output, ())) for name, reported in metrics.items()
        }

    def evaluate(self, data: UserFiles | None, warn: Warn = no_warning, part: str | None = None) -> Evaluation:
        """Loss and metrics on a file, or else on a part of the spec's data: by default the test data, or else the
        validation data.

        Without a RUN folder the loss lacks the penalties on weights, which a model does not contain. With one, the
        metrics are written to its `run.json`. `warn` is called with notes about samples that are left out.
        """
        evaluated, sums = self.metric_sums(data, warn, part)
        metrics = self.known_metrics(sums, warn)
        if self.folder is not None:
            self._record(self.folder, data, evaluated, metrics)
        return Evaluation(metrics, evaluated)

    def _record(
        self, folder: Path, data: UserFiles | None, evaluated: EvaluatedPart, metrics: Mapping[str, MetricValue]
    ) -> None:
        """Writes metrics to `run.json`, unless a process trains the run, or the folder may not be written."""
        name = RECORDED_NAMES.get(evaluated.part or "")
        if data is not None:
            name = files_text(with_paths(data, lambda path: path_from(folder, Path(path))))
        with suppress(UsageError, CompileError):
            write_evaluation(folder, name, metrics)

    def known_metrics(self, sums: MetricSums, warn: Warn = no_warning) -> dict[str, MetricValue]:
        """The loss and the metrics of sums, without those of functions that the model lacks."""
        metrics = sums.results()
        missing = self.checked.objective.missing_functions() if self.checked.objective is not None else set()
        if missing:
            metrics = {name: metric for name, metric in metrics.items() if name not in missing}
            warn([_missing_functions_note(missing)])
        return metrics

    def metric_sums(
        self, data: UserFiles | None, warn: Warn = no_warning, part: str | None = None
    ) -> tuple[EvaluatedPart, MetricSums]:
        """The samples that `evaluate` takes, and the sums of which loss and metrics are made."""
        plan = self.plan_for(data)
        evaluated = self.evaluated_part(plan, data, part)
        samples = evaluated.samples
        tell_left_out(samples, warn)
        batch_size = evaluation_batch_size(plan)
        if self.folder is None:
            return evaluated, self._sums_of_outputs(plan, samples, batch_size)
        provider = self.session.provider
        trainer = PlanTrainer(plan_for_target(plan, provider.name), provider)
        trainer.set_weights(read_weight_file(RunPaths(self.folder).weights, self.verify))
        return evaluated, trainer.engine.measure(samples, batch_size)

    def _sums_of_outputs(self, training_plan: TrainingPlan, samples: Dataset, batch_size: int) -> MetricSums:
        """The sums of loss and metrics, computed from the model's outputs by a graph of their own."""
        scorer = self.output_scorer()
        sums = MetricSums(training_plan)
        for rows in batch_slices(len(samples), batch_size):
            feeds = samples.take(rows)
            outputs = self.session.run({name: feeds[name] for name in self.session.inputs})
            sums.add(score_outputs(scorer, feeds, outputs), rows.stop - rows.start)
        return sums

    def output_scorer(self) -> Session:
        """The session that computes losses and sums of metrics from outputs and targets. Raises CompileError
        `needs-weights` if these need more than the outputs."""
        objective = self.checked.objective
        if objective is None:
            raise ValueError("a plan without an objective")
        typed = self.checked.require()
        scoring_graph = output_scoring_graph(typed, objective, target_statistics(typed, self.session.metadata))
        return Session(to_model_proto(scoring_graph), self.session.provider)

    def plan_for(self, data: UserFiles | None) -> TrainingPlan:
        """The training plan for a file, or else for the spec's data."""
        source = self.data.source if data is None else SpecSource(data_roots=self.data_roots)
        return replace(self.plan, source=source)

    def evaluated_part(self, plan: TrainingPlan, data: UserFiles | None, part: str | None) -> EvaluatedPart:
        """The samples of a file, or else of a part of the spec's data. Raises UsageError `no-data`, CompileError."""
        if data is not None:
            samples = from_file(data, plan.training.data, plan.data_spec, plan.source)
            return EvaluatedPart(samples, None, tuple(file_names(data)))
        has_arrays = self.run_info is not None and bool(self.run_info.get("arrays"))
        owner = f"the spec of {str(self.path)!r}"
        files = self.folder is not None and not has_arrays
        evaluated = evaluated_part(plan, self.data.files, part, owner) if files else None
        if evaluated is None:
            message = f"there is no data to evaluate {str(self.path)!r} on"
            reason = "a model file does not name its data" if self.folder is None else NO_PARTS
            reason = ARRAYS_REASON if has_arrays else reason
            raise UsageError("no-data", message, f"name a file with --data; {reason}")
        return evaluated


def score_outputs(
    scorer: Session, feeds: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Losses and sums of metrics of a batch."""
    return scorer.run({name: array for name, array in {**feeds, **outputs}.items() if name in scorer.inputs})


def _missing_functions_note(names: Iterable[str]) -> Diagnostic:
    message = f"not computed, since a Python function of the training is missing: {quoted_list(sorted(names))}"
    help = "in Python, give the function again: jsonnx.Trainer(spec, loss=..., weights=RUN).evaluate(x, y)"
    return Diagnostic("python-function", message, help=help, severity="warning")


def target_statistics(typed: TypedNetwork, metadata: Mapping[str, str]) -> dict[str, dict[str, np.ndarray]]:
    """The statistics of targets in a model's metadata that have the shapes of the outputs' features."""
    statistics = {}
    for output, own in target_statistics_from(metadata).items():
        arrays = {name: np.asarray(values, np.float32) for name, values in own.items()}
        form = typed.network.target_forms.get(output)
        shapes = {array.shape for array in arrays.values()}
        if form is not None and output in typed.outputs and shapes == {form.statistics_shape(typed.outputs[output])}:
            statistics[output] = arrays
    return statistics


def tell_left_out(samples: Dataset, warn: Warn) -> None:
    """Calls `warn` with notes about samples that are left out, if some are."""
    notes = [note.diagnostic for note in left_out_notes([(None, samples)])]
    if notes:
        warn(notes)


def evaluation_batch_size(plan: TrainingPlan) -> int:
    """The samples of a batch: those of training, as in validation, unless the split into batches changes nothing."""
    return BATCH_SIZE if is_batch_separable(plan.evaluate) else plan.training.batch_size


def batch_slices(count: int, batch_size: int = BATCH_SIZE) -> Iterator[slice]:
    return (slice(start, min(start + batch_size, count)) for start in range(0, count, batch_size))
