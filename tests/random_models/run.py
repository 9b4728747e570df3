"""Many random models: `python tests/random_models/run.py --seed 0 --count 1000 --seconds 600`.

Seeds are run in chunks, each in a process of its own, so that a crash of onnxruntime is a finding and not an end. Every
chunk's first models are compiled once more in another process with other hashes, to the same bytes. With --record what
was run is added to ledger.json beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LEDGER = HERE / "ledger.json"
CHUNK = 50
DIGESTS = 4
"""Models of a chunk whose bytes are compared between processes."""
LIMIT = 30.0
"""Seconds a model, on average, after which a chunk counts as hung."""

sys.path[:0] = [str(ROOT / "compiler"), str(ROOT / "tests")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--count", type=int, default=200, help="how many models")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--only", help="oracles to run, by name, with commas between")
    parser.add_argument("--record", action="store_true", help="add the run to the ledger")
    parser.add_argument("--no-shrink", action="store_true", help="report failing models as they are")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--digests", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child or given.digests:
        warnings.simplefilter("ignore")
        (print_digests if given.digests else examine_chunk)(given)
        return 0
    return long_run(given)


def long_run(given: argparse.Namespace) -> int:
    end, done, findings = time.monotonic() + given.seconds, 0, []
    while done < given.count and time.monotonic() < end:
        count = min(CHUNK, given.count - done)
        findings += chunk(given.seed + done, count, given.only)
        done += count
        print(f"{done} models, {len({f['seed'] for f in findings})} failing", file=sys.stderr, flush=True)
    for finding in findings:
        if not given.no_shrink and "spec" not in finding and finding["oracle"] != "crash":
            finding["spec"] = shrunk(finding)
        print(json.dumps(finding, separators=(",", ":")))
    if given.record:
        record(given.seed, done, findings)
    return 1 if findings else 0


def chunk(seed: int, count: int, only: str | None) -> list[dict[str, Any]]:
    """What fails of some seeds; a process that dies is tried again behind the seed that killed it."""
    findings: list[dict[str, Any]] = []
    first = seed
    while first < seed + count:
        command = [
            "--child",
            f"--seed={first}",
            f"--count={seed + count - first}",
            *([f"--only={only}"] if only else []),
        ]
        lines, died = child(command, "0", LIMIT * count)
        last = first - 1
        for line in lines:
            last = line["seed"] if line.get("begun") is None else last
            findings += line.get("broken", [])
        if not died:
            break
        if not lines:
            raise SystemExit(f"no model could be run: {died}")
        begun = max(line["seed"] for line in lines)
        findings.append({"seed": begun, "oracle": "crash", "message": died})
        first = begun + 1
    if only is None:
        command = ["--digests", f"--seed={seed}", f"--count={min(DIGESTS, count)}"]
        (one, _), (other, _) = (child(command, hashes, LIMIT * count) for hashes in ("1", "2"))
        different = [a["seed"] for a, b in zip(one, other, strict=False) if a != b]
        findings += [{"seed": s, "oracle": "bytes", "message": "differ between processes"} for s in different]
    return findings


def child(arguments: list[str], hashes: str, limit: float) -> tuple[list[dict[str, Any]], str]:
    """The lines a process printed, and how it died if it did."""
    command = [sys.executable, __file__, *arguments]
    environment = os.environ | {"PYTHONHASHSEED": hashes}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, env=environment, check=False)
        text, died = done.stdout, f"exit {done.returncode}: {done.stderr[-300:]}" if done.returncode else ""
    except subprocess.TimeoutExpired as error:
        text, died = (error.stdout or b"").decode(), f"no end within {limit} s"
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")], died


def examine_chunk(given: argparse.Namespace) -> None:
    from random_models.generate import spec
    from random_models.oracles import examine

    for seed in range(given.seed, given.seed + given.count):
        print(json.dumps({"seed": seed, "begun": True}), flush=True)
        found = examine(spec(seed), seed, given.only and given.only.split(","))
        broken = [{"seed": seed, "oracle": b.oracle, "message": b.message} for b in found]
        print(json.dumps({"seed": seed, "broken": broken}), flush=True)


def print_digests(given: argparse.Namespace) -> None:
    from random_models.generate import spec
    from random_models.oracles import Case, digest

    for seed in range(given.seed, given.seed + given.count):
        print(json.dumps({"seed": seed, "digest": digest(Case(spec(seed), seed))}), flush=True)


def shrunk(finding: dict[str, Any]) -> dict[str, Any]:
    """The smallest model that breaks the same oracle in the same way."""
    from random_models.generate import spec
    from random_models.oracles import examine
    from random_models.shrink import shrink

    oracle, seed, kind = finding["oracle"], finding["seed"], finding["message"].partition(":")[0]
    name = oracle.partition(",")[0]

    def fails(candidate: dict[str, Any]) -> bool:
        found = examine(candidate, seed, [name])
        return any(b.oracle == oracle and (b.message.startswith(kind) or "off by" in b.message) for b in found)

    warnings.simplefilter("ignore")
    return shrink(spec(seed), fails)


def record(seed: int, count: int, findings: list[dict[str, Any]]) -> None:
    """Adds a run: its seeds, and what is still open."""
    ledger = json.loads(LEDGER.read_text()) if LEDGER.exists() else {"runs": [], "fixed": [], "runtime": []}
    kept = [{key: finding[key] for key in ("seed", "oracle", "message")} for finding in findings]
    ledger["runs"].append({"first": seed, "count": count, "open": kept})
    ledger["runs"].sort(key=lambda run: run["first"])
    LEDGER.write_text(json.dumps(ledger, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
