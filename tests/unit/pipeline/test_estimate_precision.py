"""`jsonnx summary --precision`: the estimated cost of quantized models, compared with real ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from jsonnx.lowering.precision_cost import PrecisionCost
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.compile.compile import compile_checked
from jsonnx.pipeline.quantize.estimate_precision import estimate_precision
from jsonnx.sections.quantization_section import PRECISIONS
from support.commands import jsonnx

SAMPLES = Path(__file__).parents[3] / "samples"

CNN: dict[str, Any] = {
    "inputs": {"image": {"shape": [16, 16, 3]}},
    "layers": [
        {"type": "Conv2D", "name": "first", "filters": 32, "kernel_size": 3, "padding": "same", "use_bias": False},
        {"type": "BatchNormalization", "name": "normalized"},
        {"type": "ReLU", "name": "positive"},
        {"type": "Conv2D", "name": "second", "filters": 64, "kernel_size": 3, "strides": 2, "activation": "relu"},
        {"type": "Flatten", "name": "flat"},
        {"type": "Dense", "name": "hidden", "units": 128, "activation": "relu"},
        {"type": "Dense", "name": "class", "units": 10, "activation": "softmax"},
    ],
}
"""409,546 weights of convolutions and products."""
MACS = {"first": 16 * 16 * 32 * 27, "second": 7 * 7 * 64 * 288, "hidden": 3136 * 128, "class": 1280}


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def estimate(spec: Any, precision: str, **options: Any) -> PrecisionCost:
    variants = {"variant": {"precision": precision, **options}}
    return estimate_precision(check_spec({**spec, "quantization": variants}), variant="variant")


def counts(cost: PrecisionCost) -> dict[str, int | None]:
    return {dtype: macs.constant for dtype, macs in cost.cost.macs.items()}


def quantized_by_onnxruntime(spec: Any, precision: str, file: str) -> onnx.ModelProto:
    """The model that onnxruntime's tools make, which is written to a file."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static

    model = compile_checked(check_spec(spec))
    model.save("float.onnx")
    if precision == "int8-dynamic":
        ops = ["Gather", "Gemm", "LSTM", "MatMul"]
        quantize_dynamic("float.onnx", file, ops, per_channel=True, weight_type=QuantType.QInt8)
        return onnx.load(file)

    class Samples(CalibrationDataReader):  # type: ignore[misc]
        batches = iter([np.random.default_rng(0).random((4, 16, 16, 3), np.float32)])

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"image": batch}

    quantize_static("float.onnx", file, Samples(), per_channel=True)
    return onnx.load(file)


@pytest.mark.parametrize("precision", ["int8", "int8-dynamic"])
def test_bytes_are_those_of_a_real_model(precision: str) -> None:
    model = quantized_by_onnxruntime(CNN, precision, "quantized.onnx")
    cost = estimate(CNN, precision)
    size = Path("quantized.onnx").stat().st_size
    assert size > 100_000
    assert abs(cost.model_bytes - size) < 0.1 * size
    weights = sum(
        len(tensor.raw_data) for tensor in model.graph.initializer if tensor.data_type != onnx.TensorProto.INT64
    )
    assert abs(cost.cost.weight_bytes - weights) < 0.1 * weights


def test_figures_of_the_float_model_are_its_own() -> None:
    cost = estimate(CNN, "int8")
    model = compile_checked(check_spec(CNN))
    assert abs(cost.float_model_bytes - model.size_bytes) < 1000  # initial biases are zero
    assert {dtype: macs.constant for dtype, macs in cost.float_cost.macs.items()} == {"float32": sum(MACS.values())}
    biases = 32 + 64 + 128 + 10
    kernels = 27 * 32 + 288 * 64 + 3136 * 128 + 1280
    assert cost.float_cost.weight_bytes == 4 * (kernels + biases)


def test_multiply_adds_by_element_type() -> None:
    assert counts(estimate(CNN, "int8")) == {"int8": sum(MACS.values())}
    convolutions = MACS["first"] + MACS["second"]
    assert counts(estimate(CNN, "int8-dynamic")) == {"float32": convolutions, "int8": MACS["hidden"] + MACS["class"]}
    half_float = estimate(CNN, "int8", layers={"hidden": None, "fir*": None})
    assert counts(half_float) == {
        "float32": MACS["first"] + MACS["hidden"],
        "int8": MACS["second"] + MACS["class"],
    }
    by_name = {layer.name: layer for layer in half_float.layers}
    float_bytes = 4 * (3136 * 128 + 128)
    assert by_name["hidden"].float_cost.weight_bytes == float_bytes
    # The scale and the zero point of its result, and the bound of what keeps the product in floating point.
    assert by_name["hidden"].cost.weight_bytes - float_bytes == 4 + 1 + 4
    assert by_name["class"].cost.weight_bytes < by_name["class"].float_cost.weight_bytes
    assert {name: by_name[name].cost.macs["float32"].constant for name in ("first", "hidden")} == {
        name: MACS[name] for name in ("first", "hidden")
    }


def test_quantized_layers_keep_a_byte_for_each_element() -> None:
    cost = estimate(CNN, "int8")
    types = {layer.name: layer.result_type for layer in cost.layers}
    assert types == {
        **dict.fromkeys(("first", "normalized", "positive", "second", "flat", "hidden"), "uint8"),
        "class": "float32",
    }
    assert cost.float_peak is not None
    assert cost.peak is not None
    elements = 16 * 16 * 32
    assert cost.float_peak.total == 2 * elements * 4  # the operand and the result of the normalization
    assert cost.peak.total == 2 * elements


def test_values_that_stay_in_floating_point_keep_their_bytes() -> None:
    cost = estimate(CNN, "int8", layers={"second": None})
    types = {layer.name: layer.result_type for layer in cost.layers}
    assert types["positive"] == "float32"
    assert types["hidden"] == "uint8"
    assert cost.peak is not None
    assert cost.peak.total > 16 * 16 * 32 * 4
    unchanged = estimate(CNN, "int8", layers={"*": None})
    assert unchanged.peak == unchanged.float_peak
    assert unchanged.cost == unchanged.float_cost


def test_sums_of_layers_are_those_of_the_model() -> None:
    document = summary_of(str(SAMPLES / "digits_residual.json"), "int8")
    for key in ("float32", "quantized"):
        assert document["totals"]["multiply_adds"] == sum(document["quantization"][key]["multiply_adds"].values())
    layers = document["quantization"]["layers"]
    assert sum(layer["weight_bytes"] for layer in layers) == document["quantization"]["quantized"]["weight_bytes"]
    assert sum(layer["float32_weight_bytes"] for layer in layers) == document["quantization"]["float32"]["weight_bytes"]
    assert document["quantization"]["float32"]["activation_bytes"] == document["totals"]["activation_bytes"]


def summary_of(spec: str, precision: str) -> Any:
    return json.loads(jsonnx("summary", spec, "--precision", precision, "--format", "json").stdout)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_precision_has_an_estimate(precision: str) -> None:
    document = summary_of(str(SAMPLES / "mnist_mlp.json"), precision)["quantization"]
    before, after = document["float32"], document["quantized"]
    least, most = {"float16": (0.5, 0.51), "int4-weights": (0.125, 0.18)}.get(precision, (0.25, 0.28))
    assert document["precision"] == precision
    assert least <= after["weight_bytes"] / before["weight_bytes"] < most
    assert least <= after["model_bytes"] / before["model_bytes"] < most
    dtype = {"float16": "float16", "int8": "int8", "int8-dynamic": "int8"}.get(precision, "float32")
    assert {*after["multiply_adds"]} == {dtype}


def test_symbolic_sizes_are_formulas() -> None:
    spec = {"inputs": {"x": {"shape": [None, 8]}}, "layers": [{"type": "Dense", "name": "y", "units": 4}]}
    cost = estimate(spec, "int8")
    assert [str(macs) for macs in cost.cost.macs.values()] == ["32*x_1"]
    assert cost.peak is None
    Path("spec.json").write_text(json.dumps(spec))
    text = jsonnx("summary", "spec.json", "--precision", "int8").stdout
    assert "multiply-adds   32*x_1 int8" in text
    assert summary_of("spec.json", "int8")["quantization"]["quantized"]["multiply_adds"] == {"int8": "32*x_1"}


def test_variants_of_the_spec() -> None:
    variants = {"small": {"layers": {"hid*": None}}, "half": {"precision": "float16"}}
    Path("spec.json").write_text(json.dumps({**CNN, "quantization": variants}))
    document = json.loads(jsonnx("summary", "spec.json", "--variant", "small", "--format", "json").stdout)
    assert document["quantization"]["variant"] == "small"
    assert document["quantization"]["quantized"]["multiply_adds"]["float32"] == MACS["hidden"]
    assert "half (float16) MB" in jsonnx("summary", "spec.json", "--variant", "half").stdout
    found = jsonnx("summary", "spec.json", "--variant", "smal", status=2).stderr
    assert "error[unknown-name]: the spec has no variant 'smal'" in found
    assert "'small'" in found
    found = jsonnx("summary", "spec.json", "--variant", "half", "--precision", "int8", status=2).stderr
    assert "error[bad-option]: --variant has a precision of its own" in found


def test_a_spec_without_variants_has_none() -> None:
    Path("spec.json").write_text(json.dumps(CNN))
    assert (
        "describe it in the section `quantization`" in jsonnx("summary", "spec.json", "--variant", "a", status=2).stderr
    )


def test_a_vocabulary_that_is_not_learned_needs_no_training() -> None:
    document = summary_of(str(SAMPLES / "penguins.json"), "int8")["quantization"]
    assert document["quantized"]["multiply_adds"] == {"int8": 224}
