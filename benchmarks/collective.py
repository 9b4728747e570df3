"""Measures `all_reduce` between processes of this host, through shared memory and by TCP.

    python benchmarks/collective.py --workers 2 --megabytes 1.6 5 50

Prints a Markdown table of the median and the shortest time in milliseconds, over all calls of the slowest rank.
"""

from __future__ import annotations

import argparse
import multiprocessing
import secrets
import statistics
import time
from multiprocessing.connection import Connection

import numpy as np
from jsonnx.collective.shard_tree import round_to_bfloat16, shard_range, subtrees
from jsonnx.collective.tcp import Listener

MODES = {"shared memory": (True, False), "TCP": (False, False), "TCP, bfloat16": (False, True)}


def measure(rank: int, pipe: Connection, token: bytes, options: argparse.Namespace) -> None:
    """Sends, for every mode and size, the seconds of each call."""
    for is_shared, is_compressed in MODES.values():
        listener = Listener("127.0.0.1")
        pipe.send(listener.address)
        shard_count = options.workers
        collective = listener.connect(pipe.recv(), rank, shard_count, token, 60, is_shared)
        nodes = subtrees(*shard_range(rank, options.workers, shard_count), shard_count)
        for megabytes in options.megabytes:
            length = int(megabytes * 1e6 / 4)
            rounded = length if is_compressed else 0
            parts = [np.random.default_rng(node[0]).standard_normal(length, np.float32) for node in nodes]
            seconds = []
            for _call in range(options.calls):
                parts = [round_to_bfloat16(part, rounded) for part in parts]
                collective.barrier()
                start = time.perf_counter()
                collective.all_reduce(parts, rounded)
                seconds.append(time.perf_counter() - start)
            pipe.send(seconds)
        collective.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--megabytes", type=float, nargs="+", default=[1.6, 5.0, 50.0])
    parser.add_argument("--calls", type=int, default=20)
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    token = secrets.token_bytes(32)
    pipes = []
    for rank in range(options.workers):
        pipe, end = spawn.Pipe()
        spawn.Process(target=measure, args=(rank, end, token, options), daemon=True).start()
        pipes.append(pipe)
    print("way | MB | median ms | shortest ms\n---|---|---|---")
    for mode in MODES:
        addresses = [pipe.recv() for pipe in pipes]
        for pipe in pipes:
            pipe.send(addresses)
        for megabytes in options.megabytes:
            slowest = [1000 * max(call) for call in zip(*(pipe.recv() for pipe in pipes), strict=True)]
            print(f"{mode} | {megabytes:g} | {statistics.median(slowest):.2f} | {min(slowest):.2f}", flush=True)


if __name__ == "__main__":
    main()
