"""The command line: `record` writes a file of hashes, `compare` tells two such files apart."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .compare import differences
from .record import record


def main() -> int:
    given = arguments()
    if given.command == "record":
        made = record(given.only, given.seeds, given.jobs, given.save_models)
        given.file.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n", "utf-8")
        return 0
    before, after = (json.loads(file.read_text("utf-8")) for file in (given.before, given.after))
    lines = differences(before, after)
    for line in lines:
        print(line)
    print(f"{len(lines)} differences" if lines else f"all hashes of {len(after['hashes'])} ids are equal")
    return 1 if lines else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m graph_hashes", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("record", help="write the hashes of all graphs")
    one.add_argument("file", type=Path, help="the JSON file to write")
    one.add_argument("--only", default="", metavar="SUBSTRING", help="only ids that contain it")
    one.add_argument("--seeds", type=int, default=100, help="how many random models")
    one.add_argument("--jobs", type=int, default=2, help="processes at a time")
    one.add_argument("--save-models", type=Path, metavar="DIR", help="also write what is hashed, models also as text")
    two = commands.add_parser("compare", help="print the ids whose hashes differ; exit status 1 if there are any")
    two.add_argument("before", type=Path)
    two.add_argument("after", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
