"""Logits by blocks of rows: the same steps, and one block of them at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.passes.training_steps import class_gathers, row_blocks
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.tuning.cpu.schedule import schedule
from jsonnx.tuning.cpu.target import Target
from support.training_steps import Batch, run_steps

Spec = dict[str, Any]
CLASSES, BATCH, TIME, WIDTH = 24, 3, 10, 8
SIZES = {"batch": BATCH, "time": TIME}
SPARSE = "sparse_categorical_crossentropy"


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MIN_LOGITS_BYTES", "MIN_BLOCK_BYTES"):
        monkeypatch.setattr(row_blocks, name, 1)
    monkeypatch.setattr(row_blocks, "MIN_BLOCK_ROWS", 7)
    monkeypatch.setattr(class_gathers, "MIN_SCORES_BYTES", 1)


def head(**attributes: Any) -> list[Spec]:
    return [{"type": "Dense", "units": CLASSES, **attributes}]


SOFTMAX = head(activation="softmax")
TIED = [
    {"type": "ReversibleEmbedding", "name": "table", "input_dim": CLASSES, "output_dim": WIDTH},
    {"type": "Dense", "units": WIDTH, "activation": "tanh"},
    {"use": "table", "name": "scores"},
]
CASES: dict[str, tuple[list[Spec], Spec]] = {
    "softmax": (SOFTMAX, {"loss": SPARSE}),
    "logits": (head(), {"loss": {"type": SPARSE, "from_logits": True}}),
    "no bias": (head(use_bias=False), {"loss": {"type": SPARSE, "from_logits": True}}),
    "metrics": (SOFTMAX, {"loss": SPARSE, "metrics": ["accuracy", "sparse_top_k_categorical_accuracy"]}),
    "ignored class": (SOFTMAX, {"loss": {"type": SPARSE, "ignore_class": 3}}),
    "sum": (SOFTMAX, {"loss": {"type": SPARSE, "reduction": "sum"}}),
    "soft cap": (
        [
            {
                "type": "ReversibleEmbedding",
                "input_dim": CLASSES,
                "output_dim": WIDTH,
                "tie_weights": False,
                "logit_soft_cap": 5.0,
            }
        ],
        {"loss": {"type": SPARSE, "from_logits": True}},
    ),
    "categorical": (SOFTMAX, {"loss": "categorical_crossentropy", "metrics": ["accuracy"]}),
    "smoothed": (SOFTMAX, {"loss": {"type": "categorical_crossentropy", "label_smoothing": 0.1}}),
    "focal": (SOFTMAX, {"loss": "categorical_focal_crossentropy"}),
    "divergence": (SOFTMAX, {"loss": "kl_divergence"}),
    "generalized": (SOFTMAX, {"loss": "categorical_generalized_cross_entropy"}),
    "mixed precision": (SOFTMAX, {"loss": SPARSE, "precision": "mixed_float16"}),
    "penalty": (head(activation="softmax", kernel_regularizer="l2"), {"loss": SPARSE}),
    "masked": ([{"type": "Masking"}, *SOFTMAX], {"loss": SPARSE, "metrics": ["accuracy"]}),
}


def document(layers: list[Spec], training: Spec, shape: list[Any] = [TIME, WIDTH], dtype: str = "float32") -> Spec:
    inputs = {"x": {"shape": shape, "dtype": dtype}}
    return {"inputs": inputs, "layers": layers, "training": {"optimizer": "sgd", **training}}


def batches(spec: Spec, lengths: list[int], dtype: str = "float32") -> list[Batch]:
    rng = np.random.default_rng(4)
    result: list[Batch] = []
    for length in lengths:
        shape = (BATCH, length)
        x = rng.standard_normal((*shape, WIDTH), np.float32)
        if dtype != "float32":
            x = rng.integers(0, CLASSES, shape).astype(dtype)
        x[:, -1:] = 0
        y = rng.integers(0, CLASSES, shape)
        loss = spec["training"]["loss"]
        name = loss if isinstance(loss, str) else loss["type"]
        soft = name in ("categorical_crossentropy", "categorical_focal_crossentropy", "kl_divergence")
        result.append((x, rng.dirichlet(np.ones(CLASSES), shape).astype(np.float32) if soft else y))
    return result
