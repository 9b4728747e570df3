"""Runs the code blocks of a page from top to bottom, as a reader would, in one folder.

The first word after the fence is the language, the others say how the block is checked:

- `bash`: each line is run and must end with status 0, or with that of a comment `# exit status N`. `bash no-run` is not
  run, but each of its lines that begins with `jsonnx` must parse.
- `python`: runs in the namespace of the page. `python no-run` must compile; `python file=NAME` is saved, and imported.
- `json`: a spec, which must be valid, or with `file=NAME` is saved. `json fragment` has keys of a spec, which must be
  valid when they replace those of the spec before it. `json wrong=CODE` is a spec, or with `fragment` a part of one,
  that must have exactly the errors CODE (several with commas). `json no-run` is left to a test of its own.
- `console`: `$ COMMAND` is run as in `bash`, and the lines below it must be what it prints; `...` in a line stands for
  any text, and a line of `...` for any lines.
- Other languages are not checked, and need `no-run` to say so. Blocks without a language are output, not code.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from glob import glob
from itertools import takewhile
from pathlib import Path
from textwrap import dedent
from typing import Any

import click
import jsonnx
from jsonnx.cli import main
from support.commands import SOURCE
from support.commands import jsonnx as command

FENCED = re.compile(r"^( *)```(?:\{\w+\})?(\w*)(?: ([^\n]*))?\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
"""A fenced block: its indentation, its language (a directive has none), further words, its text."""

REDIRECTIONS = {"|", ">", ">>", "<", "2>", "&", "&&", "||", ";"}
"""What ends a command in a shell."""

LANGUAGES_NOT_RUN = {"js", "cpp", "html", "csharp", "lua", "yaml", "toml", "text"}

Json = Any


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and the line of its first line of code."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The name under which the block is saved."""
        return next((word.removeprefix("file=") for word in self.words if word.startswith("file=")), None)

    @property
    def runs(self) -> bool:
        return "no-run" not in self.words


def blocks_of(text: str) -> Iterator[Block]:
    """The blocks of a page that have a language."""
    for match in FENCED.finditer(text):
        if match[2]:
            line = text.count("\n", 0, match.start(4)) + 1
            yield Block(match[2], tuple((match[3] or "").split()), dedent(match[4]), line)


def merged(document: Json, fragment: Json) -> Json:
    """The document with the keys of a fragment, at all depths; lists are replaced."""
    if not isinstance(document, dict) or not isinstance(fragment, dict) or "type" in fragment:
        return fragment
    return {**document, **{key: merged(document.get(key), value) for key, value in fragment.items()}}


@dataclass
class PageRunner:
    """Runs the blocks of a page in the current folder. With `only_check`, commands are parsed and code is compiled."""

    only_check: bool = False
    namespace: dict[str, Any] = field(default_factory=lambda: {"__name__": "page"})
    spec: Json = None
    """The last spec of the page."""

    def run(self, block: Block) -> None:
        """Runs or checks a block. Raises AssertionError, or what its code raises."""
        if block.language == "bash":
            for line in command_lines(block.text):
                (self.run_line if self._runs(block) else parse_line)(line)
        elif block.language == "console":
            for line, shown in transcripts(block.text):
                if self._runs(block):
                    printed = self.run_line(line)
                    assert is_printed(shown, printed), f"{line} prints:\n{printed}"
                else:
                    parse_line(line)
        elif block.language == "python":
            self.run_python(block)
        elif block.language == "json" and block.runs:
            self.check_spec(block)
        else:
            assert block.language in {"json", *LANGUAGES_NOT_RUN}, f"the language {block.language} is not known"
            assert not block.runs, f"a block of {block.language} cannot be run: say no-run"

    def _runs(self, block: Block) -> bool:
        return block.runs and not self.only_check

    def run_line(self, line: str) -> str:
        """Runs a command, and returns what it prints."""
        code, _, comment = line.partition("#")
        expected = re.fullmatch(r"\s*exit status (\d)\b.*", comment)
        status = int(expected[1]) if expected else 0
        if re.fullmatch(r"jsonnx [^|<>&;$`]*", code):
            words = shlex.split(code)[1:]
            result = command(*[name for word in words for name in sorted(glob(word)) or [word]], status=status)
            return str(result.stdout + result.stderr)
        process = subprocess.run(["bash", "-ec", code], capture_output=True, text=True, env=shell_environment())
        assert process.returncode == status, (code, process.stdout, process.stderr)
        return process.stdout + process.stderr

    def run_python(self, block: Block) -> None:
        code = compile(block.text, f"line {block.line} of the page", "exec")
        if block.file and self._runs(block):
            Path(block.file).write_text(block.text)
            runpy.run_path(block.file)
        elif self._runs(block):
            exec(code, self.namespace)

    def check_spec(self, block: Block) -> None:
        codes = next(
            (word.removeprefix("wrong=").split(",") for word in block.words if word.startswith("wrong=")), None
        )
        spec: Json = block.text
        if "fragment" in block.words:
            assert self.spec is not None, "a fragment needs a spec before it"
            spec = merged(self.spec, json.loads(f"{{{block.text}}}"))
        errors = errors_of(spec)
        if codes is None:
            assert [str(error) for error in errors] == []
            self.spec = json.loads(spec) if isinstance(spec, str) else spec
        else:
            assert {error.code for error in errors} == {*codes}, [str(error) for error in errors]
        if block.file and "fragment" not in block.words:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.text)


def errors_of(spec: Any) -> list[jsonnx.Diagnostic]:
    """The diagnostics of a spec. The files that it names need not exist, nor what depends on them be known."""
    found = jsonnx.validate(spec)
    unread = any(diagnostic.code == "unreadable-file" for diagnostic in found)
    ignored = {"unreadable-file", "not-checked"} if unread else set()
    return [diagnostic for diagnostic in found if diagnostic.code not in ignored]


def transcripts(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a block of a console, each with the text that is shown below it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, shown = part.partition("\n")
        yield line, shown


def is_printed(shown: str, printed: str) -> bool:
    """Whether the shown text is the printed one, without space at the ends of lines."""
    pattern = "\n".join(
        r"(?:.*\n)*?.*" if line.strip() == "..." else ".*".join(map(re.escape, line.rstrip().split("...")))
        for line in shown.strip().splitlines()
    )
    return re.fullmatch(pattern, "\n".join(line.rstrip() for line in printed.strip().splitlines())) is not None


def command_lines(text: str) -> list[str]:
    """The commands of a block of bash; a line that ends in a backslash or within quotes continues."""
    commands: list[str] = []
    for line in text.replace("\\\n", " ").splitlines():
        if commands and is_open(commands[-1]):
            commands[-1] += f"\n{line}"
        elif line.strip() and not line.startswith("#"):
            commands.append(line)
    return commands


def is_open(command: str) -> bool:
    """Whether a command ends within quotes."""
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return True
    return False


def parse_line(line: str) -> None:
    """Checks commands and options of a line of jsonnx, up to a pipe or a redirection. Raises click.UsageError."""
    words = [*takewhile(lambda word: word not in REDIRECTIONS, shlex.split(line, comments=True))]
    if words[0] == "jsonnx" and words[1:2] and words[1][0] != "-":
        name, *arguments = words[1:]
        with click.Context(main.commands[name]) as context, suppress(click.exceptions.Exit):
            main.commands[name].parse_args(context, arguments)


def shell_environment() -> dict[str, str]:
    """The environment in which a shell finds `jsonnx` and `python`: those of the tests."""
    folder = Path(".commands")
    if not folder.exists():
        folder.mkdir()
        for name, arguments in (("jsonnx", "-m jsonnx"), ("python", "")):
            script = folder / name
            script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {arguments} "$@"\n')
            script.chmod(script.stat().st_mode | stat.S_IXUSR)
    path = os.pathsep.join([str(folder.absolute()), os.environ.get("PATH", "")])
    return {**os.environ, "PYTHONPATH": str(SOURCE), "PATH": path}
