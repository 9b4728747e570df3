"""The batcher, in virtual time with models that take a known time."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from jsonnx.server.batching.batcher import ALONE_INLINE_MAX_S, INLINE_MAX_S, Batcher, BatchLimits
from jsonnx.server.batching.batching import Batching
from jsonnx.server.monitoring.observer import Feeds, NoObserver
from jsonnx.server.protocol.errors import RequestError
from support.virtual_time import VirtualTimeLoop, run_in_virtual_time

ALLOWED = Batching(True, "rows are doubled one by one")
AT_ONCE = BatchLimits(max_delay_s=0.0)
POISON = -1.0
"""An element that makes a run fail."""


class Doubling:
    """A model that doubles its input, and takes a time by row and by run."""

    def __init__(self, loop: VirtualTimeLoop, row_s: float = 0.001, run_s: float = 0.01) -> None:
        self._loop, self._row_s, self._run_s = loop, row_s, run_s
        self.runs: list[list[float]] = []
        """The first elements of the rows of each run."""

    def __call__(self, feeds: Feeds) -> Feeds:
        x = feeds["x"]
        self.runs.append(x[:, 0].tolist())
        self._loop.spend(self._run_s + self._row_s * len(x))
        if (x == POISON).any():
            raise ValueError("the model failed")
        return {"y": 2 * x}


class Counts(NoObserver):
    """Adds up what it is told."""

    def __init__(self) -> None:
        self.runs: list[int] = []
        self.answered_rows: list[tuple[int, float]] = []

    def executed(self, rows: int, compute_s: float) -> None:
        self.runs.append(rows)

    def answered(self, rows: int, queue_s: float, compute_s: float) -> None:
        self.answered_rows.append((rows, round(queue_s, 6)))


def rows(*values: float, width: int = 1) -> Feeds:
    return {"x": np.array([[value] * width for value in values], np.float32)}


Scenario = Callable[[Callable[..., Awaitable[Any]], Batcher, VirtualTimeLoop], Awaitable[Any]]


def played(
    scenario: Scenario,
    limits: BatchLimits = AT_ONCE,
    batching: Batching = ALLOWED,
    observer: NoObserver | None = None,
    **times: float,
) -> tuple[Any, list[list[float]]]:
    """The result of a scenario, and the runs of its model. A scenario gets a function that sends rows at a time."""
    model: list[Doubling] = []

    async def main(loop: VirtualTimeLoop) -> Any:
        model.append(Doubling(loop, **times))
        batcher = Batcher(model[0], limits, batching, observer or NoObserver(), loop.time)

        async def send(at_s: float, *values: float, width: int = 1, deadline_s: float | None = None) -> Any:
            await asyncio.sleep(at_s - loop.time())
            outputs = await batcher.infer(rows(*values, width=width), deadline_s)
            assert outputs["y"].tolist() == [[2 * value] * width for value in values]
            return round(loop.time(), 6)

        result = await scenario(send, batcher, loop)
        await batcher.drain()
        return result

    return run_in_virtual_time(main), model[0].runs


def test_a_request_to_an_idle_model_starts_at_once() -> None:
    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        return await send(0.0, 1.0)

    assert played(scenario, BatchLimits(max_delay_s=5.0)) == (0.011, [[1.0]])


def test_requests_that_arrive_together_share_a_run() -> None:
    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        return await asyncio.gather(send(0.0, 1.0), send(0.0, 2.0, 3.0))

    assert played(scenario) == ([0.013, 0.013], [[1.0, 2.0, 3.0]])


def test_requests_that_arrive_during_a_run_form_the_next_batch() -> None:
    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        return await asyncio.gather(send(0.0, 1.0), send(0.001, 2.0), send(0.002, 3.0), send(0.012, 4.0))

    assert played(scenario) == ([0.011, 0.023, 0.023, 0.034], [[1.0], [2.0, 3.0], [4.0]])


def test_a_batch_waits_for_more_rows_while_another_session_computes() -> None:
    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        return await asyncio.gather(send(0.0, 1.0), send(0.001, 2.0), send(0.002, 3.0))

    limits = BatchLimits(max_delay_s=0.003, sessions=2)
    assert played(scenario, limits) == ([0.011, 0.016, 0.016], [[1.0], [2.0, 3.0]])


def test_a_waiting_batch_starts_as_soon_as_no_session_computes() -> None:
    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        return await asyncio.gather(send(0.0, 1.0), send(0.001, 2.0))

    assert played(scenario, BatchLimits(max_delay_s=5.0, sessions=2)) == ([0.011, 0.022], [[1.0], [2.0]])


def test_as_many_batches_are_computed_at_once_as_there_are_sessions() -> None:
    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        sent = [asyncio.ensure_future(send(0.001 * i, float(i))) for i in range(4)]
        await asyncio.sleep(0.005)
        running = loop.in_executor
        return running, await asyncio.gather(*sent)

    result, runs = played(scenario, BatchLimits(max_delay_s=0.0, sessions=2))
    assert result[0] == 2
    assert runs == [[0.0], [1.0], [2.0, 3.0]]


def test_what_waits_is_divided_among_idle_sessions() -> None:
    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        await send(0.0, 0.0)
        return await asyncio.gather(*(send(1.0, float(i)) for i in range(1, 6)))

    _, runs = played(scenario, BatchLimits(max_delay_s=0.0, sessions=2))
    assert [len(run) for run in runs] == [1, 3, 2]


def test_short_runs_are_not_handed_to_a_thread() -> None:
    threads: list[int] = []

    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        await send(0.0, 1.0)
        loop.run_in_executor = lambda *args: threads.append(1)  # type: ignore[method-assign,assignment]
        return await asyncio.gather(send(1.0, 2.0), send(1.0, 3.0))

    _, runs = played(scenario, row_s=INLINE_MAX_S / 10, run_s=0.0)
    assert runs == [[1.0], [2.0, 3.0]]
    assert not threads


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_run_without_other_requests_may_take_longer_in_the_loop(is_alone: bool) -> None:
    """The second request has another shape, so that it waits while the first one starts."""
    handed: list[int] = []

    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        await send(0.0, 1.0)
        run_in_executor = loop.run_in_executor

        def hand_over(*arguments: Any) -> Any:
            handed.append(1)
            return run_in_executor(*arguments)

        loop.run_in_executor = hand_over  # type: ignore[method-assign,assignment]
        await asyncio.gather(send(1.0, 2.0), *([] if is_alone else [send(1.0, 3.0, width=2)]))

    played(scenario, row_s=(INLINE_MAX_S + ALONE_INLINE_MAX_S) / 2, run_s=0.0)
    assert bool(handed) != is_alone


def test_rows_of_other_shapes_never_share_a_run() -> None:
    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        waits = [send(0.001, 2.0), send(0.002, 3.0, width=2), send(0.003, 4.0), send(0.004, 5.0, width=2)]
        return await asyncio.gather(send(0.0, 1.0), *waits)

    assert played(scenario)[1] == [[1.0], [2.0, 4.0], [3.0, 5.0]]


def test_a_model_that_may_not_be_batched_runs_each_request_alone() -> None:
    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        return await asyncio.gather(*(send(0.0, float(i), float(i)) for i in range(3)))

    limits = BatchLimits(max_batch_rows=1, max_delay_s=1.0)
    assert played(scenario, limits, Batching(False, "rows meet"))[1] == [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]


def test_batches_have_at_most_the_maximum_of_rows() -> None:
    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        return await asyncio.gather(send(0.0, 1.0, 2.0, 3.0), send(0.0, 4.0, 5.0), send(0.0, 6.0))

    assert played(scenario, BatchLimits(max_batch_rows=4, max_delay_s=0.0))[1] == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]


def test_a_request_with_more_rows_is_computed_in_parts() -> None:
    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        return await send(0.0, 1.0, 2.0, 3.0, 4.0, 5.0)

    assert played(scenario, BatchLimits(max_batch_rows=2, max_delay_s=0.0))[1] == [[1.0, 2.0], [3.0, 4.0], [5.0]]


def test_a_request_whose_part_fails_fails() -> None:
    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        with pytest.raises(ValueError, match="the model failed"):
            await send(0.0, 1.0, POISON, 3.0, 4.0, 5.0)

    played(scenario, BatchLimits(max_batch_rows=1, max_delay_s=0.0))


def test_runs_are_padded_as_kernels_need_it() -> None:
    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        return await asyncio.gather(send(0.0, 1.0), send(1.0, 2.0, 3.0, 4.0, 5.0), send(2.0, 6.0, 7.0, 8.0))

    runs = played(scenario, batching=Batching(True, "", min_rows=2))[1]
    assert runs == [[1.0, 1.0], [2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0]]
    runs = played(scenario, batching=Batching(True, "", row_multiple=4))[1]
    assert runs == [[1.0] * 4, [2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 6.0]]


def test_a_request_without_rows_gets_no_rows() -> None:
    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        return (await batcher.infer({"x": np.zeros((0, 1), np.float32)}))["y"].shape

    assert played(scenario, batching=Batching(True, "", min_rows=2))[0] == (0, 1)


def test_only_the_request_fails_that_cannot_be_computed() -> None:
    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        waits = send(0.0, 1.0), send(0.0, POISON), send(0.0, 3.0)
        return await asyncio.gather(*waits, return_exceptions=True)

    (first, failed, third), runs = played(scenario)
    assert runs == [[1.0, POISON, 3.0], [1.0], [POISON], [3.0]]
    assert (first, third) == (0.046, 0.046)
    assert isinstance(failed, ValueError)


def test_a_request_that_nobody_waits_for_is_not_computed() -> None:
    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        waits = [asyncio.ensure_future(send(0.001 * i, float(i))) for i in range(4)]
        await asyncio.sleep(0.005)
        waits[2].cancel()
        return await asyncio.gather(*waits, return_exceptions=True)

    result, runs = played(scenario)
    assert runs == [[0.0], [1.0, 3.0]]
    assert isinstance(result[2], asyncio.CancelledError)


def test_the_others_get_their_answers_if_nobody_waits_for_a_running_one() -> None:
    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        waits = [asyncio.ensure_future(send(0.0, float(i))) for i in range(3)]
        await asyncio.sleep(0.005)
        waits[1].cancel()
        return await asyncio.gather(*waits, return_exceptions=True)

    result, runs = played(scenario)
    assert runs == [[0.0, 1.0, 2.0]]
    assert isinstance(result[1], asyncio.CancelledError)


def test_a_request_whose_deadline_has_passed_is_not_computed() -> None:
    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        async def late(at_s: float, deadline_s: float) -> Any:
            with pytest.raises(RequestError) as caught:
                await send(at_s, 2.0, deadline_s=deadline_s)
            return caught.value.status, caught.value.code, round(loop.time(), 3)

        waits = send(0.0, 1.0), late(0.001, 0.5), send(0.002, 3.0, deadline_s=50.0), late(0.003, 0.015)
        return await asyncio.gather(*waits)

    (_, late, _, earlier), runs = played(scenario, run_s=10.0)
    assert runs == [[1.0], [3.0]]
    assert late == (503, "request-expired", 0.5)
    assert earlier == (503, "request-expired", 0.015)


def test_a_full_queue_refuses_requests_and_says_when_to_come_back() -> None:
    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        await send(0.0, 1.0)
        waits = [asyncio.ensure_future(send(10.0 + 0.1 * i, 1.0, 2.0)) for i in range(4)]
        await asyncio.sleep(10.0 - loop.time() + 0.5)
        with pytest.raises(RequestError) as caught:
            await batcher.infer(rows(1.0))
        await asyncio.gather(*waits)
        await send(100.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)  # more rows than the queue takes, but it is empty
        return caught.value

    error, _ = played(scenario, BatchLimits(max_queue_rows=6, max_delay_s=0.0), row_s=0.0, run_s=3.0)
    assert (error.status, error.code, error.retry_after_s) == (429, "queue-full", 18)
    assert "6 rows wait to be computed, the limit is 6" in str(error)


def test_rows_that_wait_are_counted() -> None:
    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        waits = [asyncio.ensure_future(send(at_s, 1.0, 2.0)) for at_s in (0.0, 0.001, 0.002)]
        await asyncio.sleep(0.005)
        waiting = batcher.queue_rows
        await asyncio.gather(*waits)
        return waiting, batcher.queue_rows

    assert played(scenario)[0] == (4, 0)


def test_observers_are_told_of_runs_and_answers() -> None:
    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        return await asyncio.gather(send(0.0, 1.0), send(0.001, 2.0, 3.0), send(0.002, 4.0))

    counts = Counts()
    played(scenario, observer=counts)
    assert counts.runs == [1, 3]
    assert counts.answered_rows == [(1, 0.0), (2, 0.01), (1, 0.009)]


def test_drain_waits_for_all_requests() -> None:
    async def scenario(send: Any, batcher: Batcher, loop: VirtualTimeLoop) -> Any:
        waits = [asyncio.ensure_future(send(0.001 * i, float(i))) for i in range(3)]
        await asyncio.sleep(0.005)
        await batcher.drain()
        return all(wait.done() for wait in waits), round(loop.time(), 3)

    assert played(scenario)[0] == (True, 0.023)


def test_a_drained_batcher_keeps_no_model_and_still_answers() -> None:
    async def main() -> None:
        others = set(threading.enumerate())
        batcher = Batcher(lambda feeds: {"y": feeds["x"]}, BatchLimits(sessions=2), ALLOWED, NoObserver())
        await batcher.infer(rows(1.0))
        own = {thread for thread in threading.enumerate() if thread.name.startswith("jsonnx-run")} - others
        assert own
        await batcher.drain()
        for thread in own:
            await asyncio.to_thread(thread.join, 5)
            assert not thread.is_alive()
        assert (await batcher.infer(rows(2.0)))["y"].tolist() == [[2.0]]
        await batcher.drain()
        kept = weakref.ref(batcher)
        del batcher
        await asyncio.sleep(0.01)  # the loop forgets the calls that it made
        gc.collect()
        assert kept() is None

    asyncio.run(main())


def test_an_array_at_an_odd_address_is_copied() -> None:
    addresses: list[int] = []
    block = np.zeros(40, np.uint8)
    start = -block.ctypes.data % 16 + 4
    feeds = {"x": block[start : start + 8].view(np.float32).reshape(1, 2)}

    def run(given: Feeds) -> Feeds:
        addresses.append(given["x"].ctypes.data % 16)
        return given

    async def main(loop: VirtualTimeLoop) -> Any:
        return await Batcher(run, BatchLimits(), ALLOWED, NoObserver(), loop.time).infer(feeds)

    run_in_virtual_time(main)
    assert addresses == [0]
