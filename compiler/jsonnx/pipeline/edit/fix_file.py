"""Applies the fixes of diagnostics to a spec file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ...core.diagnostics import CompileError, Diagnostic
from ...core.fixes import Fix
from ...frontend.json.json_reader import STDIN_NAME, Source, read_bytes, read_text
from ...frontend.text.text_edits import apply_text_edits, compatible_fixes
from .edited_file import EditedFile

MAX_PASSES = 100
"""Maximum number of checks of a file after fixes."""

BYTE_ORDER_MARK = "\ufeff"

Checker = Callable[[Source], Sequence[Diagnostic]]
"""Returns the diagnostics of a document."""

TextChecker = Callable[[bytes], Sequence[Diagnostic]]
"""Returns the diagnostics of a text, which may not be JSON."""


class FixedText(NamedTuple):
    """A text after its fixes."""

    after: bytes
    fix_count: int
    diagnostics: Sequence[Diagnostic]
    """The diagnostics that remain."""


@dataclass(frozen=True)
class FixedFile(EditedFile):
    """A spec file before and after its fixes."""

    fix_count: int = 0
    """The number of fixes that were applied."""
    diagnostics: Sequence[Diagnostic] = field(default=())
    """The diagnostics that remain, of the text after."""


def fix_file(path: str | os.PathLike[str], check: Checker, *, unsafe: bool = False) -> FixedFile:
    """Applies the safe fixes, or all, of a file's diagnostics; does not write the file. `-` is standard input.

    Raises UsageError if the file cannot be read.
    """
    name = os.fspath(path)
    before = read_bytes(name)
    file = STDIN_NAME if name == "-" else name
    fixed = fix_text(before, file, lambda data: diagnostics_of(data, file, check), unsafe=unsafe)
    return FixedFile(name, before, *fixed)


def fix_text(data: bytes, file: str | None, check: TextChecker, *, unsafe: bool = False) -> FixedText:
    """Applies the safe fixes, or all, of the diagnostics of a text until no more apply.

    Fixes that touch the same part of the text are applied in successive passes, each after a check.
    """
    count, seen = 0, {data}
    diagnostics = check(data)
    for _ in range(MAX_PASSES):
        fixes = compatible_fixes(fixes_of(diagnostics, file, unsafe=unsafe))
        fixed = _with_fixes(data, fixes)
        if fixed in seen:
            break
        seen.add(fixed)
        count += len(fixes)
        data, diagnostics = fixed, check(fixed)
    return FixedText(data, count, diagnostics)


def diagnostics_of(data: bytes, file: str, check: Checker) -> Sequence[Diagnostic]:
    """The diagnostics of a text, which may not be JSON."""
    try:
        return check(read_text(data, file))
    except CompileError as error:
        return error.diagnostics


def fixes_of(diagnostics: Sequence[Diagnostic], file: str | None, *, unsafe: bool) -> list[Fix]:
    """The fixes of one file; unsafe fixes only on request."""
    return [
        diagnostic.fix
        for diagnostic in diagnostics
        if diagnostic.fix is not None and diagnostic.file == file and (unsafe or diagnostic.fix.is_safe)
    ]


def _with_fixes(data: bytes, fixes: Sequence[Fix]) -> bytes:
    if not fixes:
        return data
    text = data.decode(errors="surrogatepass")  # an editor's text may contain any
    mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
    edits = [edit for fix in fixes for edit in fix.text_edits]
    return (mark + apply_text_edits(text.removeprefix(mark), edits)).encode(errors="surrogatepass")
