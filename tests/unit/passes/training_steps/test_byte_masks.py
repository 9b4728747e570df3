"""Dropout masks as bytes: the same bits as masks of floating-point numbers, which are not kept for the backward
pass."""

from __future__ import annotations

import weakref
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.core.types import BATCH, Size, TensorType
from jsonnx.ir import Graph, Random
from jsonnx.layers.attention import query_blocks
from jsonnx.passes.training_steps import byte_masks
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.runtime.execution import runner, sized_steps, step_feeds
from jsonnx.runtime.providers.random import draw, step_randoms, with_mask_types

Spec = dict[str, Any]
WIDTH = 8
TIMES = (Size.named("time"), Size.named("time"))
DROPOUT: list[Spec] = [
    {"type": "Dense", "units": WIDTH, "activation": "tanh"},
    {"type": "Dropout", "rate": 0.3},
    {"type": "Dense", "units": 3},
]
ATTENTION: list[Spec] = [
    {"type": "MultiHeadAttention", "from": ["x", "x"], "num_heads": 2, "key_dim": 4, "dropout": 0.4},
    {"type": "Dropout", "rate": 0.2},
    {"type": "SpatialDropout1D", "rate": 0.2},
    {"type": "Dense", "units": 3},
]


def document(layers: list[Spec]) -> Spec:
    section = {"loss": "mse", "optimizer": "adam", "batch_size": 4}
    return {"inputs": {"x": {"shape": ["time", WIDTH]}}, "layers": layers, "training": section}


def use_bytes(monkeypatch: pytest.MonkeyPatch, min_bytes: int) -> None:
    monkeypatch.setattr(byte_masks, "MIN_MASK_BYTES", min_bytes)
    monkeypatch.setattr(sized_steps, "MIN_BLOCKED_BYTES", min_bytes)


def byte_step(document: Spec) -> Graph:
    plan = plan_training(check_spec(document))
    assert plan.make_step is not None
    return plan.make_step({"batch": 4, "time": 6})


def steps(document: Spec, lengths: list[int]) -> tuple[list[float], dict[str, np.ndarray], set[str]]:
    """The losses of steps, the weights after them, and the element types of the masks that the last step reads."""
    trainer = jsonnx.Trainer(document, seed=3)
    rng = np.random.default_rng(1)
    losses = []
    for length in lengths:
        x = rng.standard_normal((4, length, WIDTH), np.float32)
        losses.append(trainer.step(x, rng.random((4, length, 3), np.float32))["loss"])
    step_runner: Any = trainer.plan_trainer.engine.step_runners.runner
    return losses, trainer.weights(), {random.dtype for random in step_runner.randoms.values()}


@pytest.mark.parametrize("layers", [DROPOUT, ATTENTION], ids=["dropout", "attention"])
def test_masks_of_bytes_give_the_same_bits(layers: list[Spec], monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = [6, 6, 2, 5]  # masks of the third step are drawn as floating-point numbers
    use_bytes(monkeypatch, 1 << 60)
    expected, weights, dtypes = steps(document(layers), lengths)
    assert dtypes == {"float32"}
    use_bytes(monkeypatch, 500)
    losses, byte_weights, byte_dtypes = steps(document(layers), lengths)
    assert "uint8" in byte_dtypes
    assert losses == expected
    for name, array in weights.items():
        np.testing.assert_array_equal(byte_weights[name], array, err_msg=name)


def test_fits_draw_the_same_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for min_bytes in (1 << 60, 500):
        use_bytes(monkeypatch, min_bytes)
        trainer = jsonnx.Trainer(document(DROPOUT), seed=3)
        rng = np.random.default_rng(1)
        x = rng.standard_normal((10, 6, WIDTH), np.float32)
        history = trainer.fit(x, rng.random((10, 6, 3), np.float32), epochs=2, batch_size=4, verbose=0)
        results.append((history.history["loss"], trainer.weights()))
    (expected, weights), (losses, byte_weights) = results
    assert losses == expected
    assert all(np.array_equal(byte_weights[name], array) for name, array in weights.items())


@pytest.mark.parametrize("layers", [DROPOUT, ATTENTION], ids=["dropout", "attention"])
def test_no_mask_is_kept_for_the_backward_pass(layers: list[Spec], monkeypatch: pytest.MonkeyPatch) -> None:
    use_bytes(monkeypatch, 500)
    step = byte_step(document(layers))
    masks = [node.outputs[0] for node in step.nodes if node.op == "DequantizeLinear"]
    large = [random for random in step.randoms.values() if random.dtype == "uint8"]
    assert len(masks) == 2 * len(large) > 0
    assert all(sum(mask in node.inputs for node in step.nodes) == 1 for mask in masks)


def test_attention_by_blocks_cuts_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_blocks, "MIN_SCORES_BYTES", 1)
    monkeypatch.setattr(query_blocks, "MAX_BLOCK_BYTES", 1)
    monkeypatch.setattr(query_blocks, "MIN_BLOCK_QUERIES", 2)
    use_bytes(monkeypatch, 1)
    step = byte_step(document(ATTENTION))
    cuts = [node for node in step.nodes if node.op == "Slice" and node.outputs[0].dtype == "uint8"]
    assert len(cuts) >= 3
    assert not [node for node in step.nodes if node.op == "DequantizeLinear" and node.outputs[0].shape[-2:] == TIMES]
    monkeypatch.setattr(byte_masks, "MIN_MASK_BYTES", 1 << 60)
    expected, weights, _ = steps(document(ATTENTION), [6, 6, 3])
    monkeypatch.setattr(byte_masks, "MIN_MASK_BYTES", 1)
    losses, byte_weights, _ = steps(document(ATTENTION), [6, 6, 3])
    assert losses == expected
    assert all(np.array_equal(byte_weights[name], array) for name, array in weights.items())


def test_draws_of_bytes_are_the_draws_of_numbers() -> None:
    for keep in (0.25, 0.9, 1.0):
        arrays = {}
        for dtype in ("float32", "uint8"):
            random = Random("mask", TensorType(dtype, (BATCH, 7)), "mask", keep, 1 / keep)
            arrays[dtype] = draw(random, np.random.default_rng(4), {"batch": 9})
            arrays["random " + dtype] = random
        numbers, bytes = arrays["float32"], arrays["uint8"]
        np.testing.assert_array_equal(bytes * np.float32(1 / keep), numbers)
        for dtype, other in (("float32", bytes), ("uint8", numbers)):
            converted = with_mask_types({"mask": arrays["random " + dtype]}, {"mask": other})["mask"]
            assert converted.dtype == dtype
            np.testing.assert_array_equal(converted, arrays[dtype])


def test_masks_end_with_their_step(monkeypatch: pytest.MonkeyPatch) -> None:
    use_bytes(monkeypatch, 500)
    drawn: list[weakref.ref[np.ndarray]] = []

    def record(*arguments: Any) -> dict[str, np.ndarray]:
        arrays = step_randoms(*arguments)
        drawn.extend(weakref.ref(array) for array in arrays.values() if array.dtype == np.uint8)
        return arrays

    monkeypatch.setattr(runner, "MIN_RELEASED_BYTES", 1)
    monkeypatch.setattr(step_feeds, "step_randoms", record)
    trainer = jsonnx.Trainer(document(DROPOUT), seed=3)
    for _ in range(3):
        trainer.step(np.ones((4, 6, WIDTH), np.float32), np.ones((4, 6, 3), np.float32))
    assert len(drawn) == 3
    assert [array() is None for array in drawn] == [True] * 3


def test_the_origin_of_a_divergence_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [DROPOUT[0], DROPOUT[1], {"type": "ops.log", "name": "logarithm"}]  # of 0, where an element is dropped
    messages = []
    for min_bytes in (1 << 60, 500):
        use_bytes(monkeypatch, min_bytes)
        trainer = jsonnx.Trainer(document(layers), seed=3)
        with pytest.raises(CompileError) as error:
            trainer.step(np.ones((4, 6, WIDTH), np.float32), np.ones((4, 6, WIDTH), np.float32))
        messages.append(str(error.value))
    assert messages[0] == messages[1]
    assert "'logarithm'" in messages[0]
