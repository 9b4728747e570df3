"""Command line: sh benchmarks/run.sh large [OPTION...]

Measures large networks in training beside PyTorch: peaks of memory, the time until the first step is done, the time of
a step, and the files. Each contestant trains each network in a fresh process; the processes take turns. With `page`,
rewrites the tables of docs/internals/large-networks.md from results/large.json, or from the file given by -o.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from ..__main__ import names_of, processor_count
from ..results import Results
from .measure import Plan, measure
from .networks import NETWORKS
from .tables import LATEST, processor_tables, tables, update_page
from .trainers import TRAINERS


def main() -> None:
    args = parse_arguments(sys.argv[1:])
    if args.page:
        update_page(Path(args.output or LATEST))
        return
    results = Results.read(Path(args.output)) if args.output else Results()
    plan = Plan(
        contestants=tuple(args.contestants),
        rounds=args.rounds,
        steps=args.steps,
        threads=args.threads,
        folder=args.folder,
        max_minutes=args.max_minutes,
        tell=lambda text: print(f"  {text}", file=sys.stderr, flush=True),
        tiny=args.tiny,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that the process of a contestant ends, too
    results_by_network = {}
    for name in args.only:
        for result in measure(name, plan):
            results_by_network[name] = result
            results.add("large", name, result, args.threads)
    for table in (*tables(results_by_network), *processor_tables(results_by_network)):
        table.show()


def parse_arguments(words: list[str]) -> argparse.Namespace:
    networks = "\n".join(f"  {name:26} {network.about}" for name, network in NETWORKS.items())
    parser = argparse.ArgumentParser(
        "run.sh large",
        description=__doc__,
        epilog=f"networks:\n{networks}\n\ncontestants: {', '.join(TRAINERS)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("page", nargs="?", choices=["page"], help="rewrite the page of the documentation")
    parser.add_argument("--only", type=names_of, default=[*NETWORKS], metavar="NAME,...", help="networks (all)")
    parser.add_argument(
        "--contestants", type=names_of, default=[*TRAINERS], metavar="NAME,...", help="contestants (all)"
    )
    parser.add_argument("--rounds", type=int, default=2, help="processes per contestant and network (2)")
    parser.add_argument("--steps", type=int, default=5, help="steps behind the first one (5)")
    parser.add_argument("--threads", type=int, default=min(processor_count(), 16), help="threads (processors)")
    parser.add_argument("--max-minutes", type=float, default=20, help="longest time of a process (20)")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()), help="folder for checkpoints and models"
    )
    parser.add_argument("--tiny", action="store_true", help="networks of the same form that take milliseconds")
    parser.add_argument("-o", "--output", help="add the results to this JSON file; `page` reads it")
    args = parser.parse_args(words)
    for kind, chosen, known in (("network", args.only, NETWORKS), ("contestant", args.contestants, TRAINERS)):
        for wrong in set(chosen) - {*known}:
            parser.error(f"no {kind} is called {wrong!r}: there are {', '.join(known)}")
    return args


if __name__ == "__main__":
    main()
