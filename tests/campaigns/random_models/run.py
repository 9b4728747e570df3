"""Checks many random models: `python -m campaigns.random_models.run --first 0 --count 1000 --jobs 1 --seconds 600`.

Seeds are run in chunks, each in its own process, so that a crash or a hang of onnxruntime is recorded as a failure.
Some models of a chunk are compiled again in another process with another hash seed and must give the same bytes. Runs
and failures are added to ledger.json beside this file after every chunk. `--again` examines its open failures again.
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

from campaigns.random_models import ledger

ROOT = Path(__file__).parents[3]
CHUNK_SEEDS = 500
"""Seeds per process: the first ones are slowest, since the cache of inferred types is empty."""
DIGESTS_PER_CHUNK = 25
"""Number of models of a chunk whose bytes are compared between processes."""
MAX_CPU_SECONDS = 120.0
"""Processor time allowed for a model, shrinking included."""
MAX_HANG_SECONDS = 3600.0
"""Elapsed time after which a model is considered to hang even if it used no processor time.

It is long, since the machine may be busy or the run suspended.
"""

Failure = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=200, help="number of models")
    parser.add_argument("--jobs", type=int, default=1, help="number of parallel processes")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no chunk after this time")
    parser.add_argument("--only", help="names of the oracles to run, separated by commas")
    parser.add_argument("--dry", action="store_true", help="do not write to the ledger")
    parser.add_argument("--again", action="store_true", help="examine the open failures of the ledger instead of seeds")
    parser.add_argument("--child", choices=["models", "digests"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        seeds = range(args.first, args.first + args.count)
        (examine_seeds if args.child == "models" else print_digests)(seeds, args.only)
        return 0
    return 1 if (examine_open_failures() if args.again else run_chunks(args)) else 0


def run_chunks(args: argparse.Namespace) -> list[Failure]:
    """Runs and records all chunks, prints failures and progress, and returns the failures."""
    begin, done_count, all_failures = time.monotonic(), 0, []
    starts = range(args.first, args.first + args.count, CHUNK_SEEDS)

    def run_from(first: int) -> tuple[int, int, list[Failure]]:
        if time.monotonic() - begin > args.seconds:
            return first, 0, []
        count = min(CHUNK_SEEDS, args.first + args.count - first)
        return first, count, run_chunk(first, count, args.only)

    with ThreadPoolExecutor(args.jobs) as pool:
        for job in as_completed([pool.submit(run_from, first) for first in starts]):
            first, count, failures = job.result()
            done_count, all_failures = done_count + count, all_failures + failures
            if count and not args.dry and not args.only:
                ledger.record(first, count, failures)
            for failure in failures:
                print(json.dumps(failure, separators=(",", ":")), flush=True)
            if count:
                rate = done_count / (time.monotonic() - begin)
                failing = len({f["seed"] for f in all_failures})
                print(f"{done_count} models, {failing} failing, {rate:.1f} a second", file=sys.stderr, flush=True)
    return all_failures


def run_chunk(first: int, count: int, only: str | None = None) -> list[Failure]:
    """Returns the failures of some seeds; after a crash, a new process continues with the next seed."""
    failures, digests, end = [], [], first + count
    while first < end:
        lines, crash = run_child("models", first, end - first, "0", only)
        for line in lines:
            failures += line.get("broken", [])
        digests += [line for line in lines if "digest" in line]
        if not crash:
            break
        started = [line["seed"] for line in lines if "begun" in line]
        if not started:
            raise SystemExit(f"no model could be run: {crash}")
        failures.append({"seed": started[-1], "oracle": "crash", "message": crash})
        first = started[-1] + 1
    if digests:
        others, _ = run_child("digests", digests[0]["seed"], len(digests), "1")
        other_digests = {line["seed"]: line["digest"] for line in others}
        different = [
            line["seed"] for line in digests if other_digests.get(line["seed"], line["digest"]) != line["digest"]
        ]
        failures += [{"seed": s, "oracle": "bytes", "message": "differ between processes"} for s in different]
    return failures


def run_child(kind: str, first: int, count: int, hashes: str, only: str | None = None) -> tuple[list[Failure], str]:
    """Runs a child process; returns its output lines and the error if it crashed, else an empty string."""
    command = [
        sys.executable,
        "-m",
        "campaigns.random_models.run",
        "--child",
        kind,
        f"--first={first}",
        f"--count={count}",
    ]
    path = os.pathsep.join([str(ROOT / "compiler"), str(ROOT / "tests")])
    environment = os.environ | {"PYTHONHASHSEED": hashes, "PYTHONPATH": path}
    command += [f"--only={only}"] if only else []
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    crash = f"exit {done.returncode}: {done.stderr[-400:]}" if done.returncode else ""
    return [json.loads(line) for line in done.stdout.splitlines() if line.endswith("}")], crash


# -- in the child process ----------------------------------------------------------------------------------------------


def examine_seeds(seeds: Iterable[int], only: str | None) -> None:
    import faulthandler
    import signal

    from campaigns.random_models.generate import spec
    from campaigns.random_models.memory import remember_types
    from campaigns.random_models.oracles import Case, digest, examine

    warnings.simplefilter("ignore")
    remember_types()
    faulthandler.register(signal.SIGPROF, chain=True)  # the signal then ends the process
    for index, seed in enumerate(seeds):
        faulthandler.dump_traceback_later(MAX_HANG_SECONDS, exit=True)
        signal.setitimer(signal.ITIMER_PROF, MAX_CPU_SECONDS)
        print(json.dumps({"seed": seed, "begun": True}), flush=True)
        model = spec(seed)
        errors = examine(model, seed, only and only.split(","))
        broken = [{"seed": seed, "oracle": b.oracle, "message": b.message} for b in errors]
        if broken:
            broken[0]["spec"] = shrink_failure(model, broken[0])
        print(json.dumps({"seed": seed, "broken": broken}), flush=True)
        if index < DIGESTS_PER_CHUNK and not only:
            print(json.dumps({"seed": seed, "digest": digest(Case(model, seed))}), flush=True)
    signal.setitimer(signal.ITIMER_PROF, 0)
    faulthandler.cancel_dump_traceback_later()


def print_digests(seeds: Iterable[int], _: str | None) -> None:
    from campaigns.random_models.generate import spec
    from campaigns.random_models.oracles import Case, digest

    for seed in seeds:
        print(json.dumps({"seed": seed, "digest": digest(Case(spec(seed), seed))}), flush=True)


def shrink_failure(model: dict[str, Any], finding: Failure) -> dict[str, Any]:
    """Returns the smallest spec found for which the same oracle fails in the same way."""
    from campaigns.random_models.oracles import examine
    from campaigns.random_models.shrink import shrink

    oracle, seed, kind = finding["oracle"], finding["seed"], finding["message"].partition(":")[0]

    def fails(candidate: dict[str, Any]) -> bool:
        errors = examine(candidate, seed, [oracle.partition(",")[0]])
        return any(b.oracle == oracle and (b.message.startswith(kind) or "off by" in b.message) for b in errors)

    return shrink(model, fails)


def examine_open_failures() -> list[Failure]:
    """Examines the open failures, removes those that no longer fail from the ledger, and returns the others."""
    from campaigns.random_models.oracles import examine

    warnings.simplefilter("ignore")
    remaining = []
    for failure in ledger.read()["open"]:
        errors = examine(failure["spec"], failure["seed"]) if "spec" in failure else []
        if "spec" not in failure or any(broken.oracle == failure["oracle"] for broken in errors):
            remaining.append(failure)  # a spec that is now refused fails only in `valid`
    ledger.keep(remaining)
    print(f"{len(remaining)} still fail: {[failure['seed'] for failure in remaining]}")
    return remaining


if __name__ == "__main__":
    sys.exit(main())
