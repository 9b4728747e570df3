"""What `evaluate` and `predict` work on: a RUN folder, or an ONNX model that knows its spec."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .backend import emit
from .diagnostics import CompileError, Diagnostic, UsageError
from .driver import plan, scoring_graph
from .runtime.conform import Wanted
from .runtime.data import Samples, from_file, from_spec
from .runtime.files import write_atomically
from .runtime.plan import Plan
from .runtime.progress import Totals
from .runtime.run_folder import MODEL, SPEC
from .runtime.session import Session
from .validation import Checked, check, read

BATCH = 512
"""Samples a call of the model: enough to be quick, few enough to fit."""


@dataclass(frozen=True)
class Deployed:
    """A trained model with the spec it came from; `file` is where relative data paths of the spec begin."""

    session: Session
    checked: Checked
    file: str | None

    @staticmethod
    def open(path: Path, provider: str = "cpu") -> Deployed:
        """From a RUN folder or a model file. Raises UsageError, CompileError."""
        if path.is_dir():
            about = _about(path)
            checked = check(path / SPEC)
            return Deployed(Session(path / MODEL, provider), checked, str(path / about["data_folder"] / SPEC))
        session = Session(path, provider)
        if "jsonnx.spec" not in session.metadata:
            help = "only models that jsonnx compiled can be evaluated; plain onnxruntime runs any model"
            raise CompileError([Diagnostic("no-spec", f"{str(path)!r} does not say what spec it came from", help=help)])
        return Deployed(session, check(session.metadata["jsonnx.spec"]), None)

    def evaluate(self, data: str | None) -> dict[str, float]:
        """Loss (without penalties on weights) and metrics, on a file or on the spec's test data."""
        objective = self.checked.objective
        made = self._plan()
        samples = self._samples(made, data)
        if objective is None:
            raise ValueError("a plan without an objective")
        scorer = Session(emit(scoring_graph(self.checked.sound, objective)), self.session.provider.name)
        totals = Totals(made)
        for rows in _batches(len(samples)):
            feeds = samples.take(rows)
            inputs = {name: feeds[name] for name in self.session.inputs}
            results = self.session.run(inputs)
            targets = {name: array for name, array in feeds.items() if name in scorer.inputs}
            totals.add(scorer.run({name: v for name, v in (results | targets).items() if name in scorer.inputs}), rows.stop - rows.start)
        return totals.figures()

    def predict(self, data: str, output: str | None, say: Callable[[str], None]) -> None:
        """Predictions for a file, as .csv, .json or .npz by the ending of `output`; None is csv through `say`."""
        ending = Path(output).suffix if output else ".csv"
        if ending not in WRITERS:
            raise UsageError("bad-option", f"cannot write {ending or 'a file without an ending'!r}", "use .csv, .json or .npz")
        typed = self.checked.sound
        training = typed.network.training
        wanted = Wanted(typed.inputs, {})
        samples = from_file(data, training.data if training else None, wanted, targets=False)
        parts = [self.session.run(samples.take(rows)) for rows in _batches(len(samples))]
        found = {name: np.concatenate([part[name] for part in parts]) for name in self.session.outputs}
        written = WRITERS[ending](found, typed.network.labels)
        if output:
            write_atomically(output, written)
        else:
            say(written.decode().rstrip("\n"))

    def _plan(self) -> Plan:
        made = plan(self.checked)
        return replace(made, file=self.file) if self.file else made

    def _samples(self, made: Plan, data: str | None) -> Samples:
        if data is not None:
            return from_file(data, made.training.data, made.wanted)
        samples = None
        if self.file is not None:
            samples = from_spec(made, "test") or from_spec(made, "validation")
        if samples is None:
            raise UsageError("no-data", "there is nothing to evaluate on", "name a file with --data")
        return samples


def _about(folder: Path) -> dict[str, Any]:
    try:
        about = read(folder / "run.json").value
    except UsageError as error:
        help = "a RUN folder is what `jsonnx train -o RUN` writes"
        raise UsageError("unreadable-file", f"{str(folder)!r} is no RUN folder", help) from error
    if not isinstance(about, dict) or not isinstance(about.get("data_folder"), str):
        raise CompileError([Diagnostic("damaged-file", "does not say where the run's data is", file=str(folder / "run.json"))])
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
        columns += [rows[:, index].tolist() for index in range(rows.shape[1])]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue().encode()


def _json(outputs: Outputs, labels: Labels) -> bytes:
    """`{"outputs": {name: [...]}, "labels": {name: [...]}}`."""
    told: dict[str, Any] = {"outputs": {name: array.tolist() for name, array in outputs.items()}}
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
