"""Command line: python -m benchmarks.gpu [OPTION...]"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import jobs
from .schedule import run_all, selected


def main() -> int:
    """Runs all jobs and writes their results; the exit status is 1 if a sample or the comparison failed."""
    arguments = parse_arguments(sys.argv[1:])
    if arguments.job:
        jobs.print_result(arguments.job, jobs.Settings.of(arguments))
        return 0
    output = Path(arguments.start_folder, arguments.output)
    names = selected(jobs.all_names(with_layers=not arguments.no_layers), arguments.only)
    report = run_all(names, jobs.Settings.of(arguments), output, arguments.minutes)
    failures = report["failed"]
    print(f"wrote {output}: {len(report['jobs'])} jobs, {len(failures)} failed, {len(report['not_run'])} not run")
    for name in failures:
        print(f"  failed: {name}: {report['jobs'][name].get('error', 'it differs from the CPU')}")
    return 1 if failures else 0


def parse_arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("gpu.sh", description=__doc__)
    parser.add_argument("--provider", default="cuda", metavar="NAME", help="onnxruntime provider (cuda)")
    parser.add_argument(
        "--provider-option",
        dest="options",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="option of the provider, such as device_id=1; may be repeated",
    )
    parser.add_argument("--wheels", metavar="FOLDER", help="install from the wheels of this folder, offline")
    parser.add_argument("-o", "--output", default="gpu.json", metavar="FILE", help="file to write (gpu.json)")
    parser.add_argument("--minutes", type=float, default=10.0, help="time after which no further job starts (10)")
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds that a workload is timed (3)")
    parser.add_argument("--steps", type=int, default=200, help="most steps of a sample (200)")
    parser.add_argument(
        "--only", action="append", default=[], metavar="TEXT", help="only jobs whose name has this text"
    )
    parser.add_argument("--no-layers", action="store_true", help="do not compare every layer")
    parser.add_argument("--start-folder", default=".", help=argparse.SUPPRESS)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
