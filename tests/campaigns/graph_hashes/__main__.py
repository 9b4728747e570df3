"""Command line: `record` writes a file of hashes, `compare` lists the differences between two such files."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .compare import differences
from .record import record


def main() -> int:
    args = arguments()
    if args.command == "record":
        hashes = record(args.only, args.seeds, args.jobs, args.save_models)
        args.file.write_text(json.dumps(hashes, indent=1, sort_keys=True) + "\n", "utf-8")
        return 0
    before, after = (json.loads(file.read_text("utf-8")) for file in (args.before, args.after))
    lines = differences(before, after)
    for line in lines:
        print(line)
    print(f"{len(lines)} differences" if lines else f"all hashes of {len(after['hashes'])} ids are equal")
    return 1 if lines else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m campaigns.graph_hashes", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    record_parser = commands.add_parser("record", help="write the hashes of all artefacts")
    record_parser.add_argument("file", type=Path, help="JSON file to write")
    record_parser.add_argument("--only", default="", metavar="SUBSTRING", help="only ids that contain SUBSTRING")
    record_parser.add_argument("--seeds", type=int, default=100, help="number of random models")
    record_parser.add_argument("--jobs", type=int, default=2, help="number of parallel processes")
    record_parser.add_argument(
        "--save-models", type=Path, metavar="DIR", help="also write the hashed artefacts, models also as text"
    )
    compare_parser = commands.add_parser(
        "compare", help="print the ids whose hashes differ; exit status 1 if there are any"
    )
    compare_parser.add_argument("before", type=Path)
    compare_parser.add_argument("after", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
