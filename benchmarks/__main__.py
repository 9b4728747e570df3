"""The command: python -m benchmarks [PART...] [OPTION...]"""

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
    """Measure the parts, show their tables, write what was found after each thing."""
    given = _arguments()
    if "page" in given.parts:
        page.renew(Path(given.output or LATEST))
        return
    results = Results.read(Path(given.output)) if given.output else Results()
    with tempfile.TemporaryDirectory(prefix="jsonnx-benchmarks-") as folder:
        options = Options(
            turns=Turns(given.rounds or (3 if given.quick else 7), given.seconds or (0.2 if given.quick else 0.5)),
            threads=given.threads,
            only=tuple(given.only),
            contestants=tuple(given.contestants),
            quick=given.quick,
            folder=Path(folder),
            tell=lambda text: print(f"  {text}", file=sys.stderr),
        )
        for part in given.parts or PARTS:
            found = {}
            for name, what in PARTS[part].measure(options):
                found[name] = what
                results.add(part, name, what, given.threads)
            for table in PARTS[part].tables(found) if found else ():
                table.show()


def _arguments() -> argparse.Namespace:
    about = {name: module.ABOUT for name, module in PARTS.items()} | {"page": page.ABOUT}
    parts = "\n".join(f"  {name:10} {text}" for name, text in about.items())
    parser = argparse.ArgumentParser(
        "run.sh",
        description="Measures jsonnx beside its peers, in turn.",
        epilog=f"parts:\n{parts}\n\ncontestants: {', '.join(NAMES)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="what is measured: all where none is named")
    parser.add_argument("--only", type=_names, default=[], metavar="NAME,...", help="these workloads alone")
    parser.add_argument("--contestants", type=_names, default=[], metavar="NAME,...", help="these contestants alone")
    parser.add_argument("--rounds", type=int, help="turns of every contestant (7)")
    parser.add_argument("--seconds", type=float, help="about how long a turn is (0.5)")
    parser.add_argument(
        "--threads", type=int, default=min(_processors(), 16), help="for everyone (as many as there are processors)"
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter turns")
    parser.add_argument(
        "-o", "--output", help="write what was found into this JSON file, beside what is there; `page` reads it"
    )
    given = parser.parse_args()
    for wrong in set(given.parts) - {*PARTS, "page"}:
        parser.error(f"no part is called {wrong!r}: there are {', '.join(PARTS)}, page")
    for wrong in set(given.contestants) - {*NAMES}:
        parser.error(f"no contestant is called {wrong!r}: there are {', '.join(NAMES)}")
    return given


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    main()
