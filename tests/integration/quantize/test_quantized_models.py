"""Quantized models are models like others, and files of other programs are quantized, too."""

from __future__ import annotations

import json
from pathlib import Path

import jsonnx as package
import numpy as np
import onnx
import pytest
from jsonnx.interop.model_digests import model_digest_errors
from jsonnx.runtime.quantization.integer_weights import with_integer_weights
from jsonnx.runtime.quantization.onnxruntime_tools import (
    CalibrationCaches,
    StaticOptions,
    quantize_static,
    with_node_names,
)
from support.commands import jsonnx

DATA = Path(__file__).parents[3] / "samples" / "data"
TEST = str(DATA / "digits_test.npz")
TRAIN = str(DATA / "digits_train.npz")
PRECISIONS = ["int8", "int8-dynamic", "float16", "int8-weights", "int4-weights"]
DIGESTS = {"jsonnx.digest", "jsonnx.tensor_digests"}


def metadata_of(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props if entry.key not in DIGESTS}


@pytest.fixture
def foreign(digits: Path, tmp_path: Path) -> Path:
    """The model, as another program would have written it."""
    model = onnx.load(digits / "model.onnx")
    del model.metadata_props[:]
    for node in model.graph.node:
        node.name = ""
        del node.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    return tmp_path / "foreign.onnx"


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_quantized_model_is_accepted_everywhere(digits: Path, tmp_path: Path, precision: str) -> None:
    path = tmp_path / "q.onnx"
    report = json.loads(
        jsonnx(
            *("quantize", str(digits), "-o", str(path), "--format", "json"),
            *("--precision", precision, "--tolerance", "accuracy=0.1"),
        ).stdout
    )
    own, float_model = metadata_of(path), metadata_of(digits / "model.onnx")
    assert json.loads(own.pop("jsonnx.quantization")) == report["variant"]
    own.pop("jsonnx.needs", None)
    assert own == float_model
    assert onnx.load(path).producer_name == "jsonnx"
    with path.open("rb") as file:
        assert not model_digest_errors(file, str(path))
    assert (tmp_path / "q.labels.json").read_bytes() == (digits / "model.labels.json").read_bytes()
    evaluated = json.loads(jsonnx("evaluate", str(path), "--data", TEST, "--format", "json").stdout)
    assert evaluated["accuracy"] == pytest.approx(report["metrics"]["accuracy"]["quantized"])
    jsonnx("predict", str(path), TEST, "-o", str(tmp_path / "predictions.csv"))
    assert "digest      matches the contents" in jsonnx("inspect", str(path)).stdout
    onnx.checker.check_model(str(path))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_model_without_its_run_is_quantized_by_its_file(digits: Path, tmp_path: Path, precision: str) -> None:
    path = tmp_path / "q.onnx"
    options = ("--data", TRAIN, "--validation-data", TEST, "--precision", precision, "--tolerance", "accuracy=0.1")
    report = json.loads(
        jsonnx("quantize", str(digits / "model.onnx"), "-o", str(path), *options, "--format", "json").stdout
    )
    assert report["data"]["files"] == [TEST]
    evaluated = json.loads(jsonnx("evaluate", str(path), "--data", TEST, "--format", "json").stdout)
    assert evaluated["accuracy"] == pytest.approx(report["metrics"]["accuracy"]["quantized"])
    own = metadata_of(path)
    assert own.pop("jsonnx.quantization")
    own.pop("jsonnx.needs", None)
    assert own == metadata_of(digits / "model.onnx")
    assert (tmp_path / "q.labels.json").read_bytes() == (digits / "model.labels.json").read_bytes()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_foreign_model(foreign: Path, tmp_path: Path, precision: str) -> None:
    path = tmp_path / "q.onnx"
    result = jsonnx("quantize", str(foreign), "-o", str(path), "--data", TEST, "--precision", precision)
    assert "no tolerance was given" in result.stdout
    assert "largest difference of 'digit'" in result.stdout
    if precision != "int8-dynamic":  # which leaves convolutions in floating point
        assert path.stat().st_size < 0.7 * foreign.stat().st_size
    with np.load(TEST) as file:
        images = file["image"].astype(np.float32).reshape(-1, 8, 8, 1)
    before, after = (package.Session(model).run(images)["digit"] for model in (foreign, path))
    assert np.abs(before - after).max() < (0.2 if precision == "int4-weights" else 0.05)


def test_a_foreign_model_within_a_tolerance_and_beyond_it(foreign: Path, tmp_path: Path) -> None:
    path = tmp_path / "q.onnx"
    options = ("quantize", str(foreign), "-o", str(path), "--data", TRAIN)
    error = jsonnx(*options, "--tolerance", "max_difference=0.000001", status=1)
    assert "error[quantization-loss]" in error.stderr
    assert "layer in floating point" in error.stderr
    assert not path.exists()
    jsonnx(*options, "--tolerance", "max_difference=0.1")
    assert path.exists()


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_histograms_of_samples_that_fill_no_last_batch(foreign: Path, method: str) -> None:
    with np.load(TRAIN) as file:
        images = file["image"][:40].astype(np.float32).reshape(-1, 8, 8, 1)
    batches = [{"image": images[:32]}, {"image": images[32:]}]
    with CalibrationCaches() as caches:
        options, named = StaticOptions("uint8", True, method, 99.9), with_node_names(onnx.load(foreign))
        model = quantize_static(named, batches, options, caches.file(method, 99.9))
    assert any(node.op_type == "QuantizeLinear" for node in model.graph.node)


def test_a_foreign_model_of_a_fixed_batch(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weight = onnx.numpy_helper.from_array(rng.normal(size=(32, 64)).astype(np.float32), "w")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        "fixed",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [4, 32])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [4, 64])],
        [weight],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "fixed.onnx")
    np.savez(tmp_path / "x.npz", x=rng.normal(size=(30, 32)).astype(np.float32))
    for precision in PRECISIONS:
        options = ("--data", str(tmp_path / "x.npz"), "--precision", precision, "--format", "json")
        result = jsonnx("quantize", str(tmp_path / "fixed.onnx"), "-o", str(tmp_path / "q.onnx"), *options)
        report = json.loads(result.stdout)
        assert report["data"]["samples"] == 28
        assert {*report["latency_ms"]} == {"4"}
        assert report["outputs"]["y"]["mean_difference"] < (1.0 if precision == "int4-weights" else 0.2)
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 32), np.float32))
    error = jsonnx("quantize", str(tmp_path / "fixed.onnx"), "-o", str(tmp_path / "q.onnx"), *options[:2], status=1)
    assert "error[data-shape]: the model takes 4 samples at a time, the data have 3" in error.stderr


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_foreign_model_of_an_old_format(tmp_path: Path, precision: str) -> None:
    """Weights are inputs, and one has the name that scales of another would have."""
    rng = np.random.default_rng(0)
    weights = {"w": rng.normal(size=(32, 64)), "w_scales": np.full(64, 3.0), "v": rng.normal(size=(64, 8)) / 64}
    types = {"x": ["n", 32], **{name: [*weight.shape] for name, weight in weights.items()}, "y": ["n", 8]}
    *inputs, y = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, type) for name, type in types.items()
    ]
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("MatMul", ["x", "w"], ["a"]),
            onnx.helper.make_node("Mul", ["a", "w_scales"], ["b"]),
            onnx.helper.make_node("MatMul", ["b", "v"], ["y"]),
        ],
        "old",
        inputs,
        [y],
        [onnx.numpy_helper.from_array(weight.astype(np.float32), name) for name, weight in weights.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 11)], ir_version=3)
    onnx.save(model, tmp_path / "old.onnx")
    np.savez(tmp_path / "x.npz", x=rng.normal(size=(64, 32)).astype(np.float32))
    options = ("--data", str(tmp_path / "x.npz"), "--precision", precision, "--format", "json")
    report = json.loads(jsonnx("quantize", str(tmp_path / "old.onnx"), "-o", str(tmp_path / "q.onnx"), *options).stdout)
    assert report["outputs"]["y"]["mean_difference"] < (0.5 if precision == "int4-weights" else 0.05)


def test_weights_that_are_not_finite_stay_as_they_are() -> None:
    weight = np.ones((32, 64), np.float32)
    weight[3, 4] = np.nan
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 32])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 64])],
        [onnx.numpy_helper.from_array(weight, "w")],
    )
    quantized = with_integer_weights(onnx.helper.make_model(graph), 8)
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(quantized.graph.initializer[0]), weight)


def test_without_data(foreign: Path, tmp_path: Path) -> None:
    output = ("-o", str(tmp_path / "q.onnx"))
    error = jsonnx("quantize", str(foreign), *output, status=2)
    assert "error[no-data]: int8 needs samples" in error.stderr
    assert "--data FILE" in error.stderr
    error = jsonnx(
        "quantize", str(foreign), *output, "--precision", "float16", "--tolerance", "max_difference=1", status=2
    )
    assert "error[no-data]" in error.stderr
    assert not (tmp_path / "q.onnx").exists()
    result = jsonnx("quantize", str(foreign), *output, "--precision", "float16")
    assert "the models were not compared" in result.stdout


def test_a_variant_of_the_spec(digits: Path, tmp_path: Path) -> None:
    options = ("--variant", "phone", "--tolerance", "accuracy=0.1", "--format", "json")
    report = json.loads(jsonnx("quantize", str(digits), "-o", str(tmp_path / "q.onnx"), *options).stdout)
    assert report["calibration"]["samples"] == 64
    assert report["variant"]["layers"] == {"stem": None}
    assert report["variant"]["calibration"] == {"samples": 64, "method": "percentile"}
    error = jsonnx("quantize", str(digits), "-o", str(tmp_path / "r.onnx"), "--variant", "phon", status=2)
    assert "error[unknown-name]: the spec has no variant 'phon'" in error.stderr
    assert "phone" in error.stderr


def test_a_variant_of_an_edited_spec(digits: Path, tmp_path: Path) -> None:
    spec = json.loads((digits.parent / "digits.json").read_text())
    spec["quantization"] = {"new": {"layers": {"stem": None}, "calibration": {"samples": 32}}}
    edited, output = tmp_path / "edited.json", ("-o", str(tmp_path / "q.onnx"), "--tolerance", "accuracy=0.1")
    edited.write_text(json.dumps(spec))
    options = ("--variant", "new", "--spec", str(edited), *output)
    report = json.loads(jsonnx("quantize", str(digits), *options, "--format", "json").stdout)
    assert report["variant"]["layers"] == {"stem": None}
    assert report["calibration"]["samples"] == 32
    error = jsonnx("quantize", str(digits), "--variant", "phone", "--spec", str(edited), *output, status=2)
    assert "its variants are 'new'" in error.stderr
    error = jsonnx("quantize", str(digits), "--spec", str(edited), *output, status=2)
    assert "error[bad-option]: --spec has no effect without --variant" in error.stderr
    next(layer for layer in spec["layers"] if layer.get("name") == "stem")["name"] = "root"
    spec["quantization"]["new"]["layers"] = {"root": None}
    edited.write_text(json.dumps(spec))
    error = jsonnx("quantize", str(digits), *options, status=2)
    assert "error[unknown-name]: 'root' of the variant 'new' matches the name of no layer of the model" in error.stderr


@pytest.mark.parametrize("target", ["webgpu", "cuda", "directml"])
def test_operators_and_kernels_of_a_target(digits: Path, tmp_path: Path, target: str) -> None:
    options = ("-o", str(tmp_path / "q.onnx"), "--for", target, "--target", target, "--tolerance", "accuracy=0.1")
    if target == "webgpu":  # which has no kernels for integers of 8 bits
        error = jsonnx("quantize", str(digits), *options, status=1)
        assert "error[missing-kernel]: webgpu lacks kernels for" in error.stderr
        assert "no kernel for QuantizeLinear" in error.stderr
        assert not (tmp_path / "q.onnx").exists()
        options = (*options, "--precision", "float16")
    jsonnx("quantize", str(digits), *options)
    jsonnx("evaluate", str(tmp_path / "q.onnx"), "--data", TEST)


def test_the_same_bytes_each_time(digits: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        jsonnx("quantize", str(digits), "-o", str(tmp_path / f"{name}.onnx"), "--tolerance", "accuracy=0.1")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_the_function(digits: Path, tmp_path: Path) -> None:
    model = package.quantize(digits, precision="int8-weights", tolerance={"accuracy": 0.05})
    model.save(tmp_path / "q.onnx")
    assert (tmp_path / "q.onnx").read_bytes() == model.to_bytes()
    assert model.report["checked"]
    with np.load(TEST) as file:
        outputs = model.session().run(file["image"])
    assert outputs["digit"].shape == (360, 10)
    with pytest.raises(package.CompileError, match="quantization-loss"):
        package.quantize(digits, tolerance={"max_difference": 0})
    with pytest.raises(ValueError, match="precision must be one of"):
        package.quantize(digits, precision="int7")  # type: ignore[arg-type]
