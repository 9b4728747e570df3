"""Many random models: in `tests`, `python -m random_models.run --first 0 --count 1000 --jobs 1 --seconds 600`.

Seeds are run in chunks, each in a process of its own, so that a crash or a hang of onnxruntime is a finding and not an
end. Some models of a chunk are compiled once more in another process with other hashes, to the same bytes. What was
run, and what fails, is added to ledger.json beside this file after every chunk. `--again` examines what is open there
once more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from random_models import ledger

ROOT = Path(__file__).parents[2]
CHUNK = 500
"""Seeds of a process: the first ones cost most, as nothing is known of any node yet."""
DIGESTS = 25
"""Models of a chunk whose bytes are compared between processes."""
LIMIT = 120.0
"""Seconds of processor time a model may take, its shrinking included."""
STANDSTILL = 3600.0
"""Seconds after which a model hangs, though it took no processor time; a machine may be busy, or the run suspended."""

Finding = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=200, help="how many models")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no chunk after this time")
    parser.add_argument("--only", help="oracles to run, by name, with commas between")
    parser.add_argument("--dry", action="store_true", help="leave the ledger as it is")
    parser.add_argument("--again", action="store_true", help="examine the open failures of the ledger, and no seeds")
    parser.add_argument("--child", choices=["models", "digests"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        seeds = range(given.first, given.first + given.count)
        (examine_seeds if given.child == "models" else print_digests)(seeds, given.only)
        return 0
    return 1 if (again() if given.again else long_run(given)) else 0


def long_run(given: argparse.Namespace) -> list[Finding]:
    """Runs chunk after chunk, records each, and says how many models and failures there were."""
    begun, done, findings = time.monotonic(), 0, []
    starts = range(given.first, given.first + given.count, CHUNK)

    def one(first: int) -> tuple[int, int, list[Finding]]:
        if time.monotonic() - begun > given.seconds:
            return first, 0, []
        count = min(CHUNK, given.first + given.count - first)
        return first, count, chunk(first, count, given.only)

    with ThreadPoolExecutor(given.jobs) as pool:
        for job in as_completed([pool.submit(one, first) for first in starts]):
            first, count, found = job.result()
            done, findings = done + count, findings + found
            if count and not given.dry and not given.only:
                ledger.record(first, count, found)
            for finding in found:
                print(json.dumps(finding, separators=(",", ":")), flush=True)
            if count:
                rate = done / (time.monotonic() - begun)
                failing = len({f["seed"] for f in findings})
                print(f"{done} models, {failing} failing, {rate:.1f} a second", file=sys.stderr, flush=True)
    return findings


def chunk(first: int, count: int, only: str | None = None) -> list[Finding]:
    """What fails of some seeds; a process that dies is tried again behind the seed that killed it."""
    findings, digests, end = [], [], first + count
    while first < end:
        lines, died = child("models", first, end - first, "0", only)
        for line in lines:
            findings += line.get("broken", [])
        digests += [line for line in lines if "digest" in line]
        if not died:
            break
        begun = [line["seed"] for line in lines if "begun" in line]
        if not begun:
            raise SystemExit(f"no model could be run: {died}")
        findings.append({"seed": begun[-1], "oracle": "crash", "message": died})
        first = begun[-1] + 1
    if digests:
        others, _ = child("digests", digests[0]["seed"], len(digests), "1")
        known = {line["seed"]: line["digest"] for line in others}
        different = [line["seed"] for line in digests if known.get(line["seed"], line["digest"]) != line["digest"]]
        findings += [{"seed": s, "oracle": "bytes", "message": "differ between processes"} for s in different]
    return findings


def child(kind: str, first: int, count: int, hashes: str, only: str | None = None) -> tuple[list[Finding], str]:
    """The lines that a process printed, and how it died if it did."""
    command = [sys.executable, "-m", "random_models.run", "--child", kind, f"--first={first}", f"--count={count}"]
    path = os.pathsep.join([str(ROOT / "compiler"), str(ROOT / "tests")])
    environment = os.environ | {"PYTHONHASHSEED": hashes, "PYTHONPATH": path}
    command += [f"--only={only}"] if only else []
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    died = f"exit {done.returncode}: {done.stderr[-400:]}" if done.returncode else ""
    return [json.loads(line) for line in done.stdout.splitlines() if line.endswith("}")], died


# -- in a process of its own -------------------------------------------------------------------------------------------


def examine_seeds(seeds: Iterable[int], only: str | None) -> None:
    import faulthandler
    import signal

    from random_models.generate import spec
    from random_models.memory import remember_types
    from random_models.oracles import Case, digest, examine

    warnings.simplefilter("ignore")
    remember_types()
    faulthandler.register(signal.SIGPROF, chain=True)  # which then ends the process
    for index, seed in enumerate(seeds):
        faulthandler.dump_traceback_later(STANDSTILL, exit=True)
        signal.setitimer(signal.ITIMER_PROF, LIMIT)
        print(json.dumps({"seed": seed, "begun": True}), flush=True)
        model = spec(seed)
        found = examine(model, seed, only and only.split(","))
        broken = [{"seed": seed, "oracle": b.oracle, "message": b.message} for b in found]
        if broken:
            broken[0]["spec"] = shrunk(model, broken[0])
        print(json.dumps({"seed": seed, "broken": broken}), flush=True)
        if index < DIGESTS and not only:
            print(json.dumps({"seed": seed, "digest": digest(Case(model, seed))}), flush=True)
    signal.setitimer(signal.ITIMER_PROF, 0)
    faulthandler.cancel_dump_traceback_later()


def print_digests(seeds: Iterable[int], _: str | None) -> None:
    from random_models.generate import spec
    from random_models.oracles import Case, digest

    for seed in seeds:
        print(json.dumps({"seed": seed, "digest": digest(Case(spec(seed), seed))}), flush=True)


def shrunk(model: dict[str, Any], finding: Finding) -> dict[str, Any]:
    """The smallest model found that breaks the same oracle in the same way."""
    from random_models.oracles import examine
    from random_models.shrink import shrink

    oracle, seed, kind = finding["oracle"], finding["seed"], finding["message"].partition(":")[0]

    def fails(candidate: dict[str, Any]) -> bool:
        found = examine(candidate, seed, [oracle.partition(",")[0]])
        return any(b.oracle == oracle and (b.message.startswith(kind) or "off by" in b.message) for b in found)

    return shrink(model, fails)


def again() -> list[Finding]:
    """What still fails of the open failures; the others are taken out of the ledger."""
    from random_models.oracles import examine

    warnings.simplefilter("ignore")
    kept = []
    for finding in ledger.read()["open"]:
        found = examine(finding["spec"], finding["seed"]) if "spec" in finding else []
        if "spec" not in finding or any(broken.oracle == finding["oracle"] for broken in found):
            kept.append(finding)  # a spec that is refused by now breaks only `valid`
    ledger.keep(kept)
    print(f"{len(kept)} still fail: {[finding['seed'] for finding in kept]}")
    return kept


if __name__ == "__main__":
    sys.exit(main())
