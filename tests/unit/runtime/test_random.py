"""Random numbers: equal for the same seed, name and step, whatever was drawn before."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.core.types import BATCH, Size, TensorType, evaluate_size
from jsonnx.data.samples.sample_order import generator, sample_order
from jsonnx.ir import Builder
from jsonnx.ir.graph import Random
from jsonnx.runtime.providers.random import draw_initial_weights, step_randoms, symbol_sizes
from jsonnx.training.weights.initializers import INITIALIZERS

TIME = Size.named("time")


def test_draws_depend_on_the_seed_and_keys_alone():
    assert generator(1, "a", 2).random() == generator(1, "a", 2).random()
    other_generators = [
        generator(2, "a", 2),
        generator(1, "b", 2),
        generator(1, "a", 3),
        generator(1, "a"),
        generator(1, "a2"),
    ]
    assert len({rng.random() for rng in [generator(1, "a", 2), *other_generators]}) == 6


def test_the_stream_never_changes():
    assert generator(7, "weights", "dense/kernel").bit_generator.random_raw(2).tolist() == [
        460810636385582538,
        13421453201290514841,
    ]


def graph_with(**seeds: int | None):
    g = Builder()
    for name, seed in seeds.items():
        with g.scope(name):
            g.param("kernel", (3, 4), INITIALIZERS.by_name["glorot_uniform"](seed=seed))
    with g.scope("norm"):
        g.state("count", (), INITIALIZERS.by_name["ones"](), "int64")
    return g.graph({})


def test_weights_are_drawn_by_name():
    weights = draw_initial_weights(graph_with(a=None, b=None), 0)
    assert (weights["a/kernel"] != weights["b/kernel"]).any()
    assert (weights["a/kernel"] == draw_initial_weights(graph_with(b=None, a=None), 0)["a/kernel"]).all()
    assert (weights["a/kernel"] != draw_initial_weights(graph_with(a=None), 1)["a/kernel"]).any()
    assert weights["a/kernel"].dtype == np.float32
    assert weights["norm/count"].dtype == np.int64


def test_an_initializers_own_seed_replaces_the_models():
    weights = draw_initial_weights(graph_with(a=5, b=5), 0)
    assert (weights["a/kernel"] == weights["b/kernel"]).all()
    assert (weights["a/kernel"] == draw_initial_weights(graph_with(a=5), 9)["a/kernel"]).all()


def masks(step: int = 0, seed: int = 0, **options):
    random = Random(
        "drop/mask", TensorType("float32", (BATCH, 100)), **{"kind": "mask", "keep": 0.75, "scale": 4 / 3, **options}
    )
    return step_randoms({"drop/mask": random}, seed, step, {"batch": 100})["drop/mask"]


def test_a_mask_keeps_its_fraction_of_values():
    mask = masks()
    assert mask.shape == (100, 100)
    assert mask.dtype == np.float32
    assert set(np.unique(mask)) == {np.float32(0), np.float32(4 / 3)}
    assert abs((mask > 0).mean() - 0.75) < 0.02


def test_a_mask_depends_on_seed_step_and_name():
    assert (masks(3) == masks(3)).all()
    assert (masks(3) != masks(4)).any()
    assert (masks(3) != masks(3, seed=1)).any()
    assert (masks(3, seed=1) == masks(3, seed=1)).all()
    seeded_masks = [Random("drop/mask", TensorType("float32", (8, 8)), "mask", 0.5, 2.0, seed=5) for _ in range(2)]
    mask, repeated_mask = (
        step_randoms({"drop/mask": r}, seed, 0, {})["drop/mask"] for seed, r in enumerate(seeded_masks)
    )
    assert (mask == repeated_mask).all()


@pytest.mark.parametrize(("keep", "expected"), [(1.0, 1.0), (0.0, 0.0), (1 - 1e-9, 1.0)])
def test_a_mask_may_keep_all_or_nothing(keep, expected):
    assert (masks(keep=keep, scale=1.0) == expected).all()


def test_normal_and_uniform_draws_are_scaled():
    normal, uniform = masks(kind="normal", scale=2.0), masks(kind="uniform", scale=1.0)
    assert abs(normal.std() - 2) < 0.05
    assert abs(normal.mean()) < 0.06
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert normal.dtype == uniform.dtype == np.float32


def test_an_epochs_order_is_a_permutation_of_its_own():
    order, next_order = sample_order(0, 0, 50), sample_order(0, 1, 50)
    assert sorted(order) == list(range(50))
    assert (order != next_order).any()
    assert (order == sample_order(0, 0, 50)).all()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (3, 3),
        (BATCH, 8),
        (TIME + 2, 12),
        (TIME * 2 - 1, 19),
        ((TIME + 1) // 2, 5),
        (TIME * BATCH, 80),
        ((TIME - 3) // 2, 3),
    ],
)
def test_symbolic_sizes_are_computed(size, expected):
    types = {"x": TensorType("float32", (BATCH, TIME, 3))}
    sizes = symbol_sizes(types, {"x": np.zeros((8, 10, 3))})
    assert evaluate_size(size, sizes) == expected


@pytest.mark.parametrize("symbol", ["unk__3", "time.real", "__import__('os')", "1 +"])
def test_an_invalid_size_is_refused(symbol):
    with pytest.raises(ValueError, match="cannot be computed"):
        evaluate_size(Size.named(symbol), {"time": 3})


def test_a_large_weight_has_the_numbers_of_one_draw():
    g = Builder()
    bounds = {"minval": -1.0, "maxval": 1.0}
    with g.scope("wide"):
        g.param("kernel", (1100, 1201), INITIALIZERS.by_name["random_uniform"](**bounds))
        g.param("gate", (1100, 1201), INITIALIZERS.by_name["random_normal"](stddev=1.0))
    weights = draw_initial_weights(g.graph({}), 4)
    uniform = generator(4, "weights", "wide/kernel").uniform(-1, 1, (1100, 1201))
    normal = generator(4, "weights", "wide/gate").normal(0, 1, (1100, 1201))
    assert (weights["wide/kernel"] == uniform.astype(np.float32)).all()
    assert (weights["wide/gate"] == normal.astype(np.float32)).all()


@pytest.mark.parametrize("dtype", ["float16", "float64", "int32"])
def test_constants_are_written_in_the_type_of_the_variable(dtype: str):
    g = Builder()
    with g.scope("layer"):
        g.state("rate", (3,), INITIALIZERS.by_name["constant"](value=2.5), dtype)
    (rate,) = draw_initial_weights(g.graph({}), 0).values()
    assert rate.dtype == dtype
    assert rate.tolist() == [2 if dtype == "int32" else 2.5] * 3
