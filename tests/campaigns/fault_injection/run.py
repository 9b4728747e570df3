"""Disturbs training runs: `python -m campaigns.fault_injection.run --kills 20 --faults 100 --seconds 600 --seed 1`.

Kills are SIGKILL, SIGTERM and Ctrl-C at random instants of `jsonnx train`, and SIGKILL at a system call on a file of
the run. Faults are errors of such calls, damaged checkpoints, limits on file sizes, and full or read-only file systems.
After each, the same command resumes the run, and its files must equal those of an undisturbed run. System calls are
intercepted by `system_calls.c`, which needs Linux and a C compiler (`cc`); a file system of its own needs the right to
mount. Where these are missing, such trials are recorded as skipped. `--saves 1` disturbs a save at each of its calls,
with each error and by SIGKILL; `--saves 5` at every fifth one. All trials are added to ledger.json beside this file.
`--seed SEED --only KIND --first NUMBER --kills 1` (or `--faults 1`) repeats one.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from campaigns.fault_injection import ledger, saves
from campaigns.fault_injection.scenarios import TRIALS, Context, choose
from campaigns.fault_injection.server import build_library, can_inject
from campaigns.fault_injection.workload import Violation

RECORD_SECONDS = 30.0
"""Seconds between additions to the ledger."""

Broken = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=0, help="number of trials with killed or stopped processes")
    parser.add_argument("--faults", type=int, default=0, help="number of trials with failing system calls or files")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no trial after this time")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random choices")
    parser.add_argument("--first", type=int, default=0, help="number of the first trial of each option")
    kinds = [kind for trials in TRIALS.values() for kind in trials]
    parser.add_argument("--only", choices=kinds, help="the only kind of trial")
    parser.add_argument("--saves", type=int, help="disturb a save at every so many of its system calls")
    parser.add_argument("--dry", action="store_true", help="do not write to the ledger")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="jsonnx-faults-"))
    try:
        broken = run_trials(args, folder)
        if args.saves and can_inject():
            broken += run_saves(args, folder)
        return 1 if broken else 0
    finally:
        shutil.rmtree(folder)


def run_trials(args: argparse.Namespace, folder: Path) -> list[Broken]:
    """Runs and records all trials, prints violations and progress, and returns the violations."""
    context, start, last_record = Context(folder), time.monotonic(), time.monotonic()
    outcomes: list[tuple[str, str]] = []
    all_broken: list[Broken] = []
    recorded = [0, 0]

    def record() -> None:
        if not args.dry:
            ledger.record(outcomes[recorded[0] :], all_broken[recorded[1] :])
            recorded[:] = [len(outcomes), len(all_broken)]

    try:
        for option, kind, number in planned_trials(args):
            if time.monotonic() - start > args.seconds:
                break
            outcome, broken = run_trial(context, option, kind, args.seed, number)
            outcomes.append((kind, outcome))
            all_broken += broken
            if time.monotonic() - last_record > RECORD_SECONDS:
                record()
                last_record = time.monotonic()
                print(f"{len(outcomes)} trials, {len(all_broken)} broken", file=sys.stderr, flush=True)
    finally:
        record()
        context.close()
    print(f"{len(outcomes)} trials, {len(all_broken)} broken", file=sys.stderr)
    return all_broken


def run_saves(args: argparse.Namespace, folder: Path) -> list[Broken]:
    """Disturbs a save at its system calls, and records and returns as `run_trials` does."""
    home = folder / "saves"
    home.mkdir()
    outcomes = saves.run(home, build_library(folder), args.saves)
    broken = [{"kind": "save", "trial": key, "message": text} for key, text in outcomes.items() if "broken" in text]
    if not args.dry:
        ledger.record(saves.ledger_entries(outcomes), broken)
    print(f"{len(outcomes)} faults of a save, {len(broken)} broken", *broken, sep="\n", file=sys.stderr)
    return broken


def planned_trials(args: argparse.Namespace) -> Iterator[tuple[str, str, int]]:
    """The option, the kind and the number of each trial; kills and faults in turn."""
    counts = {option: getattr(args, option) for option in TRIALS}
    for index in range(max(counts.values())):
        for option, count in counts.items():
            number = args.first + index
            kind = args.only or choose(option, Random(f"{args.seed} {option} {number}"))
            if index < count and kind in TRIALS[option]:
                yield option, kind, number


def run_trial(context: Context, option: str, kind: str, seed: int, number: int) -> tuple[str, list[Broken]]:
    """Runs a trial, and returns its outcome and the promise that it broke, if any. Removes the files of a good one."""
    rng, run = Random(f"{seed} {kind} {number}"), f"{kind.replace(' ', '-')}-{number}"
    try:
        outcome = TRIALS[option][kind](context, run, rng)
    except Violation as violation:
        broken = {"kind": kind, "seed": seed, "number": number, "message": str(violation)}
        print(json.dumps(broken), flush=True)
        return "broken", [broken]
    for path in context.folder.glob(f"*/{run}"):
        shutil.rmtree(path)
    return outcome, []


if __name__ == "__main__":
    sys.exit(main())
