"""`jsonnx export` for Triton, KServe and Docker, read by Triton's message definitions and by a YAML parser."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import yaml
from environments.serving.triton_rules import check_model, model_file
from onnx import TensorProto, helper
from tritonclient.grpc import model_config_pb2

SAMPLES = Path(__file__).parents[3] / "samples"
NUMPY_TYPES = {
    model_config_pb2.TYPE_FP32: np.float32,
    model_config_pb2.TYPE_INT32: np.int32,
    model_config_pb2.TYPE_INT64: np.int64,
    model_config_pb2.TYPE_UINT8: np.uint8,
    model_config_pb2.TYPE_STRING: object,
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "jsonnx", *arguments], capture_output=True, text=True, timeout=300)


def export(source: Path, repository: Path, *options: str) -> Path:
    """The folder of a model in a repository."""
    done = run("export", "--triton", str(source), "-o", str(repository), *options)
    assert done.returncode == 0, done.stderr
    return next(repository.iterdir())


def compiled(sample: str, folder: Path) -> Path:
    """The model of a sample with random weights, or after an epoch of training if it learns from data what it reads."""
    spec, model = str(SAMPLES / f"{sample}.json"), folder / f"{sample}.onnx"
    if run("compile", spec, "-o", str(model)).returncode == 0:
        return model
    trained = run("train", spec, "-o", str(folder / sample), "--set", "training.epochs=1", "--quiet")
    assert trained.returncode == 0, trained.stderr
    return folder / sample


def feeds_of(config: Any, samples: int) -> dict[str, np.ndarray]:
    """What the model gets of warm-up requests: zeros and empty strings, with the batch that Triton adds."""
    (warmup,) = config.model_warmup
    feeds = {}
    for item in config.input:
        dims = list(item.reshape.shape if item.HasField("reshape") else warmup.inputs[item.name].dims)
        dtype = NUMPY_TYPES[item.data_type]
        shape = [samples, *dims]
        feeds[item.name] = np.full(shape, "" if dtype is object else 0, dtype)
    return feeds


QUICK_SAMPLES = {"bicycles", "crashes", "mnist_cnn", "nuclei", "penguins", "reviews"}
"""Every kind of input: numbers, categories, texts, images, windows."""


@pytest.mark.parametrize(
    "sample",
    [
        path.stem if path.stem in QUICK_SAMPLES else pytest.param(path.stem, marks=pytest.mark.slow)
        for path in sorted(SAMPLES.glob("*.json"))
    ],
)
def test_the_configuration_of_every_sample_keeps_tritons_rules(sample: str, tmp_path: Path) -> None:
    folder = export(compiled(sample, tmp_path), tmp_path / "repository")
    config = check_model(folder)
    assert config.max_batch_size > 0  # in none of these networks samples meet
    session = onnxruntime.InferenceSession(model_file(folder), providers=["CPUExecutionProvider"])
    for samples in (1, 3):
        results = session.run(None, feeds_of(config, samples))
        for item, array in zip(config.output, results, strict=True):
            dims = list(item.reshape.shape if item.HasField("reshape") else item.dims)
            assert array.shape[0] == samples
            assert all(size == dim or dim < 0 for size, dim in zip(array.shape[1:], dims, strict=True))


def foreign_model(path: Path, shapes: dict[str, list[Any]], output: list[Any], dtype: int) -> None:
    """A sum of inputs that jsonnx did not write."""
    infos = [helper.make_tensor_value_info(name, dtype, shape) for name, shape in shapes.items()]
    node = helper.make_node("Sum" if dtype == TensorProto.FLOAT else "Identity", list(shapes), ["z"])
    graph = helper.make_graph([node], "other", infos, [helper.make_tensor_value_info("z", dtype, output)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)


@pytest.mark.parametrize(
    ("shapes", "output", "dtype"),
    [
        ({"a": ["N", 3], "b": ["N", 3]}, ["N", 3], TensorProto.FLOAT),
        ({"a": ["N"]}, ["N"], TensorProto.STRING),
        ({"a": [2, None, "M"]}, [2, None, "M"], TensorProto.FLOAT),
        ({"a": []}, [], TensorProto.FLOAT),
        ({"a/b \\c": ["N", 1]}, ["N", 1], TensorProto.FLOAT),
    ],
    ids=["matrices", "strings", "a fixed batch", "a scalar", "an odd name"],
)
def test_the_configuration_of_a_model_of_another_program(
    shapes: dict[str, list[Any]], output: list[Any], dtype: int, tmp_path: Path
) -> None:
    foreign_model(tmp_path / "other.onnx", shapes, output, dtype)
    config = check_model(export(tmp_path / "other.onnx", tmp_path / "repository"))
    assert config.max_batch_size == 0
    assert not any(item.label_filename for item in config.output)


def test_kserves_service_is_yaml_with_what_kserve_asks_for(tmp_path: Path) -> None:
    foreign_model(tmp_path / "other.onnx", {"a": ["N", 1]}, ["N", 1], TensorProto.FLOAT)
    uri = "s3://bucket/'models' #1"
    done = run("export", "--kserve", f"{tmp_path}/other.onnx", "-o", f"{tmp_path}/a.yaml", "--storage-uri", uri)
    assert done.returncode == 0, done.stderr
    service = yaml.safe_load((tmp_path / "a.yaml").read_text())
    assert service["apiVersion"] == "serving.kserve.io/v1beta1"
    assert (service["kind"], service["metadata"]) == ("InferenceService", {"name": "other"})
    model = service["spec"]["predictor"]["model"]
    assert model.pop("runtime") == "kserve-tritonserver"
    assert model == {"modelFormat": {"name": "onnx"}, "protocolVersion": "v2", "storageUri": uri}


def test_the_files_beside_the_dockerfile_are_yaml_and_agree(tmp_path: Path) -> None:
    foreign_model(tmp_path / "other.onnx", {"a": ["N", 1]}, ["N", 1], TensorProto.FLOAT)
    done = run("export", "--docker", f"{tmp_path}/other.onnx", "-o", f"{tmp_path}/image")
    assert done.returncode == 0, done.stderr
    compose = yaml.safe_load((tmp_path / "image/compose.yaml").read_text())
    server, prometheus = compose["services"]["model"], compose["services"]["prometheus"]
    assert server["read_only"] is True
    assert (server["cap_drop"], server["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    for service in (server, prometheus):
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert set(service["secrets"]) <= compose["secrets"].keys()
    assert (tmp_path / "image" / compose["secrets"]["token"]["file"]).exists()
    config, _, target = prometheus["volumes"][0].partition(":")
    assert target == "/etc/prometheus/prometheus.yml:ro"
    (job,) = yaml.safe_load((tmp_path / "image" / config).read_text())["scrape_configs"]
    assert job["authorization"] == {"credentials_file": "/run/secrets/token"}
    assert job["static_configs"] == [{"targets": ["model:8000"]}]
