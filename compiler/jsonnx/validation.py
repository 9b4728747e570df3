"""The first half of the pipeline: text -> network -> types, and everything that is wrong on the way.

Light: imports neither NumPy nor onnx, so that checking a spec feels instant. Stages hand frozen values on; `after`,
where given, is called with the name and the value of each, for printing, timing and tests.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from .diagnostics import CompileError, Diagnostic, JsonPath, Note, Report, UsageError, path_text
from .frontend.load import load
from .frontend.network import Network
from .frontend.source import STANDARD, Source, from_value, read_file, read_text
from .frontend.vocabulary import named_files, with_vocabularies
from .passes.augmented import check_augmented
from .passes.objective import objective as make_objective
from .passes.outputs import check_outputs
from .passes.shapes import TypedNetwork, infer_shapes
from .passes.shared import check_shared
from .passes.vocabularies import check_vocabularies
from .runtime.files import UnsafePath, open_beneath
from .training.objective import Objective

Spec = str | os.PathLike[str] | Mapping[str, Any]
"""A path, a JSON text (beginning with `{`) or a Python dict."""

After = Callable[[str, Any], None]

STDIN = "<stdin>"
"""What the file is called that is read for `-`."""


def ignore(stage: str, value: Any) -> None:
    """The hook that does nothing."""


@dataclass(frozen=True)
class Checked:
    """A spec as far as it could be understood, with everything that is wrong with it."""

    source: Source
    diagnostics: list[Diagnostic]
    typed: TypedNetwork | None = None
    objective: Objective | None = None
    vocabularies: tuple[str, ...] = ()
    """The files that the spec names for tokens, which stand in the source by now."""

    @property
    def network(self) -> Network:
        """The network; raises CompileError where the spec has errors."""
        return self.sound.network

    @property
    def sound(self) -> TypedNetwork:
        """The typed network; raises CompileError where the spec has errors."""
        if self.typed is None or any(found.severity == "error" for found in self.diagnostics):
            raise CompileError(self.diagnostics)
        return self.typed

    @property
    def folder(self) -> Path:
        """Where relative paths in the spec begin."""
        return Path(self.source.file or STDIN).parent

    @property
    def files(self) -> list[Path]:
        """The spec's file and those that it names, as far as there are any."""
        training = self.typed.network.training if self.typed else None
        data = training.data if training else None
        named = [*self.vocabularies, *([data.train, data.validation, data.test] if data else [])]
        own = [Path(self.source.file)] if self.source.file not in (None, STDIN) else []
        return [*own, *(self.folder / name for name in named if name)]


def read(spec: Spec) -> Source:
    """The JSON value of a spec. Raises CompileError, or UsageError for a file that cannot be read."""
    if isinstance(spec, Mapping):
        return from_value(dict(spec))
    if not isinstance(spec, (str, os.PathLike)):
        raise TypeError(f"a spec is a path, a JSON text or a dict, got {type(spec).__name__}")
    if isinstance(spec, str) and spec.lstrip().startswith("{"):
        return read_text(spec)
    return read_file(spec)


def check(spec: Spec, after: After = ignore, changes: Sequence[str] = ()) -> Checked:
    """Everything that is wrong with a spec, after changes such as `training.epochs=3`.

    Raises CompileError only where it is no JSON at all, UsageError for a change that cannot be made.
    """
    source = read(spec)
    for change in changes:
        source = changed(source, change)
    after("source", source)
    report = Report(source.file, source.locate)
    named = tuple(named_files(source.value).values())
    source = replace(source, value=with_vocabularies(source.value, _opener(source, report), report))
    network = load(source.value, report)
    after("network", network)
    if network is None:
        return Checked(source, _told(report, changes))
    typed = infer_shapes(network, report)
    after("typed", typed)
    check_outputs(typed, report)
    check_vocabularies(typed, report)
    check_shared(typed, report)
    objective = make_objective(typed, report)
    check_augmented(typed, objective, report)
    return Checked(source, _told(report, changes), typed, objective, named)


def _opener(source: Source, report: Report) -> Callable[[str, JsonPath], IO[bytes] | None]:
    """What opens files beneath the spec's folder, and reports where that cannot be done."""
    folder = Path(source.file or STDIN).parent

    def opened(name: str, path: JsonPath) -> IO[bytes] | None:
        try:
            return open_beneath(folder, name)
        except UnsafePath as error:
            report.add("unsafe-path", path, str(error), help="name a file beneath the spec's folder")
        except UsageError as error:
            report.add(error.diagnostic.code, path, error.diagnostic.message)
        return None

    return opened


def _told(report: Report, changes: Sequence[str]) -> list[Diagnostic]:
    """The report's faults, with a note where the text that is shown is not what was checked."""
    changed_paths = {path_text(_steps(change)): f"--set {change}" for change in changes}
    return [
        replace(
            fault,
            notes=(
                *fault.notes,
                *(Note(f"changed by {by}") for path, by in changed_paths.items() if _within(fault.path, path)),
            ),
        )
        for fault in report
    ]


def _within(path: str, other: str) -> bool:
    return path == other or path.startswith((f"{other}.", f"{other}["))


def _steps(change: str) -> JsonPath:
    return tuple(int(step[:9]) if step.isdecimal() else step for step in change.partition("=")[0].split("."))


def changed(source: Source, change: str) -> Source:
    """The source with one value replaced: a dotted path, `=`, and JSON (or a plain word, as a string)."""
    _, equals, text = change.partition("=")
    steps = _steps(change)
    if not equals or "" in steps or len(steps) > STANDARD.depth:
        raise UsageError("bad-option", f"--set {change}: not of the form KEY=VALUE", "as in --set training.epochs=3")
    try:
        value = read_text(text).value
    except CompileError:
        value = text
    return replace(source, value=_replaced(source.value, steps, value, change))


def _replaced(inside: Any, steps: JsonPath, value: Any, change: str) -> Any:
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(inside, str):  # the short form of a brick, such as "adam"
        inside = {"type": inside}
    if isinstance(inside, dict) and isinstance(step, str):
        return inside | {step: _replaced(inside.get(step, {}), rest, value, change)}
    if isinstance(inside, list) and isinstance(step, int) and step < len(inside):
        return [*inside[:step], _replaced(inside[step], rest, value, change), *inside[step + 1 :]]
    there = f"a list of {len(inside)}, counted from 0" if isinstance(inside, list) else f"{inside!r}"
    raise UsageError("bad-option", f"--set {change}: there is no {str(step)!r} in {there}")


def validate(spec: Spec) -> list[Diagnostic]:
    """Every fault of a spec, in the order of the file; an empty list where it is sound."""
    try:
        return check(spec).diagnostics
    except CompileError as error:
        return error.diagnostics
