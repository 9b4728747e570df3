"""The examples of the reference pages are valid, and each trains or gives a model that runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from generate.components.examples import component_spec, layer_spec, network_spec
from generate.components.records import Record, records
from jsonnx import library
from jsonnx.core.types import TensorType
from jsonnx.pipeline.check.check import check_spec
from support.small_tokenizers import word_piece

SYMBOLIC_SIZES = {"STFTSpectrogram": 300, "stft": 300}
"""The size of symbolic axes for layers that need many steps."""
SYMBOLIC_SIZE = 24

FAST = ("LSTM", "ops.mean", "std.MLP", "relu", "glorot_uniform", "l2", "max_norm", "t5", "huber", "auc", "adamw")
FAST += ("CosineDecay", "tensorboard")
"""A record of each kind, whose examples run in the ordinary tests."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    word_piece().save("tokenizer.json")


def examples(record: Record) -> list[dict[str, Any]]:
    if record.component is None:
        return [library.example(record.name)]
    if record.kind not in ("layer", "operator"):
        return [component_spec(record.component)]
    return [spec for spec in (layer_spec(record.component), network_spec(record.component)) if spec]


@pytest.mark.parametrize("kind", sorted({record.kind for record in records()}))
def test_the_examples_of_a_kind_are_valid_without_warnings(kind: str) -> None:
    specs = [spec for record in records() if record.kind == kind for spec in examples(record)]
    assert [(spec, jsonnx.validate(spec)) for spec in specs if jsonnx.validate(spec)] == []


def test_an_example_has_what_its_page_is_about() -> None:
    for record in records():
        texts = [str(spec) for spec in examples(record)]
        assert any(f"'{record.name}'" in text for text in texts), record.name


def array(type: TensorType, samples: int, symbolic_size: int) -> np.ndarray:
    """Random values of a type."""
    rng = np.random.default_rng(0)
    shape = [samples, *(size if isinstance(size, int) else symbolic_size for size in type.shape[1:])]
    if type.dtype == "string":
        return np.resize(np.array(["red", "green"], object), shape)
    values = rng.integers(0, 2, shape) if type.dtype != "float32" else rng.random(shape, np.float32)
    return values.astype(type.dtype)


def arrays(types: Mapping[str, TensorType], samples: int, record: Record) -> dict[str, np.ndarray]:
    size = SYMBOLIC_SIZES.get(record.name, SYMBOLIC_SIZE)
    return {name: array(type, samples, size) for name, type in types.items()}


@pytest.mark.parametrize(
    "record",
    [pytest.param(record, marks=() if record.name in FAST else pytest.mark.slow) for record in records()],
    ids=[f"{record.kind}-{record.name}" for record in records()],
)
def test_an_example_trains_or_predicts(record: Record) -> None:
    for spec in examples(record):
        if "training" in spec:
            trainer = jsonnx.Trainer({**spec, "training": {**spec["training"], "trackers": []}})
            plan = trainer.plan
            x, y = arrays(plan.inputs, 4, record), arrays(plan.targets, 4, record)
            history = trainer.fit(x, y, epochs=1, batch_size=2, verbose=0).history
            assert all(np.isfinite(values).all() for values in history.values())
        else:
            types = check_spec(spec).require().inputs
            results = jsonnx.Session(jsonnx.compile(spec)).run(arrays(types, 2, record))
            assert results
            assert all(value.shape[0] == 2 for value in results.values())
