"""The durations of runs, and the sizes of batches that follow from them."""

from __future__ import annotations

import random

import pytest
from jsonnx.server.batching.run_times import CALL_S, FIRST_MAX_ROWS, MAX_CALL_SHARE, SHORT_RUN_S, RunTimes


def learned(row_s: float, run_s: float, runs: int = 200, noise: float = 0.0, max_rows: int = 64) -> RunTimes:
    times, draw = RunTimes(), random.Random(0)
    for _ in range(runs):
        rows = draw.randint(1, max_rows)
        times.add(rows, (row_s * rows + run_s) * draw.uniform(1 - noise, 1 + noise))
    return times


def test_durations_are_a_linear_function_of_the_rows() -> None:
    assert learned(0.001, 0.005).expected_s(100) == pytest.approx(0.105)
    assert learned(0.001, 0.005, noise=0.2).expected_s(40) == pytest.approx(0.045, rel=0.1)


def test_nothing_is_expected_before_the_first_run() -> None:
    assert RunTimes().expected_s(1) is None
    assert RunTimes().efficient_rows() == FIRST_MAX_ROWS


def test_runs_of_one_size_tell_a_duration_in_proportion() -> None:
    times = RunTimes()
    for _ in range(10):
        times.add(4, 0.02)
    assert times.expected_s(8) == pytest.approx(0.04)
    assert times.expected_s(1) == pytest.approx(0.02)  # costs by run are unknown


def test_a_change_of_the_durations_is_learned() -> None:
    times = learned(0.001, 0.0)
    for rows in [*range(1, 65)] * 5:
        times.add(rows, 0.003 * rows)
    assert times.expected_s(10) == pytest.approx(0.03, rel=0.05)


def test_a_run_that_was_stopped_hardly_counts() -> None:
    times = learned(0.00001, 0.0)
    times.add(10, 3.0)
    assert times.expected_s(10) < 0.0002


def test_batches_grow_until_costs_by_run_are_a_small_share() -> None:
    assert learned(0.001, 0.002).efficient_rows() == round((0.002 + CALL_S) / (0.001 * MAX_CALL_SHARE))
    assert learned(0.05, 0.0).efficient_rows() == 1  # a row takes long, so that batches save nothing
    assert learned(0.0, 0.002).efficient_rows() == 128  # twice the largest run


def test_batches_grow_as_long_as_their_runs_are_short() -> None:
    assert learned(0.0002, 0.0).efficient_rows() == round(SHORT_RUN_S / 0.0002)
    assert learned(0.00001, 0.0).efficient_rows() == 128


def test_runs_of_one_size_do_not_end_the_growth() -> None:
    times = RunTimes()
    for _ in range(100):
        times.add(32, 0.001)
    assert times.efficient_rows() == 64


def test_the_first_batches_grow_step_by_step() -> None:
    times, sizes = RunTimes(), []
    for _ in range(5):
        sizes.append(times.efficient_rows())
        times.add(sizes[-1], 0.001)
    assert sizes == [8, 16, 32, 64, 128]
