"""Each command has a page with its usage, all of its options, and examples that run or parse."""

from __future__ import annotations

import inspect
from functools import cache

import click
import pytest
from generate.commands.command_facts import SHOWN_EXAMPLES, STATUS_1, SUBJECTS
from generate.commands.command_pages import ROOT, command_names, command_pages
from generate.printed import printed
from jsonnx.cli import main
from jsonnx.cli.examples import EXAMPLES
from support.document_blocks import parse_line


@cache
def pages() -> dict[str, str]:
    return command_pages()


def test_every_command_has_a_page_and_is_listed_once() -> None:
    assert set(command_names()) == {f"jsonnx {name}" for name in main.commands}
    assert sorted(name for names in SUBJECTS.values() for name in names) == sorted(main.commands)
    assert set(pages()) == {*command_names().values(), "reference/commands/index.md"}
    assert set(STATUS_1) | set(SHOWN_EXAMPLES) <= set(main.commands)


@pytest.mark.parametrize("name", main.commands)
def test_a_page_has_the_help_and_every_option(name: str) -> None:
    page = pages()[f"reference/commands/{name}.md"]
    assert inspect.cleandoc(main.commands[name].help or "") in page
    for parameter in main.commands[name].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert all(f"{option}" in page for option in parameter.opts), parameter.opts
            assert (parameter.help or "").replace("|", r"\|") in page


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_an_example_parses(line: str) -> None:
    parse_line(line)


@pytest.mark.parametrize("name", SHOWN_EXAMPLES)
def test_an_example_with_output_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    shown = printed(SHOWN_EXAMPLES[name])
    assert shown.status == 0, shown.text
    assert shown.text
