"""Initializers: moments and bounds of the drawn numbers, shapes, names and seeds."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest
from jsonnx.core.types import ShapeError
from jsonnx.training.weights import initializers
from jsonnx.training.weights.initializers import INITIALIZERS, TRUNCATED_STDDEV, weight_fans

from .cases import name
from .recorded import read

SHAPE = (3, 3, 64, 128)
FAN_IN, FAN_OUT = 9 * 64, 9 * 128
SCALING = {"type": "VarianceScaling"}
NAMES = {
    "zero": "Zeros",
    "Zeros": "Zeros",
    "one": "Ones",
    "normal": "RandomNormal",
    "uniform": "RandomUniform",
    "OrthogonalInitializer": "Orthogonal",
    "IdentityInitializer": "Identity",
    "he_normal": "HeNormal",
    "STFT": "STFT",
    "STFTInitializer": "STFT",
}


def drawn(spec: Any, shape: tuple[int, ...] = SHAPE, seed: int = 0) -> np.ndarray:
    return np.broadcast_to(read(INITIALIZERS, spec).sample(shape, np.random.default_rng(seed)), shape)


def scaled(variance: float, distribution: str) -> tuple[float, float]:
    """Standard deviation and maximum absolute value of a scaled distribution."""
    deviation = sqrt(variance)
    return deviation, {"uniform": sqrt(3) * deviation, "truncated": 2 * deviation / TRUNCATED_STDDEV}[distribution]


@pytest.mark.parametrize(
    ("spec", "mean", "deviation", "bound"),
    [
        ("random_normal", 0, 0.05, None),
        ({"type": "RandomNormal", "mean": 2, "stddev": 0.5}, 2, 0.5, None),
        ("truncated_normal", 0, 0.05 * TRUNCATED_STDDEV, 0.1),
        ("uniform", 0, 0.05 / sqrt(3), 0.05),
        ({"type": "RandomUniform", "minval": 0, "maxval": 1}, 0.5, 1 / sqrt(12), 1),
        ("glorot_uniform", 0, *scaled(2 / (FAN_IN + FAN_OUT), "uniform")),
        ("glorot_normal", 0, *scaled(2 / (FAN_IN + FAN_OUT), "truncated")),
        ("he_uniform", 0, *scaled(2 / FAN_IN, "uniform")),
        ("HeNormal", 0, *scaled(2 / FAN_IN, "truncated")),
        ("lecun_uniform", 0, *scaled(1 / FAN_IN, "uniform")),
        ("LecunNormal", 0, *scaled(1 / FAN_IN, "truncated")),
        ("variance_scaling", 0, *scaled(1 / FAN_IN, "truncated")),
        (
            {"type": "VarianceScaling", "scale": 3, "mode": "fan_out", "distribution": "uniform"},
            0,
            *scaled(3 / FAN_OUT, "uniform"),
        ),
        ({**SCALING, "distribution": "normal"}, 0, *scaled(1 / FAN_IN, "truncated")),
        ({**SCALING, "distribution": "untruncated_normal"}, 0, sqrt(1 / FAN_IN), None),
        ({"type": "HeUniform", "input_axes": [3], "output_axes": [2]}, 0, *scaled(2 / 128, "uniform")),
    ],
    ids=name,
)
def test_mean_deviation_and_bound_of_the_drawn_numbers(
    spec: Any, mean: float, deviation: float, bound: float | None
) -> None:
    values = drawn(spec)
    assert values.mean() == pytest.approx(mean, abs=0.02 * deviation)
    assert values.std() == pytest.approx(deviation, rel=0.01)
    assert bound is None or 0.95 * bound < np.abs(values).max() <= bound
    assert bound is not None or np.abs(values - mean).max() > 3.5 * deviation


@pytest.mark.parametrize("brick", list(INITIALIZERS), ids=lambda brick: brick.type_name)
def test_equal_seeds_draw_equal_numbers_and_different_seeds_do_not(brick: Any) -> None:
    shape = (6, 1, 5) if brick.type_name == "stft" else (6, 5)
    first, again, other = (drawn(brick.type_name, shape, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert np.array_equal(first, other) == ("seed" not in brick.attributes)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (2, 3, 4), (8, 32)])
def test_an_orthogonal_matrix_is_orthogonal(shape: tuple[int, ...]) -> None:
    matrix = drawn({"type": "Orthogonal", "gain": 2.0}, shape).reshape(-1, shape[-1])
    product = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, 4 * np.eye(min(matrix.shape)), atol=1e-12)


def test_initializers_with_constant_values() -> None:
    assert (drawn("zeros") == 0).all()
    assert (drawn("ones") == 1).all()
    assert (drawn({"type": "Constant", "value": 3}) == 3).all()
    assert np.array_equal(drawn({"type": "Identity", "gain": 2}, (2, 3)), [[2, 0, 0], [0, 2, 0]])


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((), (1, 1)), ((7,), (7, 7)), ((2, 3), (2, 3)), ((5, 2, 3), (10, 15)), ((3, 3, 4, 8), (36, 72))],
)
def test_fans_equal_those_of_keras(shape: tuple[int, ...], expected: tuple[int, int]) -> None:
    assert weight_fans(shape, None, None) == expected


def test_a_large_orthogonal_matrix_equals_that_of_a_qr_decomposition(monkeypatch: pytest.MonkeyPatch) -> None:
    by_cholesky = drawn("orthogonal", (331, 2048))
    monkeypatch.setattr(initializers, "MIN_CHOLESKY_ELEMENTS", 1 << 30)
    by_qr = drawn("orthogonal", (331, 2048))
    np.testing.assert_allclose(by_cholesky, by_qr, rtol=0, atol=1e-14)
    assert by_cholesky.astype(np.float32).tobytes() == by_qr.astype(np.float32).tobytes()


@pytest.mark.parametrize(("spec", "shape"), [("orthogonal", (4,)), ("identity", (4,)), ("identity", (2, 2, 2))])
def test_a_shape_that_the_initializer_does_not_accept_is_an_error(spec: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="needs two axes"):
        drawn(spec, shape)


@pytest.mark.parametrize(("alias", "wanted"), list(NAMES.items()))
def test_initializers_have_the_names_of_keras(alias: str, wanted: str) -> None:
    assert type(read(INITIALIZERS, alias)).__name__ == wanted
