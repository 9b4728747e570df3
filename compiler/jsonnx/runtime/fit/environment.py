"""The environment of a run: everything besides the spec and the data on which the last bit of a result depends."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ...backend import package_version
from ..providers.providers import load_runtime

INSTRUCTION_SETS = "instruction sets"


def run_environment(provider: str, threads: int, fast: bool) -> dict[str, Any]:
    """The environment of a run in this process, as JSON values by their names in messages."""
    return {
        "jsonnx": package_version(),
        "onnxruntime": load_runtime().__version__,
        "onnx": onnx.__version__,
        "numpy": np.__version__,
        "provider": provider,
        "threads": threads,
        "fast": fast,
        "CPU": cpu_model(),
        INSTRUCTION_SETS: instruction_sets(),
    }


def environment_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Differences between two environments, as clauses of a sentence."""
    for name in dict.fromkeys([*now, *before]):
        if before.get(name) == now.get(name):
            continue
        if name == INSTRUCTION_SETS:
            yield from _instruction_set_changes(before.get(name), now[name])
        else:
            yield f"{name} changes from {before.get(name)} to {now.get(name)}"


def _instruction_set_changes(before: Any, now: list[str]) -> Iterator[str]:
    names = [str(name) for name in before] if isinstance(before, list) else []
    lost, gained = [name for name in names if name not in now], [name for name in now if name not in names]
    if lost:
        yield f"the CPU lacks {', '.join(lost)}"
    if gained:
        yield f"the CPU also has {', '.join(gained)}"


@cache
def cpu_model(cpu_info: Path = Path("/proc/cpuinfo")) -> str:
    """The name of the CPU's model, or as much as the system tells: at least its architecture."""
    try:
        text = cpu_info.read_text(errors="replace")
    except OSError:
        text = ""
    name = re.search(r"^model name\s*: *(.+)$", text, re.MULTILINE)
    if name:
        return name[1].strip()
    codes = [re.search(rf"^CPU {key}\s*: *(\S+)$", text, re.MULTILINE) for key in ("implementer", "part")]  # Arm
    parts = [platform.machine(), *(code[1] for code in codes if code)]
    return " ".join(parts) if all(codes) else platform.processor() or platform.machine()


@cache
def instruction_sets() -> list[str]:
    """The extensions of the CPU's instruction set that NumPy finds, in alphabetical order."""
    config: Any = np.show_config(mode="dicts")
    extensions = config.get("SIMD Extensions", {})
    return sorted({*extensions.get("baseline", []), *extensions.get("found", [])})
