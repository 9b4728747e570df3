"""Command line: sh benchmarks/serving/run.sh [OPTION...]

Measures `jsonnx serve`, MLServer and LitServe with the same ONNX models, which all of them run in onnxruntime. The
client wrk sends requests of the Open Inference Protocol as JSON. The servers take turns.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from ..__main__ import names_of
from ..results import Results
from .measure import Load, measure
from .models import MODELS
from .servers import SERVERS

LATEST = Path(__file__).parents[1] / "results" / "serving.json"


def main() -> None:
    args = parse_arguments(sys.argv[1:])
    results = Results.read(Path(args.output)) if args.output else Results()
    loads = [Load(clients, rows, args.seconds) for clients in args.clients for rows in args.rows]
    for name in args.only:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(name, args.servers, loads, args.rounds, args.peers, Path(folder))
        results.add("serving", name, found, 1)
        print("\n".join(table(name, found)))


def table(name: str, found: dict[str, dict[str, Any]]) -> list[str]:
    """Requests per second and 99th percentiles of the latency, as Markdown."""
    servers = list(next(iter(found.values())))
    lines = [f"{name}: {MODELS[name].about}", "", " | ".join(["load", *servers]), "---".join("|" * (len(servers) + 2))]
    for load, by_server in found.items():
        cells = [f"{result['requests_per_s']:,.0f}/s, {result['p99_ms']:.0f} ms" for result in by_server.values()]
        lines.append(" | ".join([load, *cells]))
    return lines


def parse_arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "run.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", type=names_of, default=[*MODELS], metavar="NAME,...", help="models (all)")
    parser.add_argument("--servers", type=names_of, default=[*SERVERS], metavar="NAME,...", help="servers (all)")
    parser.add_argument("--clients", type=_numbers, default=[1, 4, 16, 64], metavar="N,...", help="(1,4,16,64)")
    parser.add_argument("--rows", type=_numbers, default=[1, 8, 32], metavar="N,...", help="of a request (1,8,32)")
    parser.add_argument("--seconds", type=int, default=3, metavar="N", help="duration of a measurement (3)")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="rounds of all servers (1)")
    parser.add_argument("--peers", type=Path, required=True, metavar="ENV", help="environment of the other servers")
    parser.add_argument("-o", "--output", metavar="FILE", help="file that gets the results")
    return parser.parse_args(words)


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


if __name__ == "__main__":
    main()
