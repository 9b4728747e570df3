"""The CPU passes as a whole: their order, and the targets for which they change nothing."""

from __future__ import annotations

from typing import Any

import pytest
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.tuning.cpu import pipeline
from jsonnx.tuning.cpu.pipeline import CPU_PASSES, optimize_for_cpu
from jsonnx.tuning.cpu.target import Pass, Target

BEFORE = [
    ("conv1d_to_conv2d", "to_nchwc"),
    ("conv3d_to_conv2d", "to_nchwc"),
    ("to_nchwc", "recurrent_matmuls_to_nchwc"),
    ("transpose_small_matmuls", "fuse_matmuls"),
    ("partition_rows", "fuse_matmuls"),
    ("fuse_matmuls", "rematerialize_and_schedule"),
    ("rematerialize_and_schedule", "copy_live_summands"),
]
"""Passes of which the first has to run before the second."""

SPEC: dict[str, Any] = {
    "inputs": {"image": {"shape": [8, 8, 16]}},
    "layers": [
        {"type": "Conv2D", "filters": 16, "kernel_size": 3, "activation": "relu"},
        {"type": "MaxPooling2D"},
        {"type": "Flatten"},
        {"type": "Dense", "units": 700, "activation": "relu"},
        {"type": "Dense", "units": 3},
    ],
    "training": {"loss": "mse", "optimizer": "adam"},
}


@pytest.mark.parametrize(("earlier", "later"), BEFORE)
def test_passes_run_in_an_order_that_meets_their_needs(earlier: str, later: str) -> None:
    names = [apply.__name__ for apply in CPU_PASSES]
    assert names.index(earlier) < names.index(later)


def test_every_pass_is_applied_to_the_result_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def counting(index: int) -> Pass:
        return lambda graph, target: [*graph, index]  # type: ignore[operator, return-value]

    monkeypatch.setattr(pipeline, "CPU_PASSES", tuple(map(counting, range(3))))
    assert optimize_for_cpu([], Target()) == [0, 1, 2]  # type: ignore[arg-type, comparison-overlap]


def test_a_target_without_features_only_gets_fused_matmuls() -> None:
    step = plan_training(check_spec(SPEC)).train
    for apply in CPU_PASSES:
        if apply.__name__ != "fuse_matmuls":
            assert [node.op for node in apply(step, Target()).nodes] == [node.op for node in step.nodes], apply.__name__
    changed = {node.op for node in optimize_for_cpu(step, Target()).nodes} - {node.op for node in step.nodes}
    assert changed == {"FusedMatMul", "FusedGemm", "Gemm"}


def test_a_target_with_features_gets_their_operators() -> None:
    step = plan_training(check_spec(SPEC)).train
    target = Target(block_size=8, has_gated_add=True, threads=2, usual_batch=32, keeps_order=True)
    nodes = optimize_for_cpu(step, target).nodes
    assert {"GatedAdd", "ReorderInput", "ReorderOutput"} <= {node.op for node in nodes}
    assert any(node.attribute("transBatchA", 0) for node in nodes)
