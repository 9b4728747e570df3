"""The artefacts of one spec: compiled models, written files, and the graphs of a trainer's sessions."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import chdir, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import jsonnx
import numpy as np

from .cases import ROOT, Entry, Spec
from .package import command, session_makers
from .sessions import RecordedSession, SessionRun, record_sessions

Weights = dict[str, np.ndarray]
Artefact = tuple[str, bytes]
"""Name and content."""
IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""A folder in memory for temporary files, so that no time is spent on synchronising them with a disk."""


def artefacts(entry: Entry) -> Iterator[Artefact]:
    """Yields every artefact of the spec. An artefact that fails is replaced by the text of its error."""
    text = (ROOT / entry.spec).read_text("utf-8") if isinstance(entry.spec, str) else json.dumps(entry.spec)
    spec: Spec = json.loads(text)
    yield "spec", json.dumps(spec, sort_keys=True).encode()
    with TemporaryDirectory(dir=IN_MEMORY) as folder, chdir(ROOT if isinstance(entry.spec, str) else folder), quiet():
        weights = adapted_weights(entry.spec) if entry.learns else None
        yield from with_failure("inference", partial(inference_models, entry.spec, weights))
        yield from with_failure("command", partial(command_files, entry.spec, "training" in spec, Path(folder)))
        for threads in entry.threads if "training" in spec else ():
            name = f"threads-{threads}"
            yield from with_failure(name, partial(training_graphs, entry, weights, threads, name))


def with_failure(name: str, make: Callable[[], Iterable[Artefact]]) -> Iterator[Artefact]:
    """Yields the artefacts of `make`, and if it fails, the text of the error as `NAME/failure`."""
    try:
        yield from make()
    except Exception as error:  # errors are recorded like any other behaviour
        yield f"{name}/failure", without_paths(f"{type(error).__name__}: {error}").encode()


def adapted_weights(spec: Spec | str) -> Weights:
    """Returns the weights before the first step, including the states that layers adapt to the spec's data."""
    trainer = jsonnx.Trainer(spec)
    trainer.fit(epochs=0)
    return trainer.weights()


def inference_models(spec: Spec | str, weights: Weights | None) -> Iterator[Artefact]:
    """Yields the compiled model with and without folding."""
    yield "inference", jsonnx.compile(spec, weights).to_bytes()
    yield "inference-unfolded", jsonnx.compile(spec, weights, fold=False).to_bytes()


def command_files(spec: Spec | str, trains: bool, folder: Path) -> Iterator[Artefact]:
    """Yields the files that `jsonnx compile` writes, and its output."""
    if not isinstance(spec, str):
        (folder / "spec.json").write_text(json.dumps(spec), "utf-8")
    output = folder / "made" / ("" if trains else "model.onnx")
    output.parent.mkdir(exist_ok=True)
    arguments = ["compile", spec if isinstance(spec, str) else "spec.json", "-o", str(output)]
    status, text = command([*arguments, "--training"] if trains else arguments)
    yield "command/output", without_paths(f"{status}\n{text}", folder).encode()
    for file in sorted((folder / "made").glob("*")):
        yield f"command/{file.name}", file.read_bytes()


def training_graphs(entry: Entry, weights: Weights | None, threads: int, name: str) -> Iterator[Artefact]:
    """Yields the graphs that a trainer passes to onnxruntime on the CPU, and the options of their sessions."""
    with record_sessions() as sessions:
        trainer = jsonnx.Trainer(entry.spec, weights=weights, threads=threads)
        for graph, make in session_makers(trainer, entry.samples).items():
            yield from with_failure(f"{name}/{graph}", partial(created_sessions, f"{name}/{graph}", make, sessions))


def created_sessions(name: str, make: Callable[[], object], sessions: list[RecordedSession]) -> Iterator[Artefact]:
    """Yields the models and options of the sessions that `make` creates; none if it reuses existing sessions."""
    sessions.clear()
    with suppress(SessionRun):
        make()
    for index, session in enumerate(sessions):
        numbered = name if len(sessions) == 1 else f"{name}-{index}"
        yield numbered, session.model
        yield f"{numbered}/options", session.options.encode()


def without_paths(text: str, folder: Path | None = None) -> str:
    """Returns the text without the paths of the repository and of a temporary folder."""
    text = text.replace(str(folder), "FOLDER") if folder else text
    return text.replace(str(ROOT) + os.sep, "").replace(str(ROOT), "")


def quiet() -> warnings.catch_warnings:
    """Suppresses NumPy's warnings."""
    return warnings.catch_warnings(action="ignore")
