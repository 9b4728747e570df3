"""The examples of the pages of codes: a wrong spec with what the command line prints for it, and the right one."""

from __future__ import annotations

import json
from functools import cache
from typing import NamedTuple

from jsonnx.core.diagnostics import CompileError
from jsonnx.frontend.json.json_reader import read_text
from jsonnx.frontend.text.formatter import format_source
from jsonnx.lint.rules import RULES
from jsonnx.render.explanations import explanation

from ..printed import Printed, example_folder, only_code, printed
from .example_specs import example_spec
from .scenes import SCENES

SPEC_FILE = "spec.json"

MAX_LINE_WIDTH = 90
"""Characters of an example on one line."""


class Example(NamedTuple):
    """A wrong and a right example, the languages of their blocks, and what a command prints."""

    wrong: str
    wrong_language: str
    right: str
    right_language: str
    printed: Printed | None
    """What is printed for the scene of the code, or, without one, for the wrong example."""


@cache
def example_of(code: str) -> Example:
    """The example of a code: that of its scene, a spec, or what its explanation has."""
    about = explanation(code)
    wrong, right = zip((about.wrong_example, about.right_example), about.languages, strict=True)
    written = Example(*_written(*wrong), *_written(*right), None)
    if code in SCENES:
        return written._replace(printed=_printed_in_scene(code))
    if about.languages[0] != "json":
        return written
    wrong, right = map(_spec_text, (about.wrong_example, about.right_example))
    shown = _printed_for_spec(code, wrong[0])
    return Example(*wrong, *right, shown) if shown is not None else written


def _written(example: str, language: str) -> tuple[str, str]:
    """An example as its explanation has it, and the language of its block; a long line of JSON is formatted."""
    if language != "json":
        return example, {"sh": "bash"}.get(language, language or "text")
    try:
        source = read_text(example.encode(), SPEC_FILE)
    except CompileError:  # several lines, or one with a comment
        return example, "text"
    return (format_source(source).rstrip("\n"), "json") if len(example) > MAX_LINE_WIDTH else (example, "json")


def _printed_in_scene(code: str) -> Printed:
    scene = SCENES[code]
    with example_folder(scene.all_files()):
        for command in scene.setup:
            printed(command)
        shown = printed(scene.command)
    text = only_code(shown.text, code)
    if not text:
        raise ValueError(f"`{scene.command}` does not print {code}, but: {shown.text}")
    return shown._replace(text=text)


def _printed_for_spec(code: str, spec_text: str) -> Printed | None:
    """What `validate`, or `lint` for a rule, prints about a code; None if it does not have the code."""
    command = f"jsonnx lint {SPEC_FILE} --select {code}" if code in RULES else f"jsonnx validate {SPEC_FILE}"
    with example_folder({SPEC_FILE: spec_text}):
        shown = printed(command)
    text = only_code(shown.text, code)
    return shown._replace(text=text) if text else None


def _spec_text(example: str) -> tuple[str, str]:
    """An example as the text of a whole spec, and the language of its block."""
    spec = example_spec(example)
    if isinstance(spec, str):
        return spec, "text"
    try:
        return format_source(read_text(json.dumps(spec).encode(), SPEC_FILE)).rstrip("\n"), "json"
    except CompileError:  # an example of text that is not JSON
        return example, "text"
