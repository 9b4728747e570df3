"""Drives a headless Chromium through the pipe of its remote debugging: pages, keys, screenshots, print."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from base64 import b64decode
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
ANSWER_SECONDS = 60


def chromium_path() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Chromium:
    """A browser with one page, in a profile of its own; as a context, it ends with its folder."""

    def __init__(self) -> None:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)  # helpers of Chromium still write
        their_input, self._output = os.pipe()
        self._input, their_output = os.pipe()
        descriptors = f'exec 3<&{their_input} 4>&{their_output}; exec "$@"'
        command = [
            *("bash", "-c", descriptors, "chromium", chromium_path() or "", "--headless", "--remote-debugging-pipe"),
            *("--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={self._profile.name}"),
        ]
        self._process = subprocess.Popen(
            command, pass_fds=(their_input, their_output), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(their_input)
        os.close(their_output)
        self._stream, self._count, self._session = os.fdopen(self._input, "rb", buffering=0), 0, None
        self._buffer = b""
        self.console: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        self._stream.close()
        os.close(self._output)
        self._profile.cleanup()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends a command of the DevTools protocol, and returns its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._output, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next_message()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self._remember(answer)

    def _next_message(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = self._stream.read(1 << 20)
            assert part, "Chromium has ended"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _remember(self, event: dict[str, Any]) -> None:
        """Keeps errors and what is loaded."""
        method, parameters = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.console.append(json.dumps(parameters["exceptionDetails"])[:600])
        elif method == "Log.entryAdded":
            self.console.append(parameters["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            url = parameters["request"]["url"]
            if not url.startswith(("file:", "data:", "about:")):
                self.console.append(f"request {url}")

    def open(self, url: str, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Opens a page in a window of this size, and waits until its scripts have run."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=url)
        for _ in range(100):
            if self.evaluate("document.readyState") == "complete" and self.evaluate("location.href") != "about:blank":
                break
            self.pause(0.05)
        self.pause(0.3)  # charts are drawn when their size is observed

    def pause(self, seconds: float) -> None:
        self.evaluate(f"new Promise((done) => setTimeout(done, {seconds * 1000}))")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def press(self, key: str, code: int) -> None:
        text = {"Enter": "\r", " ": " "}.get(key)
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def screenshot(self, path: Path, whole_page: bool = True) -> None:
        content = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole_page)
        path.write_bytes(b64decode(content["data"]))

    def screenshot_of(self, path: Path, selector: str) -> None:
        """A picture of one element."""
        box = self.evaluate(
            f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return {x: b.x + scrollX, y: b.y + scrollY, width: b.width, height: b.height, scale: 1}; })()"
        )
        content = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=box)
        path.write_bytes(b64decode(content["data"]))

    def print_to_pdf(self, path: Path) -> None:
        path.write_bytes(b64decode(self.call("Page.printToPDF", printBackground=False, preferCSSPageSize=True)["data"]))
