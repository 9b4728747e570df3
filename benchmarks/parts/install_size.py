"""The size of an installation: a package with all its requirements in site-packages."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import jsonnx

from ..options import Options
from ..tables import Table

ABOUT = "megabytes of an installation with all requirements"
SETS = {
    "jsonnx[cpu]": ["jsonnx[cpu]"],
    "torch": ["torch"],
    "keras + jax": ["keras", "jax"],
    "keras + torch": ["keras", "torch"],
    "keras + tensorflow-cpu": ["keras", "tensorflow-cpu"],
}
Result = dict[str, Any]


def measure(options: Options) -> Iterator[tuple[str, Result]]:
    for name, requirements in SETS.items():
        sizes = {package: round(_size(package) / 1e6, 2) for package in sorted(closure(requirements))}
        yield name, {"packages": sizes, "megabytes": round(sum(sizes.values()), 1)}


def closure(requirements: list[str]) -> set[str]:
    """Returns the names of all distributions that these require in this environment, themselves included."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    waiting, seen = [Requirement(text) for text in requirements], set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        for text in _distribution(name).requires or ():
            needed = Requirement(text)
            extras = requirement.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)
    return {name for name, _ in seen}


def _distribution(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        raise SystemExit(f"{name} is not installed: its size is not known") from None


def _size(name: str) -> int:
    """Returns the size of a distribution in bytes, bytecode included; jsonnx is an editable installation."""
    if name == "jsonnx":
        files = [path for path in Path(jsonnx.__file__).parent.rglob("*") if path.is_file()]
    else:
        package = _distribution(name)
        files = [Path(str(package.locate_file(path))) for path in package.files or ()]
    return sum(path.stat().st_size for path in set(files) if path.is_file())


def tables(results: Result) -> list[Table]:
    table = Table("Installed size", ["what", "MB", "packages", "largest", "to jsonnx[cpu]"])
    ours = results["jsonnx[cpu]"]["megabytes"]
    for name, entry in results.items():
        large = sorted(entry["packages"], key=entry["packages"].__getitem__, reverse=True)[:3]
        largest = ", ".join(f"{package} {entry['packages'][package]:.0f}" for package in large)
        row = [name, f"{entry['megabytes']:.0f}", str(len(entry["packages"])), largest]
        table.rows.append([*row, f"{entry['megabytes'] / ours:.1f}"])
    return [table]


page = tables
