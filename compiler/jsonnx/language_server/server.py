"""The language server: receives documents and requests, and answers from the newest check and the tree of the text."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from functools import wraps
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from lsprotocol import types
from pygls.exceptions import FeatureNotificationError, FeatureRequestError, JsonRpcException
from pygls.lsp.server import LanguageServer

from ..core.diagnostics import JsonPath
from .checks.aligned_facts import aligned_facts
from .checks.checks import SpecCheck
from .checks.entry_facts import EntryFacts
from .checks.lsp_diagnostics import FIX_ALL, lsp_diagnostics
from .checks.scheduler import Scheduler
from .documents.documents import Document, Documents
from .protocol import MessageInput, SpecProtocol

SERVER_NAME = "jsonnx"
CONFIGURATION_FILES = ("/jsonnx.toml", "/pyproject.toml")
"""The ends of the addresses of files that configure the rules."""
PARENT_POLL_SECONDS = 1.0
"""Seconds between two checks that the editor's process is alive."""

logger = logging.getLogger(__name__)


class SpecServer:
    """The server of one editor. All methods run in its event loop."""

    def __init__(self) -> None:
        self.connection = LanguageServer(
            SERVER_NAME,
            _package_version(),
            text_document_sync_kind=types.TextDocumentSyncKind.Incremental,
            protocol_cls=SpecProtocol,
        )
        self.connection.report_server_error = _log_error  # type: ignore[method-assign]
        self.documents = Documents()
        self.scheduler = Scheduler(self.on_check, self.on_costs, self.documents.open_text)
        self.pulls_diagnostics = self.has_snippets = self.refreshes_hints = self.refreshes_diagnostics = False
        self.sends_versions = self.has_shutdown = self.has_exit = False
        self._register()

    def run(self) -> int:
        """Serves standard input until it is closed, or the editor ends. Returns the exit status.

        The protocol wants 1 for an exit without a shutdown.
        """
        output = _claim_standard_output()
        try:
            self.connection.start_io(MessageInput(sys.stdin.buffer), output)  # type: ignore[arg-type]
        finally:
            self.scheduler.stop()
        return 1 if self.has_exit and not self.has_shutdown else 0

    def _register(self) -> None:
        """Registers the features. The texts are kept here, so that lines end where the reader of specs ends them."""
        builtin, feature = self.connection.protocol.fm.add_builtin_feature, self.connection.feature
        builtin(types.TEXT_DOCUMENT_DID_OPEN, _safe(self.did_open))
        builtin(types.TEXT_DOCUMENT_DID_CHANGE, _safe(self.did_change))
        builtin(types.TEXT_DOCUMENT_DID_CLOSE, _safe(self.did_close))
        feature(types.INITIALIZE)(_safe(self.initialize))
        feature(types.SHUTDOWN)(_safe(self.shutdown))
        feature(types.EXIT)(_safe(self.exit))
        feature(types.TEXT_DOCUMENT_DID_SAVE)(_safe(self.did_save))
        feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)(_safe(self.files_changed))
        feature(
            types.TEXT_DOCUMENT_DIAGNOSTIC,
            types.DiagnosticOptions(inter_file_dependencies=True, workspace_diagnostics=False, identifier=SERVER_NAME),
        )(_safe(self.diagnostic))
        feature(
            types.TEXT_DOCUMENT_COMPLETION,
            types.CompletionOptions(trigger_characters=['"', ":", "{", ".", "$", " "], resolve_provider=True),
        )(_safe(self.completion))
        feature(types.COMPLETION_ITEM_RESOLVE)(_safe(self.resolve_completion))
        feature(types.TEXT_DOCUMENT_HOVER)(_safe(self.hover))
        feature(types.TEXT_DOCUMENT_INLAY_HINT)(_safe(self.inlay_hint))
        feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)(_safe(self.document_symbol))
        feature(types.TEXT_DOCUMENT_FOLDING_RANGE)(_safe(self.folding_range))
        feature(types.TEXT_DOCUMENT_FORMATTING)(_safe(self.formatting))
        feature(types.TEXT_DOCUMENT_DEFINITION)(_safe(self.definition))
        feature(types.TEXT_DOCUMENT_REFERENCES)(_safe(self.references))
        feature(types.TEXT_DOCUMENT_PREPARE_RENAME)(_safe(self.prepare_rename))
        feature(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))(_safe(self.rename))
        kinds = [types.CodeActionKind.QuickFix, FIX_ALL]
        feature(types.TEXT_DOCUMENT_CODE_ACTION, types.CodeActionOptions(code_action_kinds=kinds))(
            _safe(self.code_action)
        )

    # -- the connection ----------------------------------------------------------------------------------------------

    def initialize(self, params: types.InitializeParams) -> None:
        """Notes what the editor can do."""
        capabilities = params.capabilities
        text, workspace = capabilities.text_document, capabilities.workspace
        encoding = self.connection.protocol.workspace.position_encoding
        self.documents.encoding = str(getattr(encoding, "value", encoding))
        self.pulls_diagnostics = text is not None and text.diagnostic is not None
        item = text.completion.completion_item if text is not None and text.completion is not None else None
        self.has_snippets = item is not None and item.snippet_support is True
        edit = workspace.workspace_edit if workspace is not None else None
        self.sends_versions = edit is not None and edit.document_changes is True
        hints = workspace.inlay_hint if workspace is not None else None
        pulled = workspace.diagnostics if workspace is not None else None
        self.refreshes_hints = hints is not None and hints.refresh_support is True
        self.refreshes_diagnostics = pulled is not None and pulled.refresh_support is True
        threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()
        if params.process_id:
            _exit_with(params.process_id)

    def shutdown(self, params: None) -> None:
        """Cancels what is under way."""
        self.has_shutdown = True
        self.scheduler.stop()

    def exit(self, params: None) -> None:
        self.has_exit = True

    def did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        document = self.documents.open(params.text_document)
        if document.is_spec:
            self.scheduler.submit(document)
        else:
            self._check_again(params.text_document.uri)

    def did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        document = self.documents.change(params)
        if document is not None and document.is_spec:
            self.scheduler.submit(document)
        elif document is not None:
            self._check_again(document.uri)

    def did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        """Forgets a document, and removes its diagnostics."""
        uri = params.text_document.uri
        document = self.documents.get(uri)
        self.documents.close(uri)
        self.scheduler.close(uri)
        if document is not None and document.is_spec and not self.pulls_diagnostics:
            self.connection.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, []))

    def did_save(self, params: types.DidSaveTextDocumentParams) -> None:
        self._check_again(params.text_document.uri)

    def files_changed(self, params: types.DidChangeWatchedFilesParams) -> None:
        self._check_again(*(change.uri for change in params.changes))

    def _check_again(self, *changed: str) -> None:
        """Checks the open specs again that may depend on changed files: those that name files, and all if the
        configuration of the rules has changed."""
        concerns_all = any(uri.endswith(CONFIGURATION_FILES) for uri in changed)
        for document in self.documents.specs():
            if document.uri not in changed and (concerns_all or self._names_files(document)):
                self.scheduler.submit(self.documents.renew(document))
                if self.pulls_diagnostics and self.refreshes_diagnostics:
                    self.connection.workspace_diagnostic_refresh(None)

    def _names_files(self, document: Document) -> bool:
        check = self.scheduler.latest(document.uri)
        files = check.checked.files if check is not None and check.checked is not None else []
        return len(files) > 1

    # -- diagnostics -------------------------------------------------------------------------------------------------

    def on_check(self, check: SpecCheck) -> None:
        """Sends the diagnostics of a check to an editor that does not ask for them."""
        if not self.pulls_diagnostics:
            document = check.document
            self.connection.text_document_publish_diagnostics(
                types.PublishDiagnosticsParams(document.uri, lsp_diagnostics(check), document.version)
            )

    def on_costs(self, check: SpecCheck) -> None:
        """Has the editor ask for the hints again, which now have the numbers of parameters."""
        if self.refreshes_hints:
            self.connection.workspace_inlay_hint_refresh(None)

    async def diagnostic(self, params: types.DocumentDiagnosticParams) -> types.DocumentDiagnosticReport:
        """Answers with the diagnostics of the newest version."""
        check = await self.scheduler.newest(params.text_document.uri)
        items = lsp_diagnostics(check) if check is not None else []
        result_id = f"{zlib.crc32(repr(items).encode(errors='backslashreplace')):x}"
        if params.previous_result_id == result_id:
            return types.RelatedUnchangedDocumentDiagnosticReport(result_id)
        return types.RelatedFullDocumentDiagnosticReport(items, result_id=result_id)

    # -- requests ----------------------------------------------------------------------------------------------------

    def _spec(self, identifier: types.TextDocumentIdentifier) -> Document | None:
        """An open spec that is not too long for anything but diagnostics."""
        document = self.documents.get(identifier.uri)
        return document if document is not None and document.is_spec and not document.is_large else None

    def _facts(self, document: Document) -> Mapping[JsonPath, EntryFacts]:
        return aligned_facts(document, self.scheduler.last_typed(document.uri))

    def completion(self, params: types.CompletionParams) -> types.CompletionList | None:
        from .features.completion import complete

        document = self._spec(params.text_document)
        if document is None:
            return None
        check = self.scheduler.last_typed(document.uri)
        return types.CompletionList(False, complete(document, params.position, check, self.has_snippets))

    def resolve_completion(self, item: types.CompletionItem) -> types.CompletionItem:
        """Adds the reference of a layer or another component to a completion."""
        from .features import component_docs

        data = item.data
        if isinstance(data, dict) and isinstance(data.get("kind"), str) and isinstance(data.get("name"), str):
            text = component_docs.component_text(data["kind"], data["name"])
            if text is not None:
                item.documentation = types.MarkupContent(types.MarkupKind.Markdown, text)
        return item

    def hover(self, params: types.HoverParams) -> types.Hover | None:
        from .features.hover import hover

        document = self._spec(params.text_document)
        return hover(document, params.position, self._facts(document)) if document is not None else None

    async def inlay_hint(self, params: types.InlayHintParams) -> list[types.InlayHint]:
        """The hints of a range, from the check of the newest version."""
        from .features.inlay_hints import inlay_hints

        await self.scheduler.newest(params.text_document.uri)
        document = self._spec(params.text_document)
        return inlay_hints(document, self._facts(document), params.range) if document is not None else []

    def document_symbol(self, params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
        from .features.outline import document_symbols

        document = self._spec(params.text_document)
        return document_symbols(document, self._facts(document)) if document is not None else []

    def folding_range(self, params: types.FoldingRangeParams) -> list[types.FoldingRange]:
        from .features.outline import folding_ranges

        document = self._spec(params.text_document)
        return folding_ranges(document) if document is not None else []

    def formatting(self, params: types.DocumentFormattingParams) -> list[types.TextEdit]:
        from .features.formatting import formatting_edits

        document = self._spec(params.text_document)
        return formatting_edits(document) if document is not None else []

    def definition(self, params: types.DefinitionParams) -> list[types.Location]:
        from .features.navigation import definitions

        document = self._spec(params.text_document)
        return definitions(document, params.position) if document is not None else []

    def references(self, params: types.ReferenceParams) -> list[types.Location]:
        from .features.navigation import references

        document = self._spec(params.text_document)
        with_definition = params.context.include_declaration
        return references(document, params.position, with_definition) if document is not None else []

    def prepare_rename(self, params: types.PrepareRenameParams) -> types.Range | None:
        from .features.renaming import renamed_place

        document = self._spec(params.text_document)
        return renamed_place(document, params.position) if document is not None else None

    async def rename(self, params: types.RenameParams) -> types.WorkspaceEdit | None:
        """Edits the newest version, after its check."""
        from .features.code_actions import edit_of
        from .features.renaming import RenameRefused, rename

        check = await self.scheduler.newest(params.text_document.uri)
        document = self._spec(params.text_document)
        if document is None:
            return None
        try:
            edits = await self.scheduler.run(
                lambda: rename(document, params.position, params.new_name, check, self.documents.open_text)
            )
        except RenameRefused as error:
            raise JsonRpcException(str(error), types.LSPErrorCodes.RequestFailed.value) from None
        return edit_of(document, edits, self.sends_versions) if edits is not None else None

    async def code_action(self, params: types.CodeActionParams) -> list[types.CodeAction]:
        """The fixes of the newest version, after its check."""
        from .features.code_actions import code_actions

        check = await self.scheduler.newest(params.text_document.uri)
        if check is None:
            return []
        only, open_text = params.context.only, self.documents.open_text
        return await self.scheduler.run(lambda: code_actions(check, params.range, only, self.sends_versions, open_text))


def _safe(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method as a function that the connection can register, and that logs exceptions before they are answered."""
    if asyncio.iscoroutinefunction(method):

        @wraps(method)
        async def answer_later(params: Any) -> Any:
            try:
                return await method(params)
            except JsonRpcException:  # an answer
                raise
            except Exception:
                logger.exception("%s failed", method.__name__)
                raise

        return answer_later

    @wraps(method)
    def answer(params: Any) -> Any:
        try:
            return method(params)
        except Exception:
            logger.exception("%s failed", method.__name__)
            raise

    return answer


def _package_version() -> str:
    try:
        return version("jsonnx")
    except PackageNotFoundError:  # a checkout that is not installed
        return "0"


def _log_error(error: Exception, source: Any) -> None:
    """Logs messages that cannot be read; the editor shows no message, which the user could not act on.

    Exceptions in a feature are logged where it is called.
    """
    if source not in (FeatureRequestError, FeatureNotificationError):
        logger.error("a message cannot be handled: %s", error)


def _claim_standard_output() -> Any:
    """Standard output for messages of the protocol alone: what else is printed goes to standard error."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return output


def _warm_up() -> None:
    """Imports what the first check, the first completion and the first costs need, in this order."""
    try:
        import jsonnx.pipeline.validate.validate

        from ..frontend.schema.editor_schema import editor_schema
        from .features.completion import known_types
        from .features.hover import hover  # noqa: F401
        from .features.outline import document_symbols  # noqa: F401

        editor_schema()
        known_types()
        import jsonnx.lowering.cost
        import jsonnx.pipeline.compile.graphs  # noqa: F401

        gc.freeze()
    except Exception:
        logger.exception("the warm-up failed")


def _exit_with(process_id: int) -> None:
    """Ends this process when the editor's process ends without a message."""

    def watch() -> None:
        while _is_alive(process_id):
            time.sleep(PARENT_POLL_SECONDS)
        os._exit(1)

    if process_id != os.getpid() and _is_alive(process_id):
        threading.Thread(target=watch, name="parent", daemon=True).start()


def _is_alive(process_id: int) -> bool:
    if sys.platform == "win32":  # signal 0 would end the process there; a closed standard input ends the server
        return True
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
