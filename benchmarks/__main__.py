"""Command line: python -m benchmarks [PART...] [OPTION...]"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from . import page
from .contestants import NAMES
from .options import Options
from .parts import PARTS
from .referee import Turns
from .results import LATEST, Results


def main() -> None:
    """Measures the parts, writes each result when it is there, and prints tables."""
    args = _arguments()
    if "page" in args.parts:
        page.update_page(Path(args.output or LATEST))
        return
    results = Results.read(Path(args.output)) if args.output else Results()
    with tempfile.TemporaryDirectory(prefix="jsonnx-benchmarks-") as folder:
        options = Options(
            turns=Turns(args.rounds or (3 if args.quick else 7), args.seconds or (0.2 if args.quick else 0.5)),
            threads=args.threads,
            only=tuple(args.only),
            contestants=tuple(args.contestants),
            quick=args.quick,
            folder=Path(folder),
            tell=lambda text: print(f"  {text}", file=sys.stderr),
        )
        for part in args.parts or PARTS:
            results_by_name = {}
            for name, result in PARTS[part].measure(options):
                results_by_name[name] = result
                results.add(part, name, result, args.threads)
            for table in PARTS[part].tables(results_by_name) if results_by_name else ():
                table.show()


def _arguments() -> argparse.Namespace:
    about = {name: module.ABOUT for name, module in PARTS.items()} | {"page": page.ABOUT}
    parts = "\n".join(f"  {name:10} {text}" for name, text in about.items())
    parser = argparse.ArgumentParser(
        "run.sh",
        description="Measures jsonnx and its peers in turns.",
        epilog=f"parts:\n{parts}\n\ncontestants: {', '.join(NAMES)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="parts to measure (all)")
    parser.add_argument("--only", type=names_of, default=[], metavar="NAME,...", help="measure only these workloads")
    parser.add_argument(
        "--contestants", type=names_of, default=[], metavar="NAME,...", help="measure only these contestants"
    )
    parser.add_argument("--rounds", type=int, help="turns per contestant (7)")
    parser.add_argument("--seconds", type=float, help="approximate length of a turn (0.5)")
    parser.add_argument(
        "--threads", type=int, default=min(processor_count(), 16), help="threads per contestant (number of processors)"
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter turns")
    parser.add_argument("-o", "--output", help="add the results to this JSON file; `page` reads it")
    args = parser.parse_args()
    for wrong in set(args.parts) - {*PARTS, "page"}:
        parser.error(f"no part is called {wrong!r}: there are {', '.join(PARTS)}, page")
    for wrong in set(args.contestants) - {*NAMES}:
        parser.error(f"no contestant is called {wrong!r}: there are {', '.join(NAMES)}")
    return args


def names_of(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def processor_count() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    main()
