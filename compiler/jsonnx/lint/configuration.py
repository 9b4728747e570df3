"""Which rules run: the table `lint` of `jsonnx.toml`, or `tool.jsonnx.lint` of `pyproject.toml`.

The file nearest to a spec counts: in its folder, or else in the folders above. Of both files in one folder, jsonnx.toml
counts.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..core.diagnostics import UsageError, quoted_list, suggestion
from ..core.files.files import open_file
from ..sections.lint_codes import LINT_CODES

CONFIGURATION_FILE, PROJECT_FILE = "jsonnx.toml", "pyproject.toml"
MAX_CONFIGURATION_BYTES = 1 << 20
ALL_CODES = "all"
"""In place of a code, stands for all of them."""

LIST_KEYS = ("select", "extend-select", "ignore")
PER_FILE_KEY = "per-file-ignores"
LIST_HELP = "`jsonnx lint --list-rules` lists the codes"


@dataclass(frozen=True)
class Selection:
    """The codes that are selected in one place; `select` is None unless it replaces the default."""

    select: frozenset[str] | None = None
    extend_select: frozenset[str] = frozenset()
    ignore: frozenset[str] = frozenset()

    @property
    def named(self) -> frozenset[str]:
        return (self.select or frozenset()) | self.extend_select


NO_SELECTION = Selection()


@dataclass(frozen=True)
class Configuration:
    """The configuration of a folder."""

    selection: Selection = NO_SELECTION
    per_file_ignores: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Codes that are ignored in the files that a pattern matches, relative to `folder`, or by their name."""
    folder: Path | None = None

    def codes(self, file: Path | None, command_line: Selection, default: frozenset[str]) -> frozenset[str]:
        """The codes of the rules that run on a file. What the command line names takes precedence."""
        own = self.selection
        if command_line.select is not None:
            selected = command_line.select
        else:
            selected = (default if own.select is None else own.select) | own.extend_select
        ignored = (own.ignore | self._ignored_in(file)) - command_line.named
        return ((selected | command_line.extend_select) - ignored) - command_line.ignore

    def _ignored_in(self, file: Path | None) -> frozenset[str]:
        if file is None or self.folder is None:
            return frozenset()
        absolute = Path(os.path.abspath(file))
        relative = os.path.relpath(absolute, self.folder).replace(os.sep, "/")
        matching = [codes for pattern, codes in self.per_file_ignores.items() if _matches(pattern, relative, absolute)]
        return frozenset().union(*matching)


def _matches(pattern: str, relative: str, absolute: Path) -> bool:
    candidates = (relative, absolute.name) if "/" not in pattern else (relative,)
    return any(fnmatchcase(candidate, pattern.removeprefix("./")) for candidate in candidates)


def command_line_selection(
    select: Sequence[str] = (), extend_select: Sequence[str] = (), ignore: Sequence[str] = ()
) -> Selection:
    """The codes of options, each of which is one code or several that commas separate. Raises UsageError."""

    def codes(option: str, values: Iterable[str]) -> frozenset[str]:
        words = [word for value in values for part in value.split(",") if (word := part.strip())]
        for word in words:
            if not _is_known(word):
                message = f"{option} names the rule {word!r}, which does not exist"
                raise UsageError("unknown-rule", message, _rule_help(word))
        return _codes_of(words)

    chosen = codes("--select", select) if select else None
    return Selection(chosen, codes("--extend-select", extend_select), codes("--ignore", ignore))


def configuration_of(spec_file: str | os.PathLike[str] | None) -> Configuration:
    """The configuration that applies to a spec, or to standard input in the current folder. Raises UsageError."""
    folder = Path(os.path.abspath(spec_file)).parent if spec_file is not None else Path.cwd()
    return _nearest_configuration(folder)


def _nearest_configuration(folder: Path) -> Configuration:
    for parent in (folder, *folder.parents):
        for name in (CONFIGURATION_FILE, PROJECT_FILE):
            file = parent / name
            if file.is_file():
                status = os.stat(file)
                configuration = _read_once(file, status.st_mtime_ns, status.st_size)
                if configuration is not None:
                    return configuration
    return Configuration()


@lru_cache(maxsize=64)
def _read_once(file: Path, modified_ns: int, size: int) -> Configuration | None:
    """Reads a file again only after it has changed: an editor's server lives long."""
    return read_configuration(file)


def read_configuration(file: Path) -> Configuration | None:
    """The configuration in a file; None for a pyproject.toml without a table `tool.jsonnx`. Raises UsageError."""
    with open_file(file) as stream:
        content = stream.read(MAX_CONFIGURATION_BYTES + 1)
    try:
        if len(content) > MAX_CONFIGURATION_BYTES:
            raise ValueError(f"it is larger than {MAX_CONFIGURATION_BYTES:,} bytes")
        text = content.decode()
        document: Any = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "it nests too deeply" if isinstance(error, RecursionError) else str(error)
        message, help = f"it cannot be read as TOML: {reason}", "correct it, or pass --isolated to ignore it"
        raise _usage_error("bad-configuration", file, message, help) from None
    prefix = ""
    if file.name == PROJECT_FILE:
        prefix = "tool.jsonnx."
        tools = document.get("tool")
        document = tools.get("jsonnx") if isinstance(tools, dict) else None
        if document is None:
            return None
    return _Reader(file, text).configuration(document, prefix)


@dataclass(frozen=True)
class _Reader:
    """Reads the table `lint` of one file, and reports what is wrong in it with its line."""

    file: Path
    text: str

    def configuration(self, document: Any, prefix: str) -> Configuration:
        self._check_keys(document, ("lint",), prefix.rstrip(".") or "the file")
        table, name = document.get("lint", {}), f"{prefix}lint"
        self._check_keys(table, (*LIST_KEYS, PER_FILE_KEY), name)
        lists = {key: self._codes(f"{name}.{key}", key, table[key]) for key in LIST_KEYS if key in table}
        per_file = table.get(PER_FILE_KEY, {})
        if not isinstance(per_file, dict):
            raise self._error(f"{name}.{PER_FILE_KEY} must be a table of lists of codes", LIST_HELP, PER_FILE_KEY)
        ignores = {
            pattern: self._codes(f"{name}.{PER_FILE_KEY}.{pattern!r}", pattern, codes)
            for pattern, codes in per_file.items()
        }
        empty: frozenset[str] = frozenset()
        selection = Selection(lists.get("select"), lists.get("extend-select", empty), lists.get("ignore", empty))
        return Configuration(selection, ignores, self.file.parent)

    def _check_keys(self, table: Any, known: Collection[str], name: str) -> None:
        if not isinstance(table, dict):
            key = name.rpartition(".")[2]
            raise self._error(f"{name} must be a table", f"it has the keys {quoted_list(known)}", key)
        for key in table:
            if key not in known:
                help = suggestion(key, known) or f"known keys: {', '.join(known)}"
                raise self._error(f"{name} has no key {key!r}", help, key)

    def _codes(self, name: str, key: str, value: Any) -> frozenset[str]:
        if not isinstance(value, list) or not all(isinstance(code, str) for code in value):
            raise self._error(f"{name} must be a list of codes", LIST_HELP, key)
        unknown = next((code for code in value if not _is_known(code)), None)
        if unknown is not None:
            message = f"{name} names the rule {unknown!r}, which does not exist"
            raise _usage_error("unknown-rule", self.file, message, _rule_help(unknown), self._line(unknown))
        return _codes_of(value)

    def _error(self, message: str, help: str, word: str) -> UsageError:
        return _usage_error("bad-configuration", self.file, message, help, self._line(word))

    def _line(self, word: str) -> int | None:
        """The first line with a word. (TOML is read without positions.)"""
        lines = self.text.splitlines()
        return next((number for number, line in enumerate(lines, 1) if word in line), None)


def _is_known(code: str) -> bool:
    return code in LINT_CODES or code == ALL_CODES


def _rule_help(code: str) -> str:
    return suggestion(code, LINT_CODES) or LIST_HELP


def _codes_of(codes: Collection[str]) -> frozenset[str]:
    return frozenset(LINT_CODES if ALL_CODES in codes else codes)


def _usage_error(code: str, file: Path, message: str, help: str, line: int | None = None) -> UsageError:
    error = UsageError(code, message, help)
    error.diagnostic = replace(error.diagnostic, file=str(file), line=line, column=None if line is None else 1)
    return error
