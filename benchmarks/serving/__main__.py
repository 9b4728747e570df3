"""Command line: sh benchmarks/serving/run.sh [OPTION...]

Measures `jsonnx serve`, MLServer and LitServe with the same ONNX models, which all of them run in onnxruntime. The
client wrk sends requests of the Open Inference Protocol as JSON. The servers take turns. With `page`, rewrites the
table of docs/internals/serving-performance.md from results/serving.json, or from the file given by -o.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ..__main__ import names_of
from ..page import DOCS, between
from ..results import Results
from .measure import Load, better, measure
from .models import MODELS
from .servers import SERVERS

LATEST = Path(__file__).parents[1] / "results" / "serving.json"
PAGE = DOCS / "internals/serving-performance.md"
PAGE_CLIENTS, PAGE_ROWS = (1, 16, 64), (1, 32)
PEERS = ("jsonnx", "mlserver", "litserve")


def main() -> None:
    args = parse_arguments(sys.argv[1:])
    if args.page:
        update_page(Path(args.output or LATEST))
        return
    results = Results.read(Path(args.output)) if args.output else Results()
    results.add("serving", "versions", peer_versions(args.peers), 1)
    loads = [Load(clients, rows, args.seconds) for clients in args.clients for rows in args.rows]
    for name in args.only:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(name, args.servers, loads, args.rounds, args.peers, Path(folder))
        if args.keep_better:
            found = better(results.parts.get("serving", {}).get(name, {}), found)
        results.add("serving", name, found, 1)


def peer_versions(peers: Path) -> dict[str, str]:
    """The versions of the other servers, and of their onnxruntime."""
    program = "import importlib.metadata as m; print(*map(m.version, ('mlserver', 'litserve', 'onnxruntime')))"
    done = subprocess.run([peers / "bin" / "python", "-c", program], capture_output=True, text=True, check=True)
    return dict(zip(("mlserver", "litserve", "onnxruntime"), done.stdout.split(), strict=True))


def page_table(parts: dict[str, Any]) -> list[str]:
    """The table of docs/internals/serving-performance.md: of each server, its better settings for a load."""
    lines = ["model | clients | rows | jsonnx | MLServer | LitServe", "---|---|---|---|---|---"]
    for name in MODELS:
        for load, by_server in parts[name].items():
            clients, rows = (words.split()[0] for words in load.split(", "))
            if int(rows) not in PAGE_ROWS or int(clients) not in PAGE_CLIENTS:
                continue
            peers = [[by_server[server] for server in SERVERS if server.startswith(peer)] for peer in PEERS]
            cells = [max(results, key=lambda result: result["requests_per_s"]) for results in peers]
            lines.append(" | ".join([name, clients, rows, *map(_cell, cells)]))
    return lines


def _cell(result: dict[str, float]) -> str:
    return f"{result['requests_per_s']:,.0f}/s, {result['p99_ms']:.0f} ms, {result['cpu_ms']:.2g} ms"


def update_page(file: Path) -> None:
    """Rewrites the table of docs/internals/serving-performance.md from a file of results."""
    text = between(PAGE.read_text("utf-8"), "serving", "\n".join(page_table(Results.read(file).parts["serving"])))
    PAGE.write_text(text, "utf-8")


def parse_arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "run.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "page", nargs="?", choices=["page"], help="rewrite the table of docs/internals/serving-performance.md"
    )
    parser.add_argument("--only", type=names_of, default=[*MODELS], metavar="NAME,...", help="models (all)")
    parser.add_argument("--servers", type=names_of, default=[*SERVERS], metavar="NAME,...", help="servers (all)")
    parser.add_argument("--clients", type=_numbers, default=[1, 4, 16, 64], metavar="N,...", help="(1,4,16,64)")
    parser.add_argument("--rows", type=_numbers, default=[1, 8, 32], metavar="N,...", help="of a request (1,8,32)")
    parser.add_argument("--seconds", type=int, default=2, metavar="N", help="duration of a measurement (2)")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="rounds of all servers (1)")
    parser.add_argument("--peers", type=Path, required=True, metavar="ENV", help="environment of the other servers")
    parser.add_argument("--keep-better", action="store_true", help="do not replace better results in the output file")
    parser.add_argument("-o", "--output", metavar="FILE", help="file that gets the results")
    return parser.parse_args(words)


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


if __name__ == "__main__":
    main()
