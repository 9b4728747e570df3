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

from ..backend import emit
from ..core.diagnostics import CompileError, Diagnostic, UsageError
from ..core.files import shown, spare, write_atomically
from ..runtime.dataset import Samples, from_file, from_spec
from ..runtime.history import Totals
from ..runtime.run_folder import ABOUT, MODEL, SPEC, WEIGHTS
from ..runtime.session import Session, joined
from ..runtime.trainer import Trainer
from ..runtime.training_plan import Plan
from ..runtime.validate_arrays import Limit, Wanted
from ..runtime.weight_files import read_weights
from .check import Checked, check, read
from .graphs import scoring_graph
from .plan_training import index_limits, plan

BATCH = 512
"""Samples a call of the model: enough to be quick, few enough to fit."""


@dataclass(frozen=True)
class Deployed:
    """A trained model with the spec it came from.

    Of a RUN there are also its folder and `file`, the spec's own file: where relative data paths begin.
    """

    session: Session
    checked: Checked
    folder: Path | None = None
    file: str | None = None

    @staticmethod
    def open(path: Path, provider: str = "cpu") -> Deployed:
        """From a RUN folder or a model file. Raises UsageError, CompileError."""
        about = _about(path) if os.path.isdir(path) else None
        model = path if about is None else path / MODEL
        if about is not None and not model.exists():
            help = "`jsonnx train --resume` goes on with it; Ctrl-C there leaves the model as it is by then"
            raise UsageError("unreadable-file", f"the run in {str(path)!r} has no model yet", help)
        session = Session(model, provider)
        if "jsonnx.spec" not in session.metadata:
            help = "only models that jsonnx compiled can be evaluated; plain onnxruntime runs any model"
            raise CompileError(
                [Diagnostic("no-spec", f"{str(model)!r} does not say what spec it came from", help=help)]
            )
        checked = _spec_of(session, str(model))  # the model's own: that in the folder may be of a later run
        if about is None:
            return Deployed(session, checked)
        file = path.resolve() / about["data_folder"] / about.get("spec", SPEC)
        return Deployed(session, checked, path, shown(file.resolve()))

    def evaluate(self, data: str | None) -> dict[str, float]:
        """Loss and metrics, on a file or on the spec's test data.

        The loss of a model without its RUN lacks the penalties on weights, which are no part of a model.
        """
        made = self._plan()
        samples = self._samples(made, data)
        if self.folder is not None:
            trainer = Trainer(made, self.session.provider.name)
            trainer.set_weights(read_weights(self.folder / WEIGHTS))
            return trainer.evaluate(samples, batch_size=BATCH)
        return self._scored(made, samples)

    def _scored(self, made: Plan, samples: Samples) -> dict[str, float]:
        objective = self.checked.objective
        if objective is None:
            raise ValueError("a plan without an objective")
        scorer = Session(emit(scoring_graph(self.checked.sound, objective)), self.session.provider.name)
        totals = Totals(made)
        for rows in _batches(len(samples)):
            feeds = samples.take(rows)
            inputs = {name: feeds[name] for name in self.session.inputs}
            results = self.session.run(inputs)
            beside = {name: array for name, array in feeds.items() if name in scorer.inputs}
            totals.add(
                scorer.run({name: v for name, v in (beside | results).items() if name in scorer.inputs}),
                rows.stop - rows.start,
            )
        return totals.figures()

    def predict(self, data: str, output: str | None, say: Callable[[str], None]) -> None:
        """Predictions for a file, as .csv, .json or .npz by the ending of `output`; None is csv through `say`."""
        ending = _ending(output) if output else ".csv"
        own = self.folder.iterdir() if self.folder else []
        spare([Path(data), *own], [Path(output)] if output else [])
        typed = self.checked.sound
        training = typed.network.training
        wanted = Wanted(typed.inputs, {}, {name: Limit(count) for name, count in index_limits(typed).items()})
        samples = from_file(data, training.data if training else None, wanted, targets=False)
        found = joined([self.session.run(samples.take(rows)) for rows in _batches(len(samples))])
        written = WRITERS[ending](found, typed.network.labels)
        if output:
            write_atomically(output, written)
        else:
            say(written.decode().rstrip("\n"))

    def _plan(self) -> Plan:
        made = plan(self.checked)
        return replace(made, file=self.file, locate=None)

    def _samples(self, made: Plan, data: str | None) -> Samples:
        if data is not None:
            return from_file(data, made.training.data, made.wanted)
        samples = None
        if self.file is not None:
            samples = from_spec(made, "test") or from_spec(made, "validation")
        if samples is None:
            raise UsageError("no-data", "there is nothing to evaluate on", "name a file with --data")
        return samples


def spec_value(text: str) -> dict[str, Any]:
    """The document in a model's metadata. Raises CompileError."""
    value = read(text).value
    return value if isinstance(value, dict) else {}


def _spec_of(session: Session, model: str) -> Checked:
    checked = check(spec_value(session.metadata["jsonnx.spec"]))  # as a value: its text is nobody's file
    typed = checked.sound
    if typed.inputs.keys() != session.inputs.keys() or typed.outputs.keys() != session.outputs.keys():
        raise CompileError([Diagnostic("damaged-file", f"{model!r} says that it came from a spec of another model")])
    return checked


def _ending(output: str) -> str:
    ending = Path(output).suffix.lower()
    if ending not in WRITERS:
        what = f"files that end in {ending!r}" if ending else "a file without an ending"
        raise UsageError("bad-option", f"cannot write {what}", "use .csv, .json or .npz")
    return ending


def _about(folder: Path) -> dict[str, Any]:
    try:
        found = read(folder / ABOUT).value
    except UsageError as error:
        help = "a RUN folder is what `jsonnx train -o RUN` writes"
        raise UsageError("unreadable-file", f"{str(folder)!r} is no RUN folder", help) from error
    about: dict[str, Any] = found if isinstance(found, dict) else {}
    places = [about.get("data_folder"), about.get("spec", SPEC)]
    if not all(isinstance(place, str) and "\0" not in place for place in places):
        raise CompileError(
            [Diagnostic("damaged-file", "does not say where the run's data is", file=str(folder / ABOUT))]
        )
    return about


def _batches(count: int) -> Iterator[slice]:
    return (slice(start, min(start + BATCH, count)) for start in range(0, count, BATCH))


Labels = Any
Outputs = dict[str, np.ndarray]


def _best(array: np.ndarray, labels: tuple[str, ...]) -> list[str]:
    """The likeliest class of every sample."""
    return [labels[index] for index in array.argmax(-1)]


def _csv(outputs: Outputs, labels: Labels) -> bytes:
    """A row a sample; an output of several values has a column each, and before them its likeliest class."""
    names: list[str] = []
    columns: list[Any] = []
    for name, array in outputs.items():
        known = labels.get(name, ())
        rows = array.reshape(len(array), -1)
        if known and array.ndim == 2 and array.shape[1] == len(known):
            names += [name, *(f"{name}: {label}" for label in known)]
            columns.append(_best(array, known))
        else:
            names += [name] if rows.shape[1] == 1 else [f"{name}_{index}" for index in range(rows.shape[1])]
        columns.extend(rows.T.astype(str))  # the shortest digits that mean the same number
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue().encode()


def plain(value: Any) -> Any:
    """Numbers as JSON knows them; null is what is not finite."""
    array = np.asarray(value)
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array.tolist()
    finite = array.astype(object)
    finite[~np.isfinite(array)] = None
    return finite.tolist()


def _json(outputs: Outputs, labels: Labels) -> bytes:
    """`{"outputs": {name: [...]}, "labels": {name: [...]}}`."""
    told: dict[str, Any] = {"outputs": {name: plain(array) for name, array in outputs.items()}}
    classes = {
        name: _best(outputs[name], known)
        for name, known in labels.items()
        if name in outputs and outputs[name].ndim == 2 and outputs[name].shape[1] == len(known)
    }
    return json.dumps(told | ({"labels": classes} if classes else {})).encode() + b"\n"


def _npz(outputs: Outputs, labels: Labels) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **outputs)  # type: ignore[arg-type]
    return file.getvalue()


WRITERS: dict[str, Callable[[Outputs, Labels], bytes]] = {".csv": _csv, ".json": _json, ".npz": _npz}
