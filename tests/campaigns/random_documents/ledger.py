"""The record of all runs and their findings, in `ledger.json` beside this file.

`runs` lists the seeds by the version of the generator, since another version makes other documents of them, with the
number of documents without errors and of planned trainings. `open` has the findings that are not explained yet, one for
each group, with its smallest document. `explained` has the groups that are not bugs of jsonnx, with the reason.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FILE = HERE / "ledger.json"
GENERATOR_FILES = ("generate", "grow", "mutate", "values")
KEYS = ("documents", "sound", "trained")
GROUP_KEYS = ("stage", "kind", "place")

Entry = dict[str, Any]


@cache
def version() -> str:
    """Returns a hash of what determines the documents: the generator, the schemas, the layer cases and the samples."""
    from jsonnx.frontend.schema.schema import spec_schema
    from unit.layers.cases import all_cases

    source = [(HERE / f"{name}.py").read_text() for name in GENERATOR_FILES]
    samples = [path.read_text() for path in sorted((HERE.parents[2] / "samples").glob("*.json"))]
    parts = [source, samples, spec_schema(), [list(case) for case in all_cases()]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]


def read() -> dict[str, Any]:
    return json.loads(FILE.read_text())


def record(run: Entry, findings: list[Entry]) -> None:
    """Adds a run (`seed` and KEYS) and its findings."""
    import onnx

    ledger = read()
    run = {"version": version(), "onnx": onnx.__version__, **run}
    ledger["runs"] = merge_runs([*ledger["runs"], run])
    ledger["open"] = merge_findings([*ledger["open"], *(finding | {"version": version()} for finding in findings)])
    write(ledger)


def write(ledger: dict[str, Any]) -> None:
    temporary = FILE.with_suffix(".tmp")
    temporary.write_text(json.dumps(ledger, indent=2) + "\n")
    temporary.replace(FILE)


def group(finding: Entry) -> tuple[str, ...]:
    return tuple(finding[key] for key in GROUP_KEYS)


def merge_findings(findings: list[Entry]) -> list[Entry]:
    """Returns one finding for each group, with the shortest document and the number of findings."""
    merged: dict[tuple[str, ...], Entry] = {}
    for finding in findings:
        finding = {"count": 1, **finding}
        other = merged.get(group(finding))
        if other is not None:
            shorter = min(other, finding, key=lambda f: len(f["text"]))
            finding = shorter | {"count": other["count"] + finding["count"]}
        merged[group(finding)] = finding
    return sorted(merged.values(), key=group)


def merge_runs(runs: list[Entry]) -> list[Entry]:
    """Sorts runs by version and seed, and merges adjacent ones of the same versions."""
    merged: list[Entry] = []
    for run in sorted(runs, key=lambda run: (run["version"], run["onnx"], run["seed"])):
        last = merged[-1] if merged else None
        follows = last is not None and last["seed"] + last["documents"] == run["seed"]
        if last is not None and follows and all(last[key] == run[key] for key in ("version", "onnx")):
            merged[-1] = last | {key: last[key] + run[key] for key in KEYS}
        else:
            merged.append(run)
    return merged
