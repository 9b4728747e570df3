"""A trained model, from a RUN folder or from an ONNX file that contains its spec: `evaluate` and `predict`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..backend import to_model_proto
from ..core.diagnostics import CompileError, Diagnostic, UsageError
from ..core.files import display_path, refuse_overwrite, write_atomically
from ..runtime.dataset import Dataset, from_file, from_spec
from ..runtime.history import MetricSums
from ..runtime.run_folder import MODEL_FILE, RUN_INFO_FILE, SPEC_FILE, WEIGHTS_FILE
from ..runtime.session import Session, concatenate_batches
from ..runtime.trainer import Trainer
from ..runtime.training_plan import SpecSource, TrainingPlan
from ..runtime.validate_arrays import DataSpec, IndexRange
from ..runtime.weight_files import read_weight_file
from .check import CheckedSpec, check_spec, read_spec
from .graphs import output_scoring_graph
from .plan_training import index_limits, plan_training
from .prediction_files import prediction_writer

BATCH_SIZE = 512
"""Samples in a call of the model."""

RUN_FOLDER_HELP = "a RUN folder is what `jsonnx train -o RUN` writes"


@dataclass(frozen=True)
class TrainedModel:
    """A trained model with the spec that it was compiled from.

    A model from a RUN folder also has the `folder` and the `spec_file`, to whose folder relative data paths refer.
    """

    session: Session
    checked: CheckedSpec
    folder: Path | None = None
    spec_file: str | None = None
    verify: bool = True
    """Whether the weight file must match the digests that it records."""

    @staticmethod
    def open(path: Path, provider: str = "cpu", verify: bool = True) -> TrainedModel:
        """Opens a RUN folder or a model file. With `verify`, files must match the digests that they record.

        Raises UsageError, CompileError.
        """
        run_info = _read_run_info(path) if os.path.isdir(path) else None
        model = path if run_info is None else path / MODEL_FILE
        if run_info is not None and not model.exists():
            help = "`jsonnx train --resume` continues it; Ctrl-C there writes the model as it is at that moment"
            raise UsageError("unreadable-file", f"the run in {str(path)!r} has no model yet", help)
        session = Session(model, provider, verify=verify)
        if "jsonnx.spec" not in session.metadata:
            help = "only models compiled by jsonnx can be evaluated; plain onnxruntime runs any model"
            raise CompileError([Diagnostic("no-spec", f"{str(model)!r} does not contain its spec", help=help)])
        checked = _checked_spec_of(session, str(model))  # from the model: the folder's spec may be of a later run
        if run_info is None:
            return TrainedModel(session, checked, verify=verify)
        file = path.resolve() / run_info["data_folder"] / run_info.get("spec", SPEC_FILE)
        return TrainedModel(session, checked, path, display_path(file.resolve()), verify)

    def evaluate(self, data: str | None) -> dict[str, float]:
        """Loss and metrics on a file, or else on the spec's test data.

        Without a RUN folder the loss lacks the penalties on weights, which a model does not contain.
        """
        training_plan = replace(plan_training(self.checked), source=SpecSource(self.spec_file))
        samples = self._evaluation_samples(training_plan, data)
        if self.folder is not None:
            trainer = Trainer(training_plan, self.session.provider.name)
            trainer.set_weights(read_weight_file(self.folder / WEIGHTS_FILE, self.verify))
            return trainer.evaluate(samples, batch_size=BATCH_SIZE)
        return self._evaluate_outputs(training_plan, samples)

    def _evaluate_outputs(self, training_plan: TrainingPlan, samples: Dataset) -> dict[str, float]:
        """Loss and metrics computed from the model's outputs by a graph of their own."""
        objective = self.checked.objective
        if objective is None:
            raise ValueError("a plan without an objective")
        scoring_graph = output_scoring_graph(self.checked.require(), objective)
        scorer = Session(to_model_proto(scoring_graph), self.session.provider.name)
        sums = MetricSums(training_plan)
        for rows in _batch_slices(len(samples)):
            feeds = samples.take(rows)
            outputs = self.session.run({name: feeds[name] for name in self.session.inputs})
            scored = {name: array for name, array in (feeds | outputs).items() if name in scorer.inputs}
            sums.add(scorer.run(scored), rows.stop - rows.start)
        return sums.results()

    def predict(self, data: str, output: str | None, print_text: Callable[[str], None]) -> None:
        """Writes the predictions for a data file: csv, JSON or npz by the suffix of `output`; if None, prints csv."""
        write = prediction_writer(output)
        run_files = self.folder.iterdir() if self.folder else []
        refuse_overwrite([Path(data), *run_files], [Path(output)] if output else [])
        typed = self.checked.require()
        training = typed.network.training
        inputs = typed.network.inference_inputs
        data_spec = DataSpec(inputs, {}, {name: IndexRange(count) for name, count in index_limits(typed).items()})
        samples = from_file(data, training.data if training else None, data_spec, targets=False)
        batches = [self.session.run(samples.take(rows)) for rows in _batch_slices(len(samples))]
        content = write(concatenate_batches(batches), typed.network.labels)
        if output:
            write_atomically(output, content)
        else:
            print_text(content.decode().rstrip("\n"))

    def _evaluation_samples(self, training_plan: TrainingPlan, data: str | None) -> Dataset:
        if data is not None:
            return from_file(data, training_plan.training.data, training_plan.data_spec)
        samples = None
        if self.spec_file is not None:
            samples = from_spec(training_plan, "test") or from_spec(training_plan, "validation")
        if samples is None:
            raise UsageError("no-data", "there is no data to evaluate on", "name a file with --data")
        return samples


def spec_from_metadata(text: str) -> dict[str, Any]:
    """The document in a model's metadata. Raises CompileError."""
    value = read_spec(text).value
    return value if isinstance(value, dict) else {}


def _checked_spec_of(session: Session, model: str) -> CheckedSpec:
    # Checked as a value, without positions: they would refer to the metadata, which is not a file of the user.
    checked = check_spec(spec_from_metadata(session.metadata["jsonnx.spec"]))
    typed = checked.require()
    inputs = typed.network.inference_inputs
    if inputs.keys() != session.inputs.keys() or typed.outputs.keys() != session.outputs.keys():
        raise CompileError([Diagnostic("damaged-file", f"{model!r} contains the spec of another model")])
    return checked


def _read_run_info(folder: Path) -> dict[str, Any]:
    """The content of `run.json`. Raises UsageError, CompileError."""
    try:
        value = read_spec(folder / RUN_INFO_FILE).value
    except UsageError as error:
        raise UsageError("unreadable-file", f"{str(folder)!r} is not a RUN folder", RUN_FOLDER_HELP) from error
    run_info: dict[str, Any] = value if isinstance(value, dict) else {}
    paths = [run_info.get("data_folder"), run_info.get("spec", SPEC_FILE)]
    if not all(isinstance(path, str) and "\0" not in path for path in paths):
        file = str(folder / RUN_INFO_FILE)
        raise CompileError([Diagnostic("damaged-file", "does not name the folder of the run's data", file=file)])
    return run_info


def _batch_slices(count: int) -> Iterator[slice]:
    return (slice(start, min(start + BATCH_SIZE, count)) for start in range(0, count, BATCH_SIZE))
