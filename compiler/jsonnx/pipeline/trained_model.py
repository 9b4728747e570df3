"""What `evaluate` and `predict` work on: a RUN folder, or an ONNX model that knows its spec."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

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

BATCH_SIZE = 512
"""Samples a call of the model: enough to be quick, few enough to fit."""


@dataclass(frozen=True)
class TrainedModel:
    """A trained model with the spec it came from.

    Of a RUN there are also its folder and `spec_file`, the spec's own file: where relative data paths begin.
    """

    session: Session
    checked: CheckedSpec
    folder: Path | None = None
    spec_file: str | None = None

    @staticmethod
    def open(path: Path, provider: str = "cpu") -> TrainedModel:
        """From a RUN folder or a model file. Raises UsageError, CompileError."""
        about = _read_run_info(path) if os.path.isdir(path) else None
        model = path if about is None else path / MODEL_FILE
        if about is not None and not model.exists():
            help = "`jsonnx train --resume` goes on with it; Ctrl-C there leaves the model as it is by then"
            raise UsageError("unreadable-file", f"the run in {str(path)!r} has no model yet", help)
        session = Session(model, provider)
        if "jsonnx.spec" not in session.metadata:
            help = "only models that jsonnx compiled can be evaluated; plain onnxruntime runs any model"
            raise CompileError(
                [Diagnostic("no-spec", f"{str(model)!r} does not say what spec it came from", help=help)]
            )
        checked = _checked_spec_of(session, str(model))  # the model's own: that in the folder may be of a later run
        if about is None:
            return TrainedModel(session, checked)
        file = path.resolve() / about["data_folder"] / about.get("spec", SPEC_FILE)
        return TrainedModel(session, checked, path, display_path(file.resolve()))

    def evaluate(self, data: str | None) -> dict[str, float]:
        """Loss and metrics, on a file or on the spec's test data.

        The loss of a model without its RUN lacks the penalties on weights, which are no part of a model.
        """
        made = self._training_plan()
        samples = self._evaluation_samples(made, data)
        if self.folder is not None:
            trainer = Trainer(made, self.session.provider.name)
            trainer.set_weights(read_weight_file(self.folder / WEIGHTS_FILE))
            return trainer.evaluate(samples, batch_size=BATCH_SIZE)
        return self._evaluate_outputs(made, samples)

    def _evaluate_outputs(self, training_plan: TrainingPlan, samples: Dataset) -> dict[str, float]:
        objective = self.checked.objective
        if objective is None:
            raise ValueError("a plan without an objective")
        scorer = Session(
            to_model_proto(output_scoring_graph(self.checked.require(), objective)), self.session.provider.name
        )
        totals = MetricSums(training_plan)
        for rows in _batch_slices(len(samples)):
            feeds = samples.take(rows)
            inputs = {name: feeds[name] for name in self.session.inputs}
            results = self.session.run(inputs)
            beside = {name: array for name, array in feeds.items() if name in scorer.inputs}
            totals.add(
                scorer.run({name: v for name, v in (beside | results).items() if name in scorer.inputs}),
                rows.stop - rows.start,
            )
        return totals.results()

    def predict(self, data: str, output: str | None, print_text: Callable[[str], None]) -> None:
        """Predictions for a file, as .csv, .json or .npz by the ending of `output`; None is csv through `print_text`."""
        ending = _output_suffix(output) if output else ".csv"
        own = self.folder.iterdir() if self.folder else []
        refuse_overwrite([Path(data), *own], [Path(output)] if output else [])
        typed = self.checked.require()
        training = typed.network.training
        wanted = DataSpec(typed.inputs, {}, {name: IndexRange(count) for name, count in index_limits(typed).items()})
        samples = from_file(data, training.data if training else None, wanted, targets=False)
        found = concatenate_batches([self.session.run(samples.take(rows)) for rows in _batch_slices(len(samples))])
        written = WRITERS[ending](found, typed.network.labels)
        if output:
            write_atomically(output, written)
        else:
            print_text(written.decode().rstrip("\n"))

    def _training_plan(self) -> TrainingPlan:
        return replace(plan_training(self.checked), source=SpecSource(self.spec_file))

    def _evaluation_samples(self, training_plan: TrainingPlan, data: str | None) -> Dataset:
        if data is not None:
            return from_file(data, training_plan.training.data, training_plan.data_spec)
        samples = None
        if self.spec_file is not None:
            samples = from_spec(training_plan, "test") or from_spec(training_plan, "validation")
        if samples is None:
            raise UsageError("no-data", "there is nothing to evaluate on", "name a file with --data")
        return samples


def spec_from_metadata(text: str) -> dict[str, Any]:
    """The document in a model's metadata. Raises CompileError."""
    value = read_spec(text).value
    return value if isinstance(value, dict) else {}


def _checked_spec_of(session: Session, model: str) -> CheckedSpec:
    checked = check_spec(spec_from_metadata(session.metadata["jsonnx.spec"]))  # as a value: its text is nobody's file
    typed = checked.require()
    if typed.inputs.keys() != session.inputs.keys() or typed.outputs.keys() != session.outputs.keys():
        raise CompileError([Diagnostic("damaged-file", f"{model!r} says that it came from a spec of another model")])
    return checked


def _output_suffix(output: str) -> str:
    ending = Path(output).suffix.lower()
    if ending not in WRITERS:
        what = f"files that end in {ending!r}" if ending else "a file without an ending"
        raise UsageError("bad-option", f"cannot write {what}", "use .csv, .json or .npz")
    return ending


def _read_run_info(folder: Path) -> dict[str, Any]:
    try:
        found = read_spec(folder / RUN_INFO_FILE).value
    except UsageError as error:
        help = "a RUN folder is what `jsonnx train -o RUN` writes"
        raise UsageError("unreadable-file", f"{str(folder)!r} is no RUN folder", help) from error
    about: dict[str, Any] = found if isinstance(found, dict) else {}
    places = [about.get("data_folder"), about.get("spec", SPEC_FILE)]
    if not all(isinstance(place, str) and "\0" not in place for place in places):
        raise CompileError(
            [Diagnostic("damaged-file", "does not say where the run's data is", file=str(folder / RUN_INFO_FILE))]
        )
    return about


def _batch_slices(count: int) -> Iterator[slice]:
    return (slice(start, min(start + BATCH_SIZE, count)) for start in range(0, count, BATCH_SIZE))


Labels = Any
Outputs = dict[str, np.ndarray]


def _predicted_labels(array: np.ndarray, labels: tuple[str, ...]) -> list[str]:
    """The likeliest class of every sample."""
    return [labels[index] for index in array.argmax(-1)]


def _to_csv(outputs: Outputs, labels: Labels) -> bytes:
    """A row a sample; an output of several values has a column each, and before them its likeliest class."""
    names: list[str] = []
    columns: list[Any] = []
    for name, array in outputs.items():
        known = labels.get(name, ())
        rows = array.reshape(len(array), -1)
        if known and array.ndim == 2 and array.shape[1] == len(known):
            names += [name, *(f"{name}: {label}" for label in known)]
            columns.append(_predicted_labels(array, known))
        else:
            names += [name] if rows.shape[1] == 1 else [f"{name}_{index}" for index in range(rows.shape[1])]
        columns.extend(rows.T.astype(str))  # the shortest digits that mean the same number
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue().encode()


def activation_name(value: Any) -> Any:
    """Numbers as JSON knows them; null is what is not finite."""
    array = np.asarray(value)
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array.tolist()
    finite = array.astype(object)
    finite[~np.isfinite(array)] = None
    return finite.tolist()


def _to_json(outputs: Outputs, labels: Labels) -> bytes:
    """`{"outputs": {name: [...]}, "labels": {name: [...]}}`."""
    told: dict[str, Any] = {"outputs": {name: activation_name(array) for name, array in outputs.items()}}
    classes = {
        name: _predicted_labels(outputs[name], known)
        for name, known in labels.items()
        if name in outputs and outputs[name].ndim == 2 and outputs[name].shape[1] == len(known)
    }
    return json.dumps(told | ({"labels": classes} if classes else {})).encode() + b"\n"


def _to_npz(outputs: Outputs, labels: Labels) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **outputs)  # type: ignore[arg-type]
    return file.getvalue()


WRITERS: dict[str, Callable[[Outputs, Labels], bytes]] = {".csv": _to_csv, ".json": _to_json, ".npz": _to_npz}
