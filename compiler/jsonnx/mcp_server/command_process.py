"""Runs jsonnx commands in processes of their own, which end with the server, and reads what they print."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import anyio
from anyio.abc import ByteReceiveStream, Process

from ..core.diagnostics import CompileError, Diagnostic, UsageError
from .command_line import CommandFolders, command_environment, command_line

MAX_OUTPUT_BYTES = 64 << 20
MAX_MESSAGE_CHARACTERS = 4_000
"""Of what a failed command prints to standard error, the last characters that its diagnostic contains."""

QUICK_SECONDS, LONG_SECONDS = 120, 3_600
"""Time limits of commands that read a spec, and of commands that run a model."""


class CommandResult(NamedTuple):
    """The output of a command, and its exit status."""

    status: int
    stdout: bytes
    stderr: bytes


async def run_command(
    folders: CommandFolders, arguments: Sequence[str], stdin: bytes = b"", seconds: float = QUICK_SECONDS
) -> CommandResult:
    """Runs a command that is confined to folders and waits for its end; a cancelled call kills it.

    Raises UsageError `time-limit` after `seconds`, `too-large` if it prints more than `MAX_OUTPUT_BYTES`, and
    `bad-option` or `too-large` for arguments that no process can get.
    """
    line, environment = command_line(arguments), command_environment(folders)
    try:
        with anyio.fail_after(seconds):
            process = await anyio.open_process(line, cwd=folders.root, env=environment)
            try:
                return await _communicate(process, stdin)
            finally:
                await _end(process)
    except TimeoutError:
        help = "use a smaller network or less data; `train` runs as a job, without a time limit"
        raise UsageError("time-limit", f"the command was stopped after {seconds:g} seconds", help) from None


async def _communicate(process: Process, stdin: bytes) -> CommandResult:
    """Writes to the process, reads both outputs, and waits for its end."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    outputs: dict[str, bytes] = {}

    async def read(name: str, stream: ByteReceiveStream) -> None:
        parts: list[bytes] = []
        size = 0
        async for part in stream:
            parts.append(part)
            size += len(part)
            if size > MAX_OUTPUT_BYTES:
                process.kill()
                help = "write the result to a file with `output`"
                raise UsageError("too-large", f"the result has more than {MAX_OUTPUT_BYTES:,} bytes", help)
        outputs[name] = b"".join(parts)

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(read, "stdout", process.stdout)
            group.start_soon(read, "stderr", process.stderr)
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # it ended without reading all
                await process.stdin.send(stdin)
            await process.stdin.aclose()
    except* UsageError as errors:
        raise errors.exceptions[0] from None
    return CommandResult(await process.wait(), outputs["stdout"], outputs["stderr"])


async def _end(process: Process) -> None:
    """Kills a process that still runs, and closes its streams."""
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            process.kill()
        await process.wait()
        await process.aclose()


def json_of(result: CommandResult) -> Any:
    """The JSON document that a command printed.

    Raises FailedCommand if it printed diagnostics instead, CompileError with what it wrote to standard error otherwise.
    """
    try:
        value = json.loads(result.stdout)
    except ValueError:
        raise CompileError([failure_of(result)]) from None
    if result.status and isinstance(value, list) and all(isinstance(item, dict) and "code" in item for item in value):
        raise FailedCommand(value)
    return value


class FailedCommand(Exception):
    """A command printed diagnostics, which are JSON values, instead of a result."""

    def __init__(self, diagnostics: list[dict[str, Any]]) -> None:
        self.diagnostics = diagnostics
        super().__init__("\n".join(str(item.get("message")) for item in diagnostics))


def failure_of(result: CommandResult) -> Diagnostic:
    """The first error that a command wrote to standard error, or else the end of what it wrote."""
    text = result.stderr.decode("utf-8", "replace").strip()
    match = _ERROR.search(text)
    if match:
        return Diagnostic(match["code"], match["message"], help=match["help"])
    message = text[-MAX_MESSAGE_CHARACTERS:] or f"the command ended with status {result.status}"
    return Diagnostic("command-failed", message)


_ERROR = re.compile(r"^error\[(?P<code>[\w-]+)\]: (?P<message>.*)$(?:(?s:.*?)^ *= help: (?P<help>.*)$)?", re.MULTILINE)
