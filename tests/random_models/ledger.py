"""What was run, and what of it failed: `ledger.json` beside this file.

`runs` counts seeds by the version of the generator, as another one makes other models of them; `open` has the failures
that are not explained yet, each with its smallest model; `fixed` and `runtime` say what was found, and what came of it.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FILE = HERE / "ledger.json"


@cache
def version() -> str:
    """Stands for what the generator makes of a seed: its source, and the catalogue that it draws from."""
    from jsonnx.frontend.schema.schema import REGISTRIES
    from jsonnx.layers import LAYERS

    source = [(HERE / f"{name}.py").read_text() for name in ("draw", "generate")]
    catalogue = [brick.schema() for family in (LAYERS, *REGISTRIES) for brick in family]
    return hashlib.sha256(json.dumps([source, catalogue], sort_keys=True).encode()).hexdigest()[:10]


def read() -> dict[str, Any]:
    return json.loads(FILE.read_text())


def _write(ledger: dict[str, Any]) -> None:
    made = FILE.with_suffix(".tmp")
    made.write_text(json.dumps(ledger, indent=2) + "\n")
    made.replace(FILE)


def record(first: int, count: int, findings: list[dict[str, Any]]) -> None:
    """Adds a run: its seeds, and what failed of them."""
    ledger = read()
    ledger["runs"] = merged([*ledger["runs"], {"version": version(), "first": first, "count": count}])
    ledger["open"] += [finding | {"version": version()} for finding in findings]
    _write(ledger)


def keep(findings: list[dict[str, Any]]) -> None:
    """Makes these the open failures."""
    _write(read() | {"open": findings})


def merged(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs of one version in the order of their seeds, those that meet or overlap as one."""
    versions = list(dict.fromkeys(run["version"] for run in runs))
    made: list[dict[str, Any]] = []
    for run in sorted(runs, key=lambda run: (versions.index(run["version"]), run["first"])):
        last = made[-1] if made else None
        if last and last["version"] == run["version"] and run["first"] <= last["first"] + last["count"]:
            end = max(last["first"] + last["count"], run["first"] + run["count"])
            made[-1] = last | {"count": end - last["first"]}
        else:
            made.append(run)
    return made


def count() -> int:
    """All models so far."""
    return sum(run["count"] for run in read()["runs"])
