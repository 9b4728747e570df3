"""What is made of one spec: models, files, and graphs that sessions get."""

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
from .package import command, makers
from .sessions import RecordedSession, Stopped, recorded

Weights = dict[str, np.ndarray]
Artefact = tuple[str, bytes]
"""A name and a content."""
IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where temporary files cost no time to be synchronised with a disk, if there is such a place."""


def artefacts(entry: Entry) -> Iterator[Artefact]:
    """All that is made of the spec. In the place of what cannot be made is the text of the failure."""
    text = (ROOT / entry.spec).read_text("utf-8") if isinstance(entry.spec, str) else json.dumps(entry.spec)
    spec: Spec = json.loads(text)
    yield "spec", json.dumps(spec, sort_keys=True).encode()
    with TemporaryDirectory(dir=IN_MEMORY) as folder, chdir(ROOT if isinstance(entry.spec, str) else folder), quiet():
        weights = learned(entry.spec) if entry.learns else None
        yield from attempted("inference", partial(inference, entry.spec, weights))
        yield from attempted("command", partial(written, entry.spec, "training" in spec, Path(folder)))
        for threads in entry.threads if "training" in spec else ():
            name = f"threads-{threads}"
            yield from attempted(name, partial(trained, entry, weights, threads, name))


def attempted(name: str, make: Callable[[], Iterable[Artefact]]) -> Iterator[Artefact]:
    """What is made, up to a failure, and its text."""
    try:
        yield from make()
    except Exception as error:  # a fault of the package is behaviour, too
        yield f"{name}/failure", without_paths(f"{type(error).__name__}: {error}").encode()


def learned(spec: Spec | str) -> Weights:
    """The weights before the first step, with what layers learn from the spec's data."""
    trainer = jsonnx.Trainer(spec)
    trainer.fit(epochs=0)
    return trainer.weights()


def inference(spec: Spec | str, weights: Weights | None) -> Iterator[Artefact]:
    """The compiled model, and the one with every layer as it is written."""
    yield "inference", jsonnx.compile(spec, weights).to_bytes()
    yield "inference-unfolded", jsonnx.compile(spec, weights, fold=False).to_bytes()


def written(spec: Spec | str, trains: bool, folder: Path) -> Iterator[Artefact]:
    """The files that `jsonnx compile` writes, and what it prints."""
    if not isinstance(spec, str):
        (folder / "spec.json").write_text(json.dumps(spec), "utf-8")
    output = folder / "made" / ("" if trains else "model.onnx")
    output.parent.mkdir(exist_ok=True)
    arguments = ["compile", spec if isinstance(spec, str) else "spec.json", "-o", str(output)]
    status, text = command([*arguments, "--training"] if trains else arguments)
    yield "command/output", without_paths(f"{status}\n{text}", folder).encode()
    for file in sorted((folder / "made").glob("*")):
        yield f"command/{file.name}", file.read_bytes()


def trained(entry: Entry, weights: Weights | None, threads: int, name: str) -> Iterator[Artefact]:
    """The graphs that a trainer on the CPU hands to onnxruntime, and the options of their sessions."""
    with recorded() as found:
        trainer = jsonnx.Trainer(entry.spec, weights=weights, threads=threads)
        for graph, make in makers(trainer, entry.samples).items():
            yield from attempted(f"{name}/{graph}", partial(captured, f"{name}/{graph}", make, found))


def captured(name: str, make: Callable[[], object], found: list[RecordedSession]) -> Iterator[Artefact]:
    """The sessions that are made by this call. None where those that are there already serve."""
    found.clear()
    with suppress(Stopped):
        make()
    for index, session in enumerate(found):
        numbered = name if len(found) == 1 else f"{name}-{index}"
        yield numbered, session.model
        yield f"{numbered}/options", session.options.encode()


def without_paths(text: str, folder: Path | None = None) -> str:
    """The text without the places of the repository and of a temporary folder."""
    text = text.replace(str(folder), "FOLDER") if folder else text
    return text.replace(str(ROOT) + os.sep, "").replace(str(ROOT), "")


def quiet() -> warnings.catch_warnings:
    """Nothing is printed of NumPy's warnings."""
    return warnings.catch_warnings(action="ignore")
