"""Random arrivals, cancellations, deadlines and failures: each request gets what it would get alone."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import numpy as np
import pytest
from jsonnx.server.batching.batcher import Batcher, BatchLimits
from jsonnx.server.batching.batching import Batching
from jsonnx.server.monitoring.observer import Feeds, NoObserver
from jsonnx.server.protocol.errors import RequestError
from support.virtual_time import VirtualTimeLoop, run_in_virtual_time

REQUESTS = 150


class SummingModel:
    """Adds up the elements of each row; a run with a row of NaNs fails, and so does one that is too large."""

    def __init__(self, loop: VirtualTimeLoop, batching: Batching, limits: BatchLimits, draw: random.Random) -> None:
        self._loop, self._batching, self._limits, self._draw = loop, batching, limits, draw

    def __call__(self, feeds: Feeds) -> Feeds:
        x = feeds["x"]
        self._loop.spend(self._draw.choice([0.0, 0.0005, 0.003, 0.05]))
        assert len(x) % self._batching.row_multiple == 0
        assert len(x) >= self._batching.min_rows or not len(x)
        assert len(x) <= self._batching.padded_rows(self._limits.max_batch_rows) or not self._batching.is_allowed
        if np.isnan(x).any():
            raise ValueError("a row has NaNs")
        return {"sum": x.sum(axis=1), "first": x[:, :1]}


async def outcome(batcher: Batcher, loop: VirtualTimeLoop, draw: random.Random, seen: dict[str, int]) -> None:
    """Sends a request at a random time, and compares its outcome with that of the sequential oracle."""
    shape = draw.choice([0, 1, 1, 2, 3, 7, 20]), draw.choice([4, 4, 8])
    x = np.random.default_rng(draw.randrange(1 << 30)).normal(size=shape).astype(np.float32)
    fails = draw.random() < 0.1 and len(x) > 0
    if fails:
        x[draw.randrange(len(x))] = np.nan
    await asyncio.sleep(draw.choice([0.0, 0.001, 0.01, 0.3]) * draw.randrange(20))
    timeout_s = draw.choice([None, None, 0.0, 0.004, 0.1, 10.0])
    sent_s = loop.time()
    wait = asyncio.ensure_future(batcher.infer({"x": x}, None if timeout_s is None else sent_s + timeout_s))
    if draw.random() < 0.15:
        loop.call_later(draw.choice([0.0, 0.001, 0.02]), wait.cancel)
    [answer] = await asyncio.gather(wait, return_exceptions=True)
    if isinstance(answer, asyncio.CancelledError):
        seen["cancelled"] += 1
    elif isinstance(answer, RequestError):
        assert answer.code in ("queue-full", "request-expired")
        assert answer.code != "request-expired" or (timeout_s is not None and loop.time() >= sent_s + timeout_s)
        seen[answer.code] += 1
    elif isinstance(answer, BaseException):
        assert fails, answer
        seen["failed"] += 1
    else:
        assert not fails
        assert np.array_equal(answer["sum"], x.sum(axis=1))
        assert np.array_equal(answer["first"], x[:, :1])
        seen["answered"] += 1


def play(seed: int) -> dict[str, int]:
    draw = random.Random(seed)
    batching = Batching(draw.random() < 0.8, "", draw.choice([1, 2]), draw.choice([1, 4]))
    if not batching.is_allowed:
        batching = Batching(False, "")
    max_delay_s = draw.choice([0.0, 0.002, 0.5])
    limits = BatchLimits(
        draw.choice([1, 4, 16, 64]), draw.choice([10, 50, 10_000]), max_delay_s, draw.choice([1, 2, 5])
    )
    seen = dict.fromkeys(("answered", "failed", "cancelled", "queue-full", "request-expired"), 0)

    async def main(loop: VirtualTimeLoop) -> Any:
        model = SummingModel(loop, batching, limits, draw)
        batcher = Batcher(model, limits, batching, NoObserver(), loop.time)
        await asyncio.gather(*(outcome(batcher, loop, draw, seen) for _ in range(REQUESTS)))
        await batcher.drain()
        assert loop.in_executor == 0
        assert await batcher.infer({"x": np.ones((1, 4), np.float32)})

    run_in_virtual_time(main)
    assert sum(seen.values()) == REQUESTS
    return seen


@pytest.mark.parametrize("seeds", [range(start, start + 10) for start in range(0, 60, 10)], ids=str)
def test_every_request_gets_what_it_would_get_alone(seeds: range) -> None:
    outcomes = [play(seed) for seed in seeds]
    for kind in ("answered", "failed", "cancelled", "request-expired"):
        assert any(seen[kind] for seen in outcomes), kind
