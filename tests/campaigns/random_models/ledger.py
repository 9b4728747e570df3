"""The record of all runs and their failures, in `ledger.json` beside this file.

`runs` lists the seeds by the version of the generator, since another version generates other models from them. `open`
has the failures that are not explained yet, each with its shrunk model. `fixed` and `runtime` describe resolved errors
of jsonnx and of onnxruntime.
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
    """Returns a hash of everything that determines the models: the source of the generator and all schemas."""
    from jsonnx.frontend.schema.schema import REGISTRIES
    from jsonnx.layers import LAYERS

    source = [(HERE / f"{name}.py").read_text() for name in ("draw", "generate")]
    schemas = [component.schema() for registry in (LAYERS, *REGISTRIES) for component in registry]
    return hashlib.sha256(json.dumps([source, schemas], sort_keys=True).encode()).hexdigest()[:10]


def read() -> dict[str, Any]:
    return json.loads(FILE.read_text())


def _write(ledger: dict[str, Any]) -> None:
    temporary = FILE.with_suffix(".tmp")
    temporary.write_text(json.dumps(ledger, indent=2) + "\n")
    temporary.replace(FILE)


def record(first: int, count: int, findings: list[dict[str, Any]]) -> None:
    """Adds a run with its failures."""
    ledger = read()
    ledger["runs"] = merge_runs([*ledger["runs"], {"version": version(), "first": first, "count": count}])
    ledger["open"] += [finding | {"version": version()} for finding in findings]
    _write(ledger)


def keep(findings: list[dict[str, Any]]) -> None:
    """Replaces the open failures."""
    _write(read() | {"open": findings})


def merge_runs(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sorts runs by version and seed, and merges adjacent and overlapping runs of one version."""
    versions = list(dict.fromkeys(run["version"] for run in runs))
    merged_runs: list[dict[str, Any]] = []
    for run in sorted(runs, key=lambda run: (versions.index(run["version"]), run["first"])):
        last = merged_runs[-1] if merged_runs else None
        if last and last["version"] == run["version"] and run["first"] <= last["first"] + last["count"]:
            end = max(last["first"] + last["count"], run["first"] + run["count"])
            merged_runs[-1] = last | {"count": end - last["first"]}
        else:
            merged_runs.append(run)
    return merged_runs


def count() -> int:
    """Returns the number of all models run so far."""
    return sum(run["count"] for run in read()["runs"])
