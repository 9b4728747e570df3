"""The server: tools, resources, and errors as data."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Collection, Sequence
from types import FrameType
from typing import Any

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.stdio import stdio_server
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import ValidationError

from ..core.diagnostics import CompileError, Diagnostic, UsageError, suggestion
from ..frontend.schema.phrases import short_name
from .command_line import CommandFolders
from .command_process import FailedCommand
from .jobs import Jobs
from .requests import RequestReader
from .served_folder import ServedFolder
from .temporary_folder import TemporaryFolder
from .tools import Tools

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)

INSTRUCTIONS = (
    "jsonnx turns a neural network that is written as a JSON file (a spec) into a trained ONNX model. Read the "
    "resource jsonnx://llms.txt first, the whole language on one page. Write a spec, call `validate` until it has "
    "no errors, look at `summary`, and call `train`, first as a dry run. Paths are relative to the served folder."
)

READ_ONLY = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
ADDS = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
REPLACES = ToolAnnotations(read_only_hint=False, destructive_hint=True, open_world_hint=False)


class SpecServer(MCPServer[Any]):
    """A server whose tools return errors as diagnostics, and refuse arguments that they do not have."""

    def __init__(self, folder: ServedFolder, jobs: Jobs, version: str) -> None:
        super().__init__("jsonnx", title="jsonnx", instructions=INSTRUCTIONS, version=version, log_level="WARNING")
        tools = Tools(folder, jobs)
        self._arguments: dict[str, list[str]] = {}
        self._add(READ_ONLY, tools.validate, tools.lint, tools.summary, tools.explain, tools.layers, tools.diff)
        self._add(READ_ONLY, tools.status)
        self._add(ADDS, tools.cancel, tools.evaluate)
        self._add(REPLACES, tools.fmt, tools.train, tools.predict)
        self._add_resources()

    def _add(self, annotations: ToolAnnotations, *tools: Callable[..., Any]) -> None:
        for tool in tools:
            self.add_tool(tool, annotations=annotations)
            self._arguments[tool.__name__] = [name for name in tool.__annotations__ if name != "return"]

    def _add_resources(self) -> None:
        @self.resource("jsonnx://llms.txt", mime_type="text/markdown")
        def language() -> str:
            """The language and the signatures of all layers on one page."""
            from ..render.reference.llms_page import llms_page

            return llms_page()

        @self.resource("jsonnx://schema.json", mime_type="application/schema+json")
        def schema() -> str:
            """The JSON Schema of specs."""
            from ..frontend.schema.editor_schema import editor_schema_text

            return editor_schema_text()

    async def run_stdio_async(self) -> None:
        """Answers the requests on standard input."""
        reader = anyio.wrap_file(RequestReader(sys.stdin.buffer, encoding="utf-8", errors="replace"))
        async with stdio_server(stdin=reader) as (requests, answers):
            await self._lowlevel_server.run(requests, answers, self._lowlevel_server.create_initialization_options())

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:
        """Calls a tool. A user's mistake is a result with diagnostics, marked as an error."""
        if name not in self._arguments:
            return _failure([_unknown_name("the server has no tool", name, self._arguments)])
        known = self._arguments[name]
        unknown = [argument for argument in arguments if argument not in known]
        if unknown:
            return _failure([_unknown_name(f"the tool {name} has no argument", unknown[0], known)])
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            diagnostics = _diagnostics_of(error.__cause__)
            if diagnostics is None:
                raise  # a defect, which the SDK logs
            return _failure(diagnostics)


def _diagnostics_of(error: BaseException | None) -> Sequence[Diagnostic | dict[str, Any]] | None:
    """The diagnostics of an error that a client can correct; None for any other."""
    if isinstance(error, UsageError):
        return [error.diagnostic]
    if isinstance(error, (CompileError, FailedCommand)):
        return error.diagnostics
    if isinstance(error, ValidationError):
        return [
            Diagnostic("bad-option", f"{'.'.join(map(str, diagnostic['loc']))}: {diagnostic['msg']}")
            for diagnostic in error.errors()
        ]
    if isinstance(error, OSError):
        return [Diagnostic("system-failure", f"the operating system reports an error: {error.strerror}")]
    return None


def _unknown_name(message: str, name: str, known: Collection[str]) -> Diagnostic:
    help = suggestion(name, known) or f"there are {', '.join(known)}"
    return Diagnostic("bad-option", f"{message} {short_name(name)}", help=help)


def _failure(diagnostics: Sequence[Diagnostic | dict[str, Any]]) -> CallToolResult:
    from ..render.diagnostics.diagnostics_json import diagnostics_json

    values = [value if isinstance(value, dict) else diagnostics_json([value])[0] for value in diagnostics]
    content = {"diagnostics": values}
    text = json.dumps(content, ensure_ascii=False)
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=content, is_error=True)


def serve(root: str) -> None:
    """Serves a folder on standard input and output until the client ends the connection, or a signal this process; then
    ends all jobs."""
    from ..backend import package_version

    folder, temporary = ServedFolder(root), TemporaryFolder()
    jobs = Jobs(CommandFolders(folder.path, temporary.path))

    def close() -> None:
        jobs.close()
        temporary.remove()

    _end_on_signals(close)
    try:
        SpecServer(folder, jobs, package_version()).run("stdio")
    finally:
        close()


def _end_on_signals(close: Callable[[], None]) -> None:
    """Calls `close` and ends the process at a signal: the thread that reads standard input cannot be interrupted."""

    def end(number: int, frame: FrameType | None) -> None:
        for each in ENDING_SIGNALS:
            signal.signal(each, signal.SIG_DFL)  # the next one ends the process at once
        close()
        os._exit(128 + number)

    for number in ENDING_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)
