"""Code actions: the fixes of diagnostics, one by one and all safe ones together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from lsprotocol import types

from ...core.diagnostics import Diagnostic
from ...core.fixes import TextEdit
from ...pipeline.edit.fix_file import fix_text
from ..checks.checks import SpecCheck, check_document
from ..checks.lsp_diagnostics import FIX_ALL, lsp_diagnostics
from ..documents.documents import Document
from ..documents.positions import BYTE_ORDER_MARK
from .formatting import replacing_edits


def code_actions(
    check: SpecCheck,
    selected: types.Range,
    only: Sequence[str] | None,
    sends_versions: bool,
    open_text: Callable[[Path], str | None],
) -> list[types.CodeAction]:
    """The fixes of the diagnostics that a range touches, and one action with all safe fixes, which checks anew after
    each of its passes."""
    shown = list(zip(check.diagnostics, lsp_diagnostics(check), strict=True))
    actions: list[types.CodeAction] = []
    if _is_wanted(types.CodeActionKind.QuickFix, only):
        touched = [pair for pair in shown if _touches(pair[1].range, selected)]
        actions += [action for pair in touched if (action := _quick_fix(check.document, *pair, sends_versions))]
    if _is_wanted(FIX_ALL, only) and any(item.fix is not None and item.fix.is_safe for item, _ in shown):
        edits = replacing_edits(check.document, _fixed_text(check, open_text))
        if edits:
            edit = edit_of(check.document, edits, sends_versions)
            actions.append(types.CodeAction("Apply all safe fixes", kind=FIX_ALL, edit=edit))
    return actions


def _fixed_text(check: SpecCheck, open_text: Callable[[Path], str | None]) -> str:
    """The text of a document after all safe fixes."""
    document = check.document

    def diagnostics(data: bytes) -> Sequence[Diagnostic]:
        text = data.decode(errors="surrogatepass")
        if text == document.text:
            return check.diagnostics
        return check_document(replace(document, text=text), lambda: False, open_text).diagnostics

    data = document.text.encode(errors="surrogatepass")
    return fix_text(data, document.path, diagnostics).after.decode(errors="surrogatepass")


def _is_wanted(kind: str, only: Sequence[str] | None) -> bool:
    """Whether the editor asked for a kind, or for one that includes it."""
    return only is None or any(kind == wanted or kind.startswith(f"{wanted}.") for wanted in map(str_of, only))


def str_of(kind: str | types.CodeActionKind) -> str:
    return kind.value if isinstance(kind, types.CodeActionKind) else kind


def _touches(place: types.Range, selected: types.Range) -> bool:
    ends = [(at.line, at.character) for at in (place.start, place.end, selected.start, selected.end)]
    return ends[0] <= ends[3] and ends[2] <= ends[1]


def _quick_fix(
    document: Document, diagnostic: Diagnostic, shown: types.Diagnostic, sends_versions: bool
) -> types.CodeAction | None:
    fix = diagnostic.fix
    if fix is None or not fix.text_edits:
        return None
    return types.CodeAction(
        fix.title,
        kind=types.CodeActionKind.QuickFix,
        diagnostics=[shown],
        is_preferred=fix.is_safe,
        edit=workspace_edit(document, fix.text_edits, sends_versions),
    )


def workspace_edit(document: Document, edits: Iterable[TextEdit], sends_versions: bool) -> types.WorkspaceEdit:
    """Edits of the text of a document, whose offsets do not count a byte order mark."""
    mark = int(document.text.startswith(BYTE_ORDER_MARK))
    places = ((document.positions.range(edit.start_offset + mark, edit.end_offset + mark), edit.text) for edit in edits)
    return edit_of(document, [types.TextEdit(place, text) for place, text in places], sends_versions)


def edit_of(document: Document, edits: Sequence[types.TextEdit], sends_versions: bool) -> types.WorkspaceEdit:
    """Edits as the editor takes them: of this version of the document, if it can check that."""
    if not sends_versions:
        return types.WorkspaceEdit(changes={document.uri: [*edits]})
    identifier = types.OptionalVersionedTextDocumentIdentifier(document.uri, document.version)
    return types.WorkspaceEdit(document_changes=[types.TextDocumentEdit(identifier, [*edits])])
