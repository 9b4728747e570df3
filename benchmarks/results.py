"""What was found, as a file: by part and by name, and about the machine."""

from __future__ import annotations

import json
import os
import platform
import re
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LATEST = Path(__file__).parent / "results" / "latest.json"
"""What the documentation's tables are made of."""
PACKAGES = ("onnxruntime", "numpy", "torch", "torchvision", "keras", "jax", "tensorflow-cpu", "tf2onnx", "onnxscript")


@dataclass
class Results:
    """All that was found. With a path, it is written after each thing."""

    path: Path | None = None
    about: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @staticmethod
    def read(path: Path) -> Results:
        """What the file has; nothing where there is none."""
        if not path.exists():
            return Results(path)
        told = json.loads(path.read_text("utf-8"))
        return Results(path, told["about"], told["parts"])

    def add(self, part: str, name: str, found: Any, threads: int) -> None:
        self.parts.setdefault(part, {})[name] = _short(found)
        self.about = about(threads)
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"about": self.about, "parts": self.parts}, indent=1)
            self.path.write_text(_on_one_line(text) + "\n", "utf-8")


def about(threads: int) -> dict[str, Any]:
    """The machine and the versions."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "date": date.today().isoformat(),
        "processor": _processor(),
        "processors": os.cpu_count(),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def _short(found: Any) -> Any:
    """Four digits are more than any measurement has."""
    match found:
        case float():
            return float(f"{found:.4g}")
        case dict():
            return {key: _short(value) for key, value in found.items()}
        case list():
            return [_short(value) for value in found]
    return found


def _on_one_line(text: str) -> str:
    """Lists of numbers take one line each, so that a change is read at a glance."""
    return re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda match: f"[{' '.join(match[1].split())}]", text)
