"""What an installation weighs: all that a package requires, as it lies in site-packages."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import jsonnx

from ..options import Options
from ..tables import Table

ABOUT = "megabytes of an installation with all that it requires"
SETS = {
    "jsonnx[cpu]": ["jsonnx[cpu]"],
    "torch": ["torch"],
    "keras + jax": ["keras", "jax"],
    "keras + torch": ["keras", "torch"],
    "keras + tensorflow-cpu": ["keras", "tensorflow-cpu"],
}
Result = dict[str, Any]


def measure(options: Options) -> Iterator[tuple[str, Result]]:
    for name, wanted in SETS.items():
        sizes = {found: round(_size(found) / 1e6, 2) for found in sorted(closure(wanted))}
        yield name, {"packages": sizes, "megabytes": round(sum(sizes.values()), 1)}


def closure(wanted: list[str]) -> set[str]:
    """The names of all distributions that these require, in this environment."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    waiting, seen = [Requirement(text) for text in wanted], set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        for text in _found(name).requires or ():
            needed = Requirement(text)
            extras = requirement.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)
    return {name for name, _ in seen}


def _found(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        raise SystemExit(f"{name} is not installed: what it weighs is not known") from None


def _size(name: str) -> int:
    """Bytes of its files, with what Python made of them; of jsonnx, which is not copied, those of its folder."""
    if name == "jsonnx":
        files = [path for path in Path(jsonnx.__file__).parent.rglob("*") if path.is_file()]
    else:
        found = _found(name)
        files = [Path(str(found.locate_file(path))) for path in found.files or ()]
    return sum(path.stat().st_size for path in set(files) if path.is_file())


def tables(result: Result) -> list[Table]:
    table = Table("Installed size", ["what", "MB", "packages", "largest", "to jsonnx[cpu]"])
    ours = result["jsonnx[cpu]"]["megabytes"]
    for name, found in result.items():
        large = sorted(found["packages"], key=found["packages"].__getitem__, reverse=True)[:3]
        largest = ", ".join(f"{package} {found['packages'][package]:.0f}" for package in large)
        row = [name, f"{found['megabytes']:.0f}", str(len(found["packages"])), largest]
        table.rows.append([*row, f"{found['megabytes'] / ours:.1f}"])
    return [table]


page = tables
