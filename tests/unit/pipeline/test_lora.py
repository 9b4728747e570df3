"""Trainings with low-rank adapters: what changes, what stays, and what is written."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import onnxruntime
import pytest
from jsonnx.core.reserved_names import is_adapter_weight
from jsonnx.ir.integer_weights import IntegerWeight
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.lora_export import adaptable_model
from support.commands import jsonnx as command

SPEC: dict[str, Any] = {
    "inputs": {"x": {"shape": [10], "dtype": "int64"}},
    "layers": [
        {"type": "Embedding", "name": "table", "input_dim": 200, "output_dim": 64},
        {"type": "MultiHeadAttention", "name": "att", "num_heads": 4, "key_dim": 32, "from": ["table", "table"]},
        {"type": "Dense", "name": "hidden", "units": 256, "activation": "relu"},
        {"type": "Conv1D", "name": "conv", "filters": 64, "kernel_size": 3},
        {"type": "GlobalAveragePooling1D", "name": "mean"},
        {"type": "Dense", "name": "head", "units": 3},
    ],
    "training": {
        "loss": "mse",
        "optimizer": {"type": "adam", "learning_rate": 0.01},
        "batch_size": 16,
        "epochs": 3,
        "freeze": ["*", "!head"],
        "lora": {"weights": ["table", "*/query/kernel", "hidden/kernel", "conv"], "rank": 4, "alpha": 8},
    },
}
DATA = np.random.default_rng(0)
X, Y = DATA.integers(0, 200, (64, 10)), DATA.normal(size=(64, 3)).astype(np.float32)


def spec_with(**training: Any) -> dict[str, Any]:
    spec = copy.deepcopy(SPEC)
    for key, value in training.items():
        if key == "lora":
            spec["training"]["lora"] |= value
        else:
            spec["training"][key] = value
    return spec


def output_of(model: Any, x: np.ndarray = X) -> np.ndarray:
    (output,) = model.session().run({"x": x}).values()
    return output


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8", "int4"])
@pytest.mark.parametrize("use_dora", [False, True], ids=["lora", "dora"])
def test_only_adapters_and_what_is_not_frozen_change(dtype: str, use_dora: bool) -> None:
    trainer = jsonnx.Trainer(spec_with(frozen_dtype=dtype, lora={"use_dora": use_dora}), seed=1)
    before = {name: array.copy() for name, array in trainer.current_weights().items()}
    untrained = trainer.predict(X)
    history = trainer.fit(X, Y)
    assert history.history["loss"][-1] < history.history["loss"][0]
    after = trainer.current_weights()
    for name, array in before.items():
        changes = is_adapter_weight(name) or name.startswith("head/")
        assert np.array_equal(after[name], array) != changes, name
    assert np.abs(trainer.predict(X) - untrained).max() > 1e-3
    np.testing.assert_allclose(output_of(trainer.model()), trainer.predict(X), atol=1e-5)
    assert not any(is_adapter_weight(name) for name in trainer.model().weights)


def test_an_untrained_adapter_changes_nothing() -> None:
    trainer = jsonnx.Trainer(spec_with(lora={"use_dora": True}), seed=1)
    weights = {name: array for name, array in trainer.current_weights().items() if not is_adapter_weight(name)}
    base = copy.deepcopy(SPEC)
    del base["training"]["lora"]
    np.testing.assert_allclose(trainer.predict(X), output_of(jsonnx.compile(base, weights=weights)), atol=1e-6)


def test_no_value_of_the_size_of_a_weight_is_computed() -> None:
    """Forms of weights, by Reshape and Transpose, are read from the weights themselves."""
    trainer = jsonnx.Trainer(SPEC)
    step = trainer.plan.train
    sizes = {weight.type.elements for weight in step.parameters.values() if not weight.trainable and weight.rank > 1}
    large = {
        node.op for node in step.nodes for value in node.outputs if value.type.elements in sizes and value.rank > 1
    }
    assert large <= {"Reshape", "Transpose"}
    slots = [name for name in step.states if name.startswith("optimizer/")]
    trained = {name for name, weight in step.parameters.items() if weight.trainable}
    assert {name.removeprefix("optimizer/").rpartition("/")[0] for name in slots} - trained <= {""}


@pytest.mark.parametrize(("dtype", "bits"), [("int8", 8), ("int4", 4)])
def test_integers_are_rounded_once(dtype: str, bits: int, tmp_path: Path) -> None:
    spec = spec_with(frozen_dtype=dtype)
    exact = jsonnx.Trainer(SPEC, seed=1).current_weights()
    trainer = jsonnx.Trainer(spec, seed=1)
    stored = [w for w in trainer.plan.train.parameters.values() if isinstance(w, IntegerWeight)]
    assert {weight.name for weight in stored} > {"hidden/kernel", "att/key/kernel", "conv/kernel"}
    weights = {name: array.copy() for name, array in trainer.current_weights().items()}
    for weight in stored:
        error = np.abs(weights[weight.name] - exact[weight.name]).max()
        assert 0 < error <= np.abs(exact[weight.name]).max() / 2 ** (bits - 1) * 0.6
    again = jsonnx.Trainer(spec, weights=weights).current_weights()
    assert all(np.array_equal(again[name], array) for name, array in weights.items())
    trainer.fit(X, Y)
    trainer.save_checkpoint(tmp_path / "checkpoint.safetensors")
    resumed = jsonnx.Trainer(spec, seed=1)
    resumed.load_checkpoint(tmp_path / "checkpoint.safetensors")
    assert all(np.array_equal(resumed.current_weights()[name], a) for name, a in trainer.current_weights().items())


@pytest.mark.parametrize("dtype", ["float32", "int8", "int4"])
@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": {"type": "adam", "learning_rate": 0.01, "gradient_accumulation_steps": 2}},
        {"optimizer": {"type": "adamw", "learning_rate": 0.01, "use_ema": True, "global_clipnorm": 1.0}},
        {"optimizer": {"type": "MultiOptimizer", "default_optimizer": "adam", "optimizer_map": {"*/lora_b": "sgd"}}},
        {"remat": "full"},
        {"distributed": {"shards": 4}},
        {"loss_scale": {}},
        {"learning_rates": {"hidden": 2.0}},
        {"restore_best_weights": True, "early_stopping": {"monitor": "loss", "patience": 2}},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_other_settings_of_training(settings: dict[str, Any], dtype: str) -> None:
    trainer = jsonnx.Trainer(spec_with(frozen_dtype=dtype, epochs=2, **settings), seed=1)
    before = trainer.current_weights()["hidden/kernel"].copy()
    history = trainer.fit(X, Y)
    assert np.isfinite(history.history["loss"]).all()
    np.testing.assert_array_equal(trainer.current_weights()["hidden/kernel"], before)
    assert np.abs(trainer.current_weights()["hidden/kernel/lora_b"]).max() > 0
    np.testing.assert_allclose(output_of(trainer.model()), trainer.predict(X), atol=1e-5)


def test_quantization_aware_training_is_refused() -> None:
    (diagnostic,) = jsonnx.validate(spec_with(quantize="int8"))
    assert (diagnostic.code, diagnostic.path) == ("invalid-value", "$.training.quantize")
    layers = [{"type": "TimeDistributed", "layer": {"type": "Dense", "units": 3, "lora_rank": 2}}]
    training = {"loss": "mse", "quantize": "int8"}
    (diagnostic,) = jsonnx.validate({"inputs": {"x": {"shape": [5, 4]}}, "layers": layers, "training": training})
    assert (diagnostic.code, diagnostic.path) == ("invalid-value", "$.training.quantize")


def test_arguments_of_layers_are_those_of_keras() -> None:
    dense = {"type": "Dense", "units": 6, "lora_rank": 2, "lora_alpha": 6}
    layers = [{"type": "TimeDistributed", "name": "t", "layer": dense}, {**dense, "name": "e", "lora_alpha": None}]
    spec = {"inputs": {"x": {"shape": [3, 4]}}, "layers": layers, "training": {"loss": "mse"}}
    trainer = jsonnx.Trainer(spec)
    adapters = {adapter.weight.name: adapter for adapter in trainer.plan.train.adapters.values()}
    assert {name: adapter.scale for name, adapter in adapters.items()} == {"t/dense/kernel": 3.0, "e/kernel": 1.0}
    assert "lora_rank" in jsonnx.to_keras(spec).config["config"]["layers"][2]["config"]


def test_magnitudes_of_columns_of_zeros_stay_zero() -> None:
    trainer = jsonnx.Trainer(spec_with(lora={"use_dora": True}), seed=1)
    weights = {name: array for name, array in trainer.current_weights().items() if not is_adapter_weight(name)}
    weights["hidden/kernel"] = weights["hidden/kernel"] * (np.arange(256) % 2)
    weights["hidden/kernel"] = weights["hidden/kernel"].astype(np.float32)
    trainer = jsonnx.Trainer(spec_with(lora={"use_dora": True}), weights=weights)
    assert np.isfinite(trainer.fit(X, Y).history["loss"]).all()
    np.testing.assert_allclose(output_of(trainer.model()), trainer.predict(X), atol=1e-5)
    assert not trainer.model().weights["hidden/kernel"][:, ::2].any()


def test_weights_that_a_wrapper_transforms_have_no_adapter() -> None:
    wrapped = {"type": "SpectralNormalization", "name": "wrapped", "layer": {"type": "Dense", "units": 4}}
    spec: dict[str, Any] = {
        "inputs": {"x": {"shape": [4]}},
        "layers": [wrapped, {"type": "Dense", "name": "y", "units": 1}],
    }
    spec["training"] = {"loss": "mse", "lora": {"weights": ["*"], "rank": 2}}
    trained = {name for name, weight in jsonnx.Trainer(spec).plan.train.parameters.items() if weight.trainable}
    assert trained > {"wrapped/dense/kernel", "y/kernel/lora_a"}
    spec["training"]["lora"]["weights"] = ["wrapped"]
    (diagnostic,) = jsonnx.validate(spec)
    assert (diagnostic.code, diagnostic.path) == ("unknown-name", "$.training.lora.weights[0]")


def test_ranks_and_scales_by_patterns() -> None:
    lora = {"rank_pattern": {"hidden": 2, "*": 6}, "alpha_pattern": {"conv/*": 3}, "use_rslora": True}
    trainer = jsonnx.Trainer(spec_with(lora=lora))
    adapters = {adapter.weight.name: adapter for adapter in trainer.plan.train.adapters.values()}
    assert adapters["hidden/kernel"].a.shape == (64, 2)
    assert adapters["conv/kernel"].b.shape == (6, 64)
    assert adapters["conv/kernel"].scale == pytest.approx(3 / 6**0.5)
    assert adapters["hidden/kernel"].scale == pytest.approx(8 / 2**0.5)


# -- adapters as inputs ----------------------------------------------------------------------------------------------


def test_one_session_serves_many_adapters(tmp_path: Path) -> None:
    spec = spec_with(freeze=["*"])
    trainer = jsonnx.Trainer(spec, seed=1)
    base = trainer.predict(X)
    tuned = {}
    sizes = {"first": 4, "second": 7}
    weights = {name: a.copy() for name, a in trainer.current_weights().items() if not is_adapter_weight(name)}
    for name, rank in sizes.items():
        own = copy.deepcopy(spec)
        own["training"]["lora"] |= {"rank": rank, "alpha": 3 * rank, "weights": ["table", "att", "hidden/kernel"]}
        other = jsonnx.Trainer(own, seed=rank, weights=weights)
        other.fit(X, Y)
        tuned[name] = other.predict(X)
        model = adaptable_model(check_spec(own), other.current_weights())
        model.save(tmp_path / f"{name}.onnx", tmp_path / "spec.json")
    session = onnxruntime.InferenceSession(tmp_path / "first.onnx")
    assert [value.name for value in session.get_inputs()] == ["x"]
    np.testing.assert_allclose(session.run(None, {"x": X})[0], base, atol=1e-5)
    for name, expected in tuned.items():
        adapter, options = onnxruntime.LoraAdapter(), onnxruntime.RunOptions()
        adapter.Load(str(tmp_path / f"{name}.onnx_adapter"))
        options.add_active_adapter(adapter)
        np.testing.assert_allclose(session.run(None, {"x": X}, options)[0], expected, atol=1e-5)
        assert np.abs(expected - base).max() > 1e-3
    (output,) = jsonnx.Session(tmp_path / "first.onnx").run({"x": X}).values()
    np.testing.assert_allclose(output, base, atol=1e-5)


def test_adapters_of_convolutions_keep_their_rank(tmp_path: Path) -> None:
    spec = spec_with(lora={"weights": ["conv"]})
    trainer = jsonnx.Trainer(spec, seed=1)
    trainer.fit(X, Y)
    adaptable_model(check_spec(spec), trainer.current_weights()).save(tmp_path / "m.onnx", tmp_path / "spec.json")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    shapes = {value.name: value.shape for value in session.get_overridable_initializers()}
    assert shapes == {"conv/kernel/lora_a": [768, 4], "conv/kernel/lora_b": [4, 64]}
    adapter, options = onnxruntime.LoraAdapter(), onnxruntime.RunOptions()
    adapter.Load(str(tmp_path / "m.onnx_adapter"))
    options.add_active_adapter(adapter)
    np.testing.assert_allclose(session.run(None, {"x": X}, options)[0], trainer.predict(X), atol=1e-5)


@pytest.mark.parametrize(
    ("lora", "part"),
    [({"use_dora": True}, "has a magnitude"), (None, "the network has no adapters")],
)
def test_adapters_that_cannot_be_inputs(lora: dict[str, Any] | None, part: str) -> None:
    spec = spec_with(lora=lora or {})
    if lora is None:
        del spec["training"]["lora"]
    with pytest.raises(jsonnx.CompileError, match=part) as raised:
        adaptable_model(check_spec(spec), None)
    assert raised.value.diagnostics[0].code == "not-exportable"


# -- commands --------------------------------------------------------------------------------------------------------


def test_a_run_has_its_adapters_apart_and_resumes_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = ["a,b,c,y", *(f"{i % 7},{i % 5},{i % 3},{(i % 7) - (i % 3)}" for i in range(60))]
    (tmp_path / "data.csv").write_text("\n".join(rows) + "\n")
    spec = {
        "inputs": {"x": {"shape": [3]}},
        "layers": [
            {"type": "Dense", "name": "h", "units": 8, "activation": "tanh"},
            {"type": "Dense", "name": "y", "units": 1},
        ],
        "training": {
            "data": {"train": "data.csv", "x": ["a", "b", "c"], "y": "y"},
            "loss": "mse",
            "optimizer": "adam",
            "epochs": 4,
            "lora": {"weights": ["h/kernel"], "rank": 2},
        },
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    for arguments in (
        ["train", "spec.json", "-o", "whole", "--quiet"],
        ["train", "spec.json", "-o", "resumed", "--quiet", "--set", "training.epochs=2"],
        ["train", "spec.json", "-o", "resumed", "--quiet", "--resume"],
        ["evaluate", "whole", "--data", "data.csv"],
        ["export", "whole", "--lora", "-o", "m.onnx"],
        ["compile", "spec.json", "--training", "-o", "step"],
        ["compile", "spec.json", "--weights", "whole/adapter", "-o", "merged.onnx"],
    ):
        command(*arguments)
    for name in (
        "weights.safetensors",
        "model.onnx",
        "adapter/adapter_model.safetensors",
        "adapter/adapter_config.json",
    ):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "resumed" / name).read_bytes(), name
    shown = command("summary", "spec.json").stdout
    assert re.search(r"^trainable +39$", shown, re.MULTILINE)
    assert re.search(r"^non-trainable +24$", shown, re.MULTILINE)
