"""Examines a document: every stage must succeed or end with diagnostics; an internal error is a finding."""

from __future__ import annotations

import json
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import jsonnx
from jsonnx.core.diagnostics import CompileError, Diagnostic, UsageError
from jsonnx.frontend.json.json_reader import read_text
from jsonnx.frontend.text.formatter import format_source
from jsonnx.pipeline.check.check import CheckedSpec, check_spec
from jsonnx.render.diagnostics.diagnostics import FORMATS, position_of, render
from jsonnx.render.diagnostics.source_excerpts import read_excerpts
from jsonnx.render.explanations import explain

PACKAGE = str(Path(jsonnx.__file__).parent)

REFUSED_LATER = {"no-gradient", "not-learned", "too-large", "file-not-found", "unreadable-file", "not-exportable"}
"""Codes of errors that `validate` need not report: they need the operators, the weights' sizes, other files, or
depend on what the network is for."""

MAX_MESSAGE_CHARACTERS = 300

OTHER_SPEC: dict[str, Any] = {
    "inputs": {"x": {"shape": [4]}},
    "layers": [{"type": "Dense", "units": 2}],
    "training": {"loss": "mse"},
}
"""A spec with which documents are compared."""


class Finding(NamedTuple):
    """An internal error: the stage, the exception's type, the function that raised it, and the message."""

    stage: str
    kind: str
    place: str
    message: str

    @property
    def group(self) -> tuple[str, str, str]:
        return self.stage, self.kind, self.place


class TimeLimitExceeded(BaseException):
    """The document took too much processor time."""


class Contradiction(Exception):
    """Two stages disagree about a document, or a stage breaks a promise."""


@dataclass
class Outcome:
    """How far a document came, and what was found."""

    stages: list[str] = field(default_factory=list)
    """The stages that succeeded."""
    codes: list[str] = field(default_factory=list)
    """The codes of the diagnostics."""
    findings: list[Finding] = field(default_factory=list)


def examine(text: str, seconds: float = 20.0) -> Outcome:
    """Runs the stages on a document, each with a limit of processor time. Stops at the first failure of one."""
    outcome = Outcome()

    def run(stage: str, action: Callable[[], Any]) -> Any:
        """The result of a stage; None if it fails."""
        try:
            with time_limit(seconds):
                result = action()
            outcome.stages.append(stage)
            return result
        except (CompileError, UsageError) as error:
            diagnostics = error.diagnostics if isinstance(error, CompileError) else [error.diagnostic]
            outcome.codes += [diagnostic.code for diagnostic in diagnostics]
            late = [d for d in diagnostics if d.code not in REFUSED_LATER]
            if stage not in ("validate", "fmt", "scale") and late:
                outcome.findings.append(
                    Finding(stage, "RefusedLate", late[0].code, str(late[0])[:MAX_MESSAGE_CHARACTERS])
                )
        except (Exception, TimeLimitExceeded, RecursionError, MemoryError) as error:
            message = str(error)[:MAX_MESSAGE_CHARACTERS]
            outcome.findings.append(Finding(stage, type(error).__name__, _place(error), message))
        return None

    run("fmt", lambda: check_formatting(text))
    checked = run("validate", lambda: check_spec(text))
    if checked is not None:
        outcome.codes += [diagnostic.code for diagnostic in checked.diagnostics]
        run("report", lambda: check_diagnostics(checked, text))
        if all(diagnostic.severity != "error" for diagnostic in checked.diagnostics):
            _examine_sound(checked, run)
        for scale in _scales(checked):
            run("scale", lambda: check_spec(text, scale=scale))  # noqa: B023
    return outcome


def _scales(checked: CheckedSpec) -> list[str]:
    """The names of the document's scales, of which two are examined."""
    value = checked.source.value
    scales = value.get("scales") if isinstance(value, dict) else None
    return list(scales)[:2] if isinstance(scales, dict) else []


def _examine_sound(checked: CheckedSpec, run: Callable[[str, Callable[[], Any]], Any]) -> None:
    """Runs the stages of a document without errors."""
    from jsonnx.ir import with_vocabularies
    from jsonnx.lowering.cost import cost_table
    from jsonnx.pipeline.compile.compile import compile_checked
    from jsonnx.pipeline.compile.graphs import inference_graph
    from jsonnx.pipeline.compile.keras_config import export_config
    from jsonnx.pipeline.train.plan_training import plan_training
    from jsonnx.pipeline.train.training_export import manifest, verified_step
    from jsonnx.render.networks.tables import summary_json, summary_text

    def summary() -> bool:
        typed = checked.require()
        rows = model.rows() if model is not None else cost_table(typed, inference_graph(checked))
        summary_json(typed.network, rows)
        if len(checked.source.text) % 16 == 0:  # rich is slow
            summary_text(typed.network, rows)
        return True

    model = run("compile", lambda: compile_checked(checked))
    run("summary", summary)
    if model is not None:
        run("verify", lambda: model.verify() or True)
        if len(checked.source.text) % 8 == 0:  # slow, and rarely at error
            run("session", model.session)
    if checked.objective is not None:
        plan = run("plan", lambda: plan_training(checked))
        if plan is not None and model is not None:
            train = with_vocabularies(plan.train, model.weights)
            run("verify step", lambda: verified_step(replace(plan, train=train), "step"))
            run("manifest", lambda: json.dumps(manifest(checked, plan)))
    if model is not None:
        run("keras", lambda: json.dumps(export_config(checked, model.weights).config))
    if len(checked.source.text) % 4 == 0:
        run("diff", lambda: check_comparison(checked))


def check_formatting(text: str) -> bool:
    """Formats a document. The result must be the same JSON value, and formatting it again must not change it."""
    source = read_text(text)
    formatted = format_source(source)
    again = read_text(formatted)
    if again.value != source.value and source.value == source.value:
        raise Contradiction("formatting changes the value")
    if format_source(again) != formatted:
        raise Contradiction("formatting twice differs from formatting once")
    return True


def check_diagnostics(checked: CheckedSpec, text: str) -> bool:
    """Renders the diagnostics. Each needs a position, a path and an explanation."""
    for diagnostic in checked.diagnostics:
        _check_diagnostic(diagnostic)
    positions = [position for d in checked.diagnostics if (position := position_of(d)) is not None]
    excerpts = read_excerpts(BytesIO(text.encode(errors="surrogatepass")), positions)
    for format in FORMATS:
        render(checked.diagnostics, format, excerpts={"": excerpts})
    return True


def check_comparison(checked: CheckedSpec) -> bool:
    """Compares a network with itself, which must find no changes, and with another one."""
    from jsonnx.pipeline.compare.compare_specs import compare_checked_specs
    from jsonnx.render.networks.spec_diff import comparison_json, comparison_text

    if not compare_checked_specs(checked, checked).is_empty:
        raise Contradiction("a network differs from itself")
    comparison = compare_checked_specs(check_spec(OTHER_SPEC), checked)
    comparison_text(comparison)
    json.dumps(comparison_json(comparison))
    return True


def _check_diagnostic(diagnostic: Diagnostic) -> None:
    if diagnostic.line is None or diagnostic.column is None:
        raise Contradiction(f"a diagnostic without a position: {diagnostic}")
    if explain(diagnostic.code) is None:
        raise Contradiction(f"a code without an explanation: {diagnostic.code}")


def _place(error: BaseException) -> str:
    """The innermost function of jsonnx that an exception passed, as `file:function`."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(PACKAGE)]
    if not frames:
        return "tests"
    frame = frames[-1]
    if frame.filename.endswith("ir/builder.py"):  # every operator is emitted there
        frame = next((f for f in reversed(frames) if not f.filename.endswith("ir/builder.py")), frame)
    return f"{Path(frame.filename).relative_to(PACKAGE)}:{frame.name}"


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises TimeLimitExceeded inside after this much processor time."""

    def stop(*_: object) -> None:
        raise TimeLimitExceeded(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
