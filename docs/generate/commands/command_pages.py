"""The pages of the commands of the command line."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import click
from jsonnx.cli import main
from jsonnx.cli.examples import EXAMPLES
from jsonnx.core.system.documentation import page_path

from ..guides import guide_lines
from ..printed import printed
from .command_facts import SHOWN_EXAMPLES, STATUS_1, SUBJECTS

ROOT = Path(__file__).parents[3]
PIPE = r"\|"
"""A vertical bar within a cell of a table."""

INTRODUCTION = """\
`jsonnx COMMAND --help` prints the page of a command. Results go to standard output; progress and diagnostics go to
standard error. [The command line](../../guides/tools/command-line.md) shows what to do with the commands."""

STATUSES = {
    "0": "all is well",
    "1": "the input has an error",
    "2": "wrong usage, a missing file, package or provider",
    "130": "interrupted by Ctrl-C",
}
"""The exit statuses of all commands."""


def command_pages() -> dict[str, str]:
    """The Markdown of each page by its path in docs/: `reference/commands/train.md`."""
    pages = {f"{page_path('command', name)}.md": _page(name) for name in main.commands}
    return pages | {"reference/commands/index.md": _index()}


def command_names() -> dict[str, str]:
    """The page of each command: `jsonnx train`."""
    return {f"jsonnx {name}": f"{page_path('command', name)}.md" for name in main.commands}


def _page(name: str) -> str:
    command = main.commands[name]
    with click.Context(command, info_name=f"jsonnx {name}") as context:
        usage = " ".join([f"jsonnx {name}", *command.collect_usage_pieces(context)])
    lines = [f"# jsonnx {name}", "", "```", usage, "```", "", inspect.cleandoc(command.help or "")]
    lines += [*_examples(name), "", "## Options", "", *_options(command), "", "## Exit status", "", *_statuses(name)]
    lines += [*_see_also(name), *guide_lines(rf"jsonnx {name}(?![\w-])")]
    return "\n".join(lines) + "\n"


def _examples(name: str) -> Iterator[str]:
    yield from ("", "## Examples", "", "```bash", *EXAMPLES[name], "```")
    if name in SHOWN_EXAMPLES:
        with chdir(ROOT):
            shown = printed(SHOWN_EXAMPLES[name])
        yield from ("", "In the folder of the repository:", "", *shown.console())


# -- options ---------------------------------------------------------------------------------------------------------


def _options(command: click.Command) -> Iterator[str]:
    options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
    yield from ("| option | meaning |", "| --- | --- |", *map(_option_row, options))


def _option_row(option: click.Option) -> str:
    names = ", ".join(sorted(option.opts, key=len))
    value = "" if option.is_flag else f" {option.metavar or _value_names(option.type)}"
    default = f" Default: {option.default}." if option.show_default and not option.is_flag else ""
    needed = " Required." if option.required else ""
    cells = (f"`{names}{value}`", f"{option.help or ''}{needed}{default}")
    return f"| {' | '.join(cell.replace('|', PIPE) for cell in cells)} |"


def _value_names(type_: click.ParamType[Any]) -> str:
    """The values of an option without a metavar."""
    if isinstance(type_, click.Choice):
        return "|".join(map(str, type_.choices))
    return "TEXT" if type_ is click.STRING else "N"


# -- further sections ------------------------------------------------------------------------------------------------


def _statuses(name: str) -> Iterator[str]:
    yield from ("| status | means |", "| --- | --- |")
    for status, meaning in {**STATUSES, **({"1": STATUS_1[name]} if name in STATUS_1 else {})}.items():
        yield f"| {status} | {meaning} |"


def _see_also(name: str) -> list[str]:
    kin = next(names for names in SUBJECTS.values() if name in names)
    return ["", "## See also", "", *(_item(other) for other in kin if other != name)]


def _item(name: str) -> str:
    return f"- [`jsonnx {name}`]({name}.md): {main.commands[name].get_short_help_str(limit=200)}"


def _index() -> str:
    """The page that lists the commands by subject."""
    lines = ["# Commands", "", INTRODUCTION]
    for subject, names in SUBJECTS.items():
        lines += ["", f"## {subject}", "", *map(_item, names)]
    return "\n".join([*lines, "", "```{toctree}", ":hidden:", "", *sorted(main.commands), "```"]) + "\n"
