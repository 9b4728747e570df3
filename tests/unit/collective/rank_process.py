"""One rank as a process: `python -m unit.collective.rank_process RANK HOST TIMEOUT ELEMENTS STEPS SHARED`.

It prints its address, reads all addresses, prints "started" after the first step, and at last what it got.
"""

from __future__ import annotations

import json
import sys
import time
import zlib

import numpy as np
from jsonnx.collective.protocol import CollectiveError
from jsonnx.collective.shard_tree import ShardSums, shard_range
from jsonnx.collective.tcp import Listener

SHARD_COUNT = 8
TOKEN = bytes(range(32))


def main(rank: int, host: str, timeout: float, elements: int, steps: int, is_shared: bool) -> None:
    listener = Listener(host)
    print(json.dumps(listener.address), flush=True)
    addresses = [tuple(address) for address in json.loads(sys.stdin.readline())]
    first, end = shard_range(rank, len(addresses), SHARD_COUNT)
    sums = ShardSums(first, end, SHARD_COUNT)
    checksum = 0
    start = time.monotonic()
    try:
        collective = listener.connect(addresses, rank, SHARD_COUNT, TOKEN, timeout, is_shared)
        for step in range(steps):
            for shard in range(first, end):
                vector = sums.buffer(elements)
                vector[:] = np.random.default_rng([step, shard]).standard_normal(elements, np.float32)
                sums.add(shard, vector)
            start = time.monotonic()
            checksum = zlib.crc32(collective.all_reduce(sums.take()), checksum)
            if step == 0:
                print(json.dumps("started"), flush=True)
        collective.close()
        print(json.dumps({"checksum": checksum}), flush=True)
    except CollectiveError as error:
        found = {"ranks": error.ranks, "text": str(error), "seconds": time.monotonic() - start}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    rank, host, timeout, elements, steps, shared = sys.argv[1:]
    main(int(rank), host, float(timeout), int(elements), int(steps), shared == "True")
