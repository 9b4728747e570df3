"""A client of the language server: a process that is spoken to over its standard streams, in plain JSON."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[3]
TIMEOUT_SECONDS = 60.0

Json = Any

FULL_CAPABILITIES = {
    "textDocument": {
        "completion": {"completionItem": {"snippetSupport": True}},
        "diagnostic": {},
        "inlayHint": {},
    },
    "workspace": {
        "diagnostics": {"refreshSupport": True},
        "inlayHint": {"refreshSupport": True},
        "workspaceEdit": {"documentChanges": True},
    },
}
"""What an editor such as VS Code can do."""


class LspError(Exception):
    """The server answered a request with an error."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(error["message"])
        self.code = error["code"]


class LspClient:
    """One server process. Use it as a context manager."""

    def __init__(self, capabilities: Mapping[str, Any] = {}, arguments: Sequence[str] = (), initialize: bool = True):
        path = os.pathsep.join([str(REPOSITORY / "compiler"), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jsonnx", "lsp", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.notifications: queue.Queue[Json] = queue.Queue()
        self.requests: list[Json] = []
        self.errors: list[bytes] = []
        self._responses: dict[int, queue.Queue[Json]] = {}
        self._last_id = 0
        self._versions: dict[str, int] = {}
        threading.Thread(target=self._read_messages, daemon=True).start()
        threading.Thread(target=self._read_errors, daemon=True).start()
        self.capabilities: Json = None
        if initialize:
            parameters = {"processId": os.getpid(), "rootUri": None, "capabilities": capabilities}
            self.capabilities = self.request("initialize", parameters)["capabilities"]
            self.notify("initialized", {})

    def __enter__(self) -> LspClient:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            try:
                self.request("shutdown", None)
                self.notify("exit", None)
            except OSError:
                pass
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()

    # -- messages ----------------------------------------------------------------------------------------------------

    def _read_messages(self) -> None:
        stream = self.process.stdout
        while True:
            length = 0
            while (line := stream.readline()) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            body = stream.read(length) if line else b""
            if not body:
                return
            message = json.loads(body)
            if "method" not in message:
                self._responses[message["id"]].put(message)
            elif "id" in message:
                self.requests.append(message)
                self.send({"jsonrpc": "2.0", "id": message["id"], "result": None})
            else:
                self.notifications.put(message)

    def _read_errors(self) -> None:
        self.errors.extend(iter(self.process.stderr.readline, b""))

    def send(self, message: Json) -> None:
        self.send_bytes(json.dumps(message).encode())

    def send_bytes(self, body: bytes) -> None:
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def request(self, method: str, params: Json) -> Json:
        """The result of a request. Raises LspError."""
        return self.answer(self.start_request(method, params))

    def start_request(self, method: str, params: Json) -> int:
        self._last_id += 1
        self._responses[self._last_id] = queue.Queue()
        self.send({"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params})
        return self._last_id

    def answer(self, request: int) -> Json:
        message = self._responses[request].get(timeout=TIMEOUT_SECONDS)
        if "error" in message:
            raise LspError(message["error"])
        return message["result"]

    def notify(self, method: str, params: Json) -> None:
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    # -- documents ---------------------------------------------------------------------------------------------------

    def open(self, uri: str, text: str, language: str = "json") -> None:
        self._versions[uri] = 1
        item = {"uri": uri, "languageId": language, "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})

    def change(self, uri: str, changes: Sequence[Json] | str) -> int:
        """Changes a document: its whole text, or by the protocol's changes. Returns the version."""
        self._versions[uri] += 1
        changes = [{"text": changes}] if isinstance(changes, str) else changes
        identifier = {"uri": uri, "version": self._versions[uri]}
        self.notify("textDocument/didChange", {"textDocument": identifier, "contentChanges": changes})
        return self._versions[uri]

    def close(self, uri: str) -> None:
        self.notify("textDocument/didClose", {"textDocument": {"uri": uri}})

    def ask(self, feature: str, uri: str, **params: Json) -> Json:
        return self.request(f"textDocument/{feature}", {"textDocument": {"uri": uri}, **params})

    def diagnostics(self, uri: str) -> list[Json]:
        """The diagnostics of the newest version, by request."""
        return self.ask("diagnostic", uri)["items"]

    def pushed(self, uri: str, version: int = 1) -> list[Json]:
        """The diagnostics that the server sends for a version."""
        while True:
            message = self.notifications.get(timeout=TIMEOUT_SECONDS)
            params = message.get("params", {})
            is_of_document = message["method"] == "textDocument/publishDiagnostics" and params["uri"] == uri
            if is_of_document and params.get("version", version) == version:
                return params["diagnostics"]


def position(text: str, mark: str, offset: int = 0) -> Json:
    """The position of a mark in a text, in UTF-16 code units, plus an offset in code points."""
    index = text.index(mark) + offset
    line_start = text.rfind("\n", 0, index) + 1
    return {"line": text.count("\n", 0, index), "character": utf16_length(text[line_start:index])}


def utf16_length(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def text_of_range(text: str, place: Json) -> str:
    """The part of a text in a range of the protocol."""
    return text[offset_of(text, place["start"]) : offset_of(text, place["end"])]


def offset_of(text: str, at: Json) -> int:
    start = 0
    for _ in range(at["line"]):
        start = text.index("\n", start) + 1
    units = text[start:].encode("utf-16-le", "surrogatepass")[: 2 * at["character"]]
    return start + len(units.decode("utf-16-le", "surrogatepass"))


def with_edits(text: str, edits: Sequence[Json]) -> str:
    """A text after edits of the protocol, which do not overlap."""
    for edit in sorted(edits, key=lambda edit: offset_of(text, edit["range"]["start"]), reverse=True):
        start, end = (offset_of(text, edit["range"][key]) for key in ("start", "end"))
        text = text[:start] + edit["newText"] + text[end:]
    return text


def edits_of(edit: Json) -> list[Json]:
    """The text edits of a workspace edit of one document."""
    if "documentChanges" in edit:
        return edit["documentChanges"][0]["edits"]
    return next(iter(edit["changes"].values()))


def wait_until(condition: Callable[[], bool], seconds: float = TIMEOUT_SECONDS) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()
