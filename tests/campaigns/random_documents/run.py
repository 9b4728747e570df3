"""Examines many random documents: `python -m campaigns.random_documents.run --seed 0 --documents 10000 --jobs 2`.

A document is the text of a spec, valid or not. It is formatted and validated; if it has no errors, its summary is made,
it is compiled, the model is verified, exported to Keras and compared with another spec, and its training is planned and
exported. Each stage must succeed or give diagnostics. Every other outcome is a finding: an internal error, a stage that
refuses what `validate` accepted, too much time or memory, a crash.

Documents are examined in chunks, each in its own process with limits of memory and of processor time. Runs and findings
are added to ledger.json beside this file after every chunk; a finding is grouped by stage, exception and function, and
shrunk. `--again` examines its open findings again, and removes those that are mended.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from campaigns.random_documents import ledger

ROOT = Path(__file__).parents[3]
CHUNK_DOCUMENTS = 5000
"""Documents per process: the first ones are slowest, since the cache of inferred types is empty."""
MAX_CPU_SECONDS = 20.0
"""Processor time allowed for a stage."""
MAX_HANG_SECONDS = 900.0
"""Elapsed time after which a document is considered to hang in native code."""
MAX_MEMORY_BYTES = 6 << 30
"""Address space of a process."""
LIMIT_KINDS = ("TimeLimitExceeded", "MemoryError")
"""Kinds of findings that are not shrunk, since each attempt is slow."""

Finding = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="the first seed; each document has the next one")
    parser.add_argument("--documents", type=int, default=1000, help="number of documents")
    parser.add_argument("--jobs", type=int, default=1, help="number of parallel processes")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no chunk after this time")
    parser.add_argument("--dry", action="store_true", help="do not write to the ledger")
    parser.add_argument("--again", action="store_true", help="examine the open findings of the ledger instead of seeds")
    parser.add_argument("--show", type=int, metavar="SEED", help="print the document of a seed and what is found")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        examine_seeds(range(args.seed, args.seed + args.documents))
        return 0
    if args.show is not None:
        return show(args.show)
    return 1 if (examine_open_findings() if args.again else run_chunks(args)) else 0


def run_chunks(args: argparse.Namespace) -> list[Finding]:
    """Runs and records all chunks, prints new groups of findings and progress; returns the unexplained findings."""
    begin, totals, findings = time.monotonic(), Counter[str](), []
    explained = {ledger.group(entry) for entry in ledger.read()["explained"]}
    end = args.seed + args.documents

    def run_from(first: int) -> tuple[int, Counter[str], list[Finding]]:
        if time.monotonic() - begin > args.seconds:
            return first, Counter(), []
        return first, *run_chunk(first, min(CHUNK_DOCUMENTS, end - first))

    with ThreadPoolExecutor(args.jobs) as pool:
        starts = range(args.seed, end, CHUNK_DOCUMENTS)
        for job in as_completed([pool.submit(run_from, first) for first in starts]):
            first, counts, found = job.result()
            if not counts["documents"]:
                continue
            found = [finding for finding in found if ledger.group(finding) not in explained]
            known = {ledger.group(finding) for finding in findings}
            for finding in ledger.merge_findings([f for f in found if ledger.group(f) not in known]):
                print(json.dumps(finding), flush=True)
            findings, totals = findings + found, totals + counts
            if not args.dry:
                ledger.record({"seed": first, **{key: counts[key] for key in ledger.KEYS}}, found)
            rate = totals["documents"] / (time.monotonic() - begin)
            progress = ", ".join(f"{totals[key]} {key}" for key in ledger.KEYS)
            print(f"{progress}, {len(findings)} findings, {rate:.1f} a second", file=sys.stderr, flush=True)
    return findings


def run_chunk(first: int, count: int) -> tuple[Counter[str], list[Finding]]:
    """The counts and findings of some seeds; after a crash, a new process continues with the next seed."""
    counts, findings, end = Counter[str](), [], first + count
    while first < end:
        lines, crash = run_child(first, end - first)
        for line in lines:
            counts.update(line.get("counts", {}))
            findings += line.get("findings", [])
        if not crash:
            break
        begun = [line["seed"] for line in lines if "sha256" in line]
        if not begun:
            raise SystemExit(f"no document could be examined: {crash}")
        findings.append({"seed": begun[-1], "stage": "any", "kind": "crash", "place": "", "message": crash, "text": ""})
        counts["documents"] += 1
        first = begun[-1] + 1
    return counts, findings


def run_child(first: int, count: int) -> tuple[list[Any], str]:
    """Runs a child process; returns its output lines and the error if it crashed, else an empty string."""
    command = [
        sys.executable,
        "-m",
        "campaigns.random_documents.run",
        "--child",
        f"--seed={first}",
        f"--documents={count}",
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "compiler"), str(ROOT / "tests")])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    crash = f"exit {done.returncode}: {done.stderr[-400:]}" if done.returncode else ""
    return [json.loads(line) for line in done.stdout.splitlines() if line.endswith("}")], crash


def digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


# -- in the child process ----------------------------------------------------------------------------------------------


def examine_seeds(seeds: Iterable[int]) -> None:
    import faulthandler
    import resource

    from campaigns.random_documents.examine import examine
    from campaigns.random_documents.generate import text
    from campaigns.random_models.memory import remember_types

    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    remember_types()
    shrunk: set[tuple[str, ...]] = set()
    for seed in seeds:
        faulthandler.dump_traceback_later(MAX_HANG_SECONDS, exit=True)
        document = text(seed)
        print(json.dumps({"seed": seed, "sha256": digest(document)}), flush=True)
        outcome = examine(document, MAX_CPU_SECONDS)
        counts = {"documents": 1, "sound": "summary" in outcome.stages, "trained": "plan" in outcome.stages}
        findings = [{"seed": seed, **finding._asdict(), "text": document} for finding in outcome.findings]
        for finding in findings:
            if ledger.group(finding) not in shrunk and finding["kind"] not in LIMIT_KINDS:
                shrunk.add(ledger.group(finding))
                finding["text"] = shrink_finding(finding)
        print(json.dumps({"seed": seed, "counts": counts, "findings": findings}), flush=True)
    faulthandler.cancel_dump_traceback_later()


def shrink_finding(finding: Finding) -> str:
    """Returns the smallest text found that has a finding of the same group."""
    from campaigns.random_documents.shrink import shrink

    return shrink(finding["text"], lambda text: ledger.group(finding) in groups_of(text))


def groups_of(text: str) -> set[tuple[str, ...]]:
    """The groups of a document's findings."""
    from campaigns.random_documents.examine import examine

    return {finding.group for finding in examine(text, MAX_CPU_SECONDS).findings}


def examine_open_findings() -> list[Finding]:
    """Examines the open findings, removes those that are mended from the ledger, and returns the others."""
    warnings.simplefilter("ignore")
    record = ledger.read()
    record["open"] = [f for f in record["open"] if not f["text"] or ledger.group(f) in groups_of(f["text"])]
    ledger.write(record)
    for finding in record["open"]:
        print(json.dumps(finding))
    return record["open"]


def show(seed: int) -> int:
    """Prints the document of a seed and its outcome."""
    from campaigns.random_documents.examine import examine
    from campaigns.random_documents.generate import text

    document = text(seed)
    print(document)
    print(examine(document, MAX_CPU_SECONDS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
