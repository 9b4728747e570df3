"""The generated parts of pages of docs/ are up to date and complete."""

from __future__ import annotations

import inspect
from pathlib import Path

import click
import jsonnx
import pytest
from jsonnx.cli import main
from jsonnx.cli.generated_pages import MARKER, PAGES, public_members, renewed, signature_lines

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("path", PAGES)
def test_the_generated_part_of_a_page_is_up_to_date(path: str) -> None:
    page = (ROOT / path).read_text("utf-8")
    assert renewed(page, PAGES[path]()) == page, "run `make generate`"


def test_the_written_part_of_a_page_stays() -> None:
    page = renewed(f"# Title\n\nText.\n\n{MARKER}\n\nold\n", ["new"])
    assert page == f"# Title\n\nText.\n\n{MARKER}\n\nnew\n"
    with pytest.raises(ValueError, match="no line"):
        renewed("# Title\n", ["new"])


@pytest.mark.parametrize("name", main.commands)
def test_every_option_of_a_command_is_listed(name: str) -> None:
    _, _, section = (ROOT / "docs/guides/tools/command-line.md").read_text("utf-8").partition(f"\n### jsonnx {name}\n")
    section = section.partition("\n### ")[0]
    assert inspect.cleandoc(main.commands[name].help or "") in section
    for parameter in main.commands[name].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert all(f"{option}" in section for option in parameter.opts), parameter.opts
            assert (parameter.help or "") in section


def test_every_public_name_is_listed() -> None:
    text = (ROOT / "docs/guides/tools/python.md").read_text("utf-8")
    for name in jsonnx.__all__:
        value = getattr(jsonnx, name)
        assert f"\n### jsonnx.{name}\n" in text
        assert value.__doc__
        for member in public_members(value) if inspect.isclass(value) else ():
            assert f"\n#### {name}.{member}\n" in text


def test_signatures_have_types_and_defaults() -> None:
    def short(x: int, *rest: str, flag: bool = False) -> str:
        return ""

    def with_keyword(x: int, *, key: str | None = None, hook: object = print) -> None: ...

    assert signature_lines("f", short) == ["f(x: int, *rest: str, flag: bool = False) -> str"]
    assert signature_lines("f", with_keyword) == ["f(x: int, *, key: str | None = None, hook: object = ...) -> None"]
