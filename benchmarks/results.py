"""Results by part and name with facts about the machine, as a JSON file."""

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
"""The results shown in the documentation."""
PACKAGES = ("onnxruntime", "numpy", "torch", "torchvision", "keras", "jax", "tensorflow-cpu", "tf2onnx", "onnxscript")


@dataclass
class Results:
    """All results. If there is a path, they are written after every addition."""

    path: Path | None = None
    about: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @staticmethod
    def read(path: Path) -> Results:
        """Reads a file of results; a missing file gives empty results."""
        if not path.exists():
            return Results(path)
        document = json.loads(path.read_text("utf-8"))
        return Results(path, document["about"], document["parts"])

    def add(self, part: str, name: str, result: Any, threads: int) -> None:
        self.parts.setdefault(part, {})[name] = _rounded(result)
        self.about = about(threads)
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"about": self.about, "parts": self.parts}, indent=1)
            self.path.write_text(_on_one_line(text) + "\n", "utf-8")


def about(threads: int) -> dict[str, Any]:
    """Returns facts about the machine and the versions of packages."""
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


def _rounded(result: Any) -> Any:
    """Rounds all numbers to four digits, more than the precision of any measurement."""
    match result:
        case float():
            return float(f"{result:.4g}")
        case dict():
            return {key: _rounded(value) for key, value in result.items()}
        case list():
            return [_rounded(value) for value in result]
    return result


def _on_one_line(text: str) -> str:
    """Formats every list of numbers on one line, for readable diffs."""
    return re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda match: f"[{' '.join(match[1].split())}]", text)
