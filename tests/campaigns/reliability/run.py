"""Runs all random and destructive checks, one after the other: `python -m campaigns.reliability.run --seconds 3600`.

Each check gets a share of the time and seeds that were not used before. Results are added to the ledgers: those of the
checks, and ledger.json beside this file for checks that have none. Afterwards the table in
docs/internals/reliability.md is renewed. Ends with 1 if a check fails.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from campaigns.reliability.table import FILE, PAGE, renewed_page

TESTS = Path(__file__).parents[2]


@dataclass(frozen=True)
class Check:
    """A command that checks for some seconds, its share of the time, and what of its output is recorded.

    `arguments` may contain {seconds}, {seed} and {jobs}. `pattern` finds numbers that are added up in the ledger.
    """

    name: str
    arguments: str
    share: float
    pattern: str = ""


CHECKS = (
    Check(
        "documents",
        "random_documents.run --seed {seed} --documents 100000000 --jobs {jobs} --seconds {seconds}",
        0.35,
    ),
    Check("models", "random_models.run --first {seed} --count 100000000 --jobs {jobs} --seconds {seconds}", 0.2),
    Check("runs", "fault_injection.run --seed {seed} --kills 1000000 --errors 1000000 --seconds {seconds}", 0.15),
    Check("power losses", "fault_injection.power_loss --seed {seed} --states 1000000 --seconds {seconds}", 0.05),
    Check(
        "gradients",
        "gradient_checks --first {seed} --seconds {seconds}",
        0.1,
        r"^(?P<checks>\d+) checks$",
    ),
    Check(
        "damaged files",
        "damaged_files.run --seed {seed} --seconds {seconds}",
        0.05,
        r"^(?P<files>\d+) read or rejected",
    ),
    Check(
        "damaged folders",
        "damaged_files.folders --seed {seed} --seconds {seconds}",
        0.05,
        r"^(?P<folders>\d+) imported or rejected",
    ),
    Check(
        "leaks",
        "leak_checks.run --seconds {seconds}",
        0.1,
        r"^\w+ +(?P<repetitions>[\d,]+) times",
    ),
    Check(
        "server",
        "server_load.run --seed {seed} --seconds {seconds}",
        0.05,
        r"^(?P<requests>[\d,]+) requests in all$",
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600, help="time for all checks")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="number of parallel processes")
    parser.add_argument("--only", help="the name of one check, which gets all the time")
    args = parser.parse_args()
    checks = [check for check in CHECKS if args.only in (None, check.name)]
    if not checks:
        parser.error(f"there is no check {args.only!r}: {', '.join(check.name for check in CHECKS)}")
    shares = sum(check.share for check in checks)
    failed = [check.name for check in checks if not run(check, args.seconds * check.share / shares, args.jobs)]
    PAGE.write_text(renewed_page())
    print(f"failed: {', '.join(failed)}" if failed else "all checks passed")
    return 1 if failed else 0


def run(check: Check, seconds: float, jobs: int) -> bool:
    """Runs a check with the next unused seeds, records the result, and returns whether it succeeded."""
    ledger = json.loads(FILE.read_text())
    record = ledger.setdefault(check.name, {"runs": 0, "failed": 0, "seconds": 0, "next_seed": FIRST_SEED})
    command = "campaigns." + check.arguments.format(seconds=round(seconds), seed=record["next_seed"], jobs=jobs)
    print(f"== {check.name}: python -m {command}", flush=True)
    process = subprocess.run([sys.executable, "-m", *command.split()], cwd=TESTS, capture_output=True, text=True)
    print(process.stdout[-2000:], process.stderr[-1000:], sep="", flush=True)
    record["runs"] += 1
    record["failed"] += process.returncode != 0
    record["seconds"] += round(seconds)
    record["next_seed"] += SEEDS_PER_RUN
    for match in re.finditer(check.pattern, process.stdout, re.MULTILINE) if check.pattern else ():
        for name, number in match.groupdict().items():
            record[name] = record.get(name, 0) + int(number.replace(",", ""))
    FILE.write_text(json.dumps(ledger, indent=2) + "\n")
    return process.returncode == 0


FIRST_SEED = 10_000_000
SEEDS_PER_RUN = 1_000_000
"""More seeds than a run of some hours can use."""


if __name__ == "__main__":
    sys.exit(main())
