"""Each public name has a page with its signature, its docstring and an example that runs and prints what it says."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
from functools import cache
from pathlib import Path

import jsonnx
import pytest
from generate.python_names.example_scripts import FOLDER, MARKER, example_names, examples_of
from generate.python_names.python_pages import MODULES, public_members, public_names, python_names, python_pages
from generate.python_names.signatures import signature_lines
from support.commands import SOURCE

ROOT = Path(__file__).parents[3]


@cache
def pages() -> dict[str, str]:
    return python_pages()


def test_every_public_name_has_a_page_and_an_example() -> None:
    assert sorted(public_names()) == sorted([*jsonnx.__all__, *MODULES])
    assert set(MODULES) == set(jsonnx._MODULES)
    assert example_names() == sorted(public_names())
    assert set(pages()) == {*python_names().values(), "reference/python/index.md"}


@pytest.mark.parametrize("name", public_names())
def test_a_page_has_the_docstring_and_all_members(name: str) -> None:
    value, page = getattr(jsonnx, name), pages()[f"reference/python/{name}.md"]
    assert value.__doc__
    assert inspect.cleandoc(value.__doc__) in page
    for member in public_members(value) if inspect.isclass(value) else ():
        assert f"\n## {name}.{member}\n" in page or f"\n| `{member}` | " in page
    if name in MODULES and name != "ops":
        for member in value.__all__:
            assert f"\n## {name}.{member}\n" in page


@pytest.mark.parametrize("name", example_names())
def test_examples_are_those_of_members(name: str) -> None:
    shown = re.findall(r"^## (?:callbacks\.|ray\.)?(.+)$", pages()[f"reference/python/{name}.md"], re.MULTILINE)
    assert set(examples_of(name)) <= {name, *shown}


SLOW_EXAMPLES = ("Client", "sweep")
"""Examples that start processes."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW_EXAMPLES)) for name in example_names()],
)
def test_the_examples_of_a_page_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))  # of processes that an example starts
    text = (FOLDER / f"{name}.py").read_text("utf-8")
    compile(text, name, "exec")
    needs = next((match.start() for match in MARKER.finditer(text) if match["needs"]), len(text))
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(text[:needs], name, "exec"), {"__name__": "example"})
    assert "Traceback" not in output.getvalue()
    lines = iter(output.getvalue().splitlines())
    for promised in re.findall(r"^ *print\(.*\)  # (.+)$", text[:needs], re.MULTILINE):
        assert promised in lines, output.getvalue()  # of the lines after the one before


def test_signatures_have_types_and_defaults() -> None:
    def short(x: int, *rest: str, flag: bool = False) -> str:
        return ""

    def with_keyword(x: int, *, key: str | None = None, hook: object = print) -> None: ...

    assert signature_lines("f", short) == ["f(x: int, *rest: str, flag: bool = False) -> str"]
    assert signature_lines("f", with_keyword) == ["f(x: int, *, key: str | None = None, hook: object = ...) -> None"]
