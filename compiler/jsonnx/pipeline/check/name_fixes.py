"""Which fixes of names are certain: default names of layers depend on the types, names and number of all entries."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ...core.diagnostics import Diagnostic

NAME_CODES = ("unknown-name", "unknown-figure")
"""Codes of errors at a name whose fix is a name that exists."""

CODES_OF_OTHER_ERRORS = (*NAME_CODES, "cycle", "shape-mismatch", "unused-input", "unused-layer", "wrong-inputs")
"""Codes of errors in layers that do not affect their names."""

_NAMING_SECTION = r"\$\.(?:layers|blocks|inputs|parameters|scales)\b"
_USE = r"\$\.(?:layers|blocks\.\w+\.layers)\[\d+\]\.use$"
_ROOT_KEY = r"\$(?:\.\w+|\['[^']*'\])?"
_NUMBER = r"\d+|(?<=_)[A-Za-z]$"


def with_certain_name_fixes(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """The diagnostics, whose fixes of names are left out while other errors affect the names of layers.

    A fix that changes only the number in a name is not safe: names of other layers differ from it in that way, too.
    """
    unsettled = [item for item in diagnostics if item.severity == "error" and _affects_names(item)]
    return [_with_certain_fix(item, unsettled) for item in diagnostics]


def _affects_names(error: Diagnostic) -> bool:
    """Whether other layers, or layers with other names, may be meant at an error."""
    if error.code in CODES_OF_OTHER_ERRORS:
        return bool(re.match(_USE, error.path))
    is_root_key = error.code in ("unknown-key", "wrong-type") and bool(re.fullmatch(_ROOT_KEY, error.path))
    return is_root_key or bool(re.match(_NAMING_SECTION, error.path))


def _with_certain_fix(diagnostic: Diagnostic, unsettled: Sequence[Diagnostic]) -> Diagnostic:
    fix = diagnostic.fix
    if fix is None or diagnostic.code not in NAME_CODES:
        return diagnostic
    if any(error is not diagnostic for error in unsettled):
        return replace(diagnostic, fix=None)
    renamed = [(edit.path[-1] if edit.op == "move" else edit.old, edit.new_key or edit.value) for edit in fix.edits]
    if any(isinstance(old, str) and isinstance(new, str) and _differ_in_number(old, new) for old, new in renamed):
        return replace(diagnostic, fix=replace(fix, is_safe=False))
    return diagnostic


def _differ_in_number(name: str, other: str) -> bool:
    """Whether two names differ alone in digits or a last letter, as `conv2d_1` and `conv2d`, `conv_a` and `conv_b`."""
    texts = [re.sub(_NUMBER, "", text).replace("_", "").lower() for text in (name, other)]
    return texts[0] == texts[1] and re.findall(_NUMBER, name) != re.findall(_NUMBER, other)
