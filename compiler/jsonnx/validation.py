"""The first half of the pipeline: text -> network -> types, and everything that is wrong on the way.

Light: imports neither NumPy nor onnx, so that checking a spec feels instant. Stages hand frozen values on; `after`,
where given, is called with the name and the value of each, for printing, timing and tests.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .diagnostics import CompileError, Diagnostic, Report, UsageError
from .frontend.load import load
from .frontend.network import Network
from .frontend.source import Source, from_value, read_file, read_text
from .passes.objective import objective as make_objective
from .passes.shapes import TypedNetwork, infer_shapes
from .passes.shared import check_shared
from .training.objective import Objective

Spec = str | os.PathLike[str] | Mapping[str, Any]
"""A path, a JSON text (beginning with `{`) or a Python dict."""

After = Callable[[str, Any], None]


def ignore(stage: str, value: Any) -> None:
    """The hook that does nothing."""


@dataclass(frozen=True)
class Checked:
    """A spec as far as it could be understood, with everything that is wrong with it."""

    source: Source
    diagnostics: list[Diagnostic]
    typed: TypedNetwork | None = None
    objective: Objective | None = None

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
        named = self.source.file not in (None, "-")
        return Path(self.source.file).parent if named and self.source.file else Path()


def read(spec: Spec) -> Source:
    """The JSON value of a spec. Raises CompileError, or UsageError for a file that cannot be read."""
    if isinstance(spec, Mapping):
        return from_value(dict(spec))
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
    network = load(source.value, report)
    after("network", network)
    if network is None:
        return Checked(source, list(report))
    typed = infer_shapes(network, report)
    after("typed", typed)
    check_shared(typed, report)
    objective = make_objective(typed, report)
    return Checked(source, list(report), typed, objective)


def changed(source: Source, change: str) -> Source:
    """The source with one value replaced: a dotted path, `=`, and JSON (or a plain word, as a string)."""
    path, equals, text = change.partition("=")
    steps = path.split(".")
    if not equals or not all(steps):
        raise UsageError("bad-option", f"--set {change}: not of the form KEY=VALUE", "as in --set training.epochs=3")
    try:
        value = read_text(text).value
    except CompileError:
        value = text
    return replace(source, value=_replaced(source.value, steps, value, change))


def _replaced(inside: Any, steps: list[str], value: Any, change: str) -> Any:
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(inside, dict):
        return inside | {step: _replaced(inside.get(step, {}), rest, value, change)}
    if isinstance(inside, list) and step.isdigit() and int(step) < len(inside):
        index = int(step)
        return [*inside[:index], _replaced(inside[index], rest, value, change), *inside[index + 1 :]]
    raise UsageError("bad-option", f"--set {change}: the spec has no place {step!r} there")


def validate(spec: Spec) -> list[Diagnostic]:
    """Every fault of a spec, in the order of the file; an empty list where it is sound."""
    try:
        return check(spec).diagnostics
    except CompileError as error:
        return error.diagnostics
