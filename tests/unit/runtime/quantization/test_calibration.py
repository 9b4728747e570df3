"""Ranges of values in batches."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.runtime.quantization.calibration import NotFiniteError, collected_ranges

RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(10, 32, 50)).astype(np.float32)
BATCHES = [{"x": part, "relu": np.maximum(part, 0), "zero": np.zeros_like(part)} for part in VALUES]


def test_the_least_and_the_largest_value() -> None:
    ranges = collected_ranges(BATCHES, "minmax", 0)
    assert ranges["x"] == (VALUES.min(), VALUES.max())
    assert ranges["relu"] == (0, VALUES.max())
    assert ranges["zero"] == (0, 0)


@pytest.mark.parametrize("percentile", [99.0, 99.9])
def test_the_range_of_most_values(percentile: float) -> None:
    low, high = collected_ranges(BATCHES, "percentile", percentile)["x"]
    share = (100 - percentile) / 2
    np.testing.assert_allclose([low, high], np.percentile(VALUES, [share, 100 - share]), atol=0.02)
    assert collected_ranges(BATCHES, "percentile", percentile)["relu"][0] == 0


def test_ranges_by_entropy_are_within_those_of_all_values() -> None:
    ranges = collected_ranges(BATCHES, "entropy", 0)
    assert VALUES.min() <= ranges["x"][0] < -2
    assert 2 < ranges["x"][1] <= VALUES.max()
    assert ranges["relu"][0] == 0
    assert ranges["zero"] == (0, 0)


@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite(method: str, value: float) -> None:
    with pytest.raises(NotFiniteError) as failure:
        collected_ranges([{"x": np.float32([1, value])}], method, 99.9)
    assert failure.value.key == "x"


@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy"])
def test_values_of_no_elements(method: str) -> None:
    assert collected_ranges([{"x": np.zeros((0, 3), np.float32)}], method, 99.9) == {"x": (0, 0)}
    assert collected_ranges([], method, 99.9) == {}


@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy"])
@pytest.mark.parametrize("value", [-2.0, 1.0])
def test_equal_values(method: str, value: float) -> None:
    batches = [{"x": np.full((4, 3), value, np.float32)}] * 2
    assert collected_ranges(batches, method, 99.9) == {"x": (value, value)}


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    collected_ranges(BATCHES[:2], "percentile", 99.9)
    assert capsys.readouterr().out == ""
