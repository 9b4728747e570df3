"""Runs a contestant in its own process: reads commands line by line and answers with JSON.

python -m benchmarks.worker MODULE:CLASS FOLDER THREADS PROCESSES, the number of processes that have these threads each
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from .contestants import Entry
from .load import memory, peak_memory


def main(made_by: str, folder: str, threads: str, processes: str) -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # output of libraries must not mix with the answers
    confine(int(threads) * int(processes))

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    try:
        import_module(f".contestants.{made_by.partition(':')[0]}", __package__)
        imported = memory()
        start = perf_counter()
        contestant = Entry("", made_by).make(Path(folder), int(threads))
        answer(seconds=perf_counter() - start, imported=imported)
        for line in sys.stdin:
            command, count = line.split()
            if command == "proof":
                answer(proof=contestant.proof(int(count)))
                continue
            start, processor_start = perf_counter(), process_time()
            contestant.steps(int(count))
            seconds, processor_seconds = perf_counter() - start, process_time() - processor_start
            answer(seconds=seconds, processor_seconds=processor_seconds, peak=peak_memory())
    except Exception as error:
        answer(failed=f"{type(error).__name__}: {error}", trace=traceback.format_exc())


def confine(threads: int) -> None:
    """Restricts this process to a number of processors, the only limit that every library respects."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


if __name__ == "__main__":
    main(*sys.argv[1:])
