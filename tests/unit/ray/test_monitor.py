"""The actor of a training, without Ray: stages of a run, workers that fail again and again, requests to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from jsonnx.core.diagnostics import UsageError
from jsonnx.ray.monitor import MAX_FUTILE_ATTEMPTS, Event, Monitor

T = TypeVar("T")


RUNNER = asyncio.Runner()
"""Events of asyncio belong to one loop, as that of an actor."""


def run(call: Coroutine[Any, Any, T]) -> T:
    return RUNNER.run(call)


def test_a_group_of_workers_knows_what_those_before_it_have_reached() -> None:
    monitor = Monitor()
    assert run(monitor.start_attempt()) == (1, "new", None)
    run(monitor.reach("free"))
    run(monitor.reach("begun"))
    assert run(monitor.start_attempt()) == (2, "begun", None)


def test_events_arrive_once_and_in_order() -> None:
    monitor = Monitor()
    assert run(monitor.take(0.01)) == []
    for epoch in range(3):
        run(monitor.put(Event("epoch", epoch)))
    assert run(monitor.take(5)) == [Event("epoch", epoch) for epoch in range(3)]
    assert run(monitor.take(0.01)) == []


def test_workers_that_train_no_further_step_end_the_training() -> None:
    monitor = Monitor()
    for _ in range(MAX_FUTILE_ATTEMPTS):
        assert run(monitor.start_attempt()).error is None
        assert run(monitor.lost({1: "killed", 0: "alone"})) is None
    error = run(monitor.start_attempt()).error
    assert isinstance(error, UsageError)
    assert error.diagnostic.code == "worker-lost"
    assert "worker 0: alone" in error.diagnostic.message


def test_steps_in_between_keep_the_training_alive() -> None:
    monitor = Monitor()
    for attempt in range(3 * MAX_FUTILE_ATTEMPTS):
        assert run(monitor.start_attempt()).error is None
        run(monitor.put(Event("step", None), step=attempt))
        run(monitor.lost({0: "killed"}))


def test_a_failure_is_told_once_for_each_group() -> None:
    monitor = Monitor()
    run(monitor.start_attempt())
    run(monitor.lost({0: "killed"}))
    run(monitor.lost({0: "killed", 1: "alone"}))
    assert run(monitor.take(5)) == [Event("lost", {0: "killed"})]


def test_an_error_ends_the_training() -> None:
    """Of several, that of the first worker."""
    monitor = Monitor()
    run(monitor.start_attempt())
    first, second = ValueError("first"), ValueError("second")
    run(monitor.fail(1, second))
    assert run(monitor.result()) == (second, None)
    run(monitor.fail(0, first))
    assert run(monitor.lost({1: "killed"})) is first
    assert run(monitor.result()) == (first, None)
    assert run(monitor.take(0.01)) == []


def test_workers_wait_for_the_first_one() -> None:
    monitor = Monitor()

    async def both() -> list[str]:
        order = []

        async def wait() -> None:
            await monitor.wait_for_first(5)
            order.append("other")

        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        order.append("first")
        await monitor.leave("outcome")
        await waiting
        return order

    assert run(both()) == ["first", "other"]
    assert run(monitor.result()) == (None, "outcome")


def test_a_request_to_stop() -> None:
    monitor = Monitor()
    assert run(monitor.stop_signal(0.01)) is None
    run(monitor.stop(2))
    assert run(monitor.stop_signal(5)) == 2
