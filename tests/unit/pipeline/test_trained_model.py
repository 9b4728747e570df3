"""RUN folders and model files: `evaluate`, `predict`, moved folders, and the contents of the ONNX file."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import onnx
import pytest
from click.testing import Result
from jsonnx import Trainer
from jsonnx.backend import spec_hash, to_model_proto
from jsonnx.backend.opset import MIN_OPSET
from jsonnx.cli import main
from jsonnx.core.diagnostics import CompileError
from jsonnx.core.reserved_names import is_range_name
from jsonnx.pipeline.train.model_spec import spec_from_metadata
from support.commands import IN_PROCESS

SAMPLES = Path(__file__).parents[3] / "samples"
LOSS_INPUT = "label"
"""The input of `digits_contrastive` that only its loss reads."""
TOKENIZED_SAMPLES = {"questions", "reviews_tokens"}
"""Samples whose models have other inputs than their specs; test_tokenizer.py is about such models."""
ADAPTED_SAMPLES = {"bicycles", "crashes", "flights", "nuclei", "penguins", "reviews"}
"""Samples with adapted layers, which cannot be compiled before training: see test_samples.py, layers/test_lookup.py."""
NAMES = sorted(
    path.stem
    for path in SAMPLES.glob("*.json")
    if '"data":' in path.read_text() and path.stem not in ADAPTED_SAMPLES | TOKENIZED_SAMPLES
)

IRIS = {
    "name": "iris",
    "inputs": {"flower": {"shape": [4]}},
    "layers": [
        {"type": "Dense", "units": 6, "activation": "relu", "kernel_regularizer": "l2", "name": "hidden"},
        {"type": "Dense", "units": 3, "activation": "softmax", "name": "kind"},
        {"type": "Dense", "units": 1, "name": "height", "from": "hidden"},
    ],
    "outputs": ["kind", "height"],
    "labels": {"kind": ["setosa", "versicolor", "virginica"]},
    "training": {
        "data": {
            "train": "data/train.csv",
            "test": "data/test.csv",
            "x": ["a", "b", "c", "d"],
            "y": {"kind": "kind", "height": "h"},
        },
        "loss": {"kind": "sparse_categorical_crossentropy", "height": "mse"},
        "metrics": {"kind": ["accuracy"], "height": ["mae"]},
        "optimizer": "adam",
        "epochs": 2,
        "batch_size": 8,
    },
}
ROWS = 30


def cli(*arguments: object) -> Result:
    return IN_PROCESS.invoke(main, [str(argument) for argument in arguments])


def succeed(*arguments: object) -> str:
    """Asserts that a command succeeds and returns its standard output."""
    result = cli(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def write_table(path: Path, seed: int, columns: str = "abcdh", rows: int = ROWS, kind: bool = True) -> Path:
    numbers = np.random.default_rng(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, "kind"] if kind else columns)
        for row in numbers.normal(size=(rows, len(columns))).round(3).tolist():
            writer.writerow([*row, IRIS["labels"]["kind"][int(numbers.integers(3))]] if kind else row)
    return path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec, its data and a RUN folder."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "data").mkdir()
    write_table(folder / "data" / "train.csv", 0)
    write_table(folder / "data" / "test.csv", 1)
    (folder / "iris.json").write_text(json.dumps(IRIS))
    succeed("train", folder / "iris.json", "-o", folder / "run", "--quiet")
    return folder


def numbers_of(table: Path, columns: str = "abcd") -> np.ndarray:
    with table.open(newline="") as file:
        return np.array([[float(row[name]) for name in columns] for row in csv.DictReader(file)], np.float32)


# -- evaluate ----------------------------------------------------------------------------------------------------------


def evaluate(*arguments: object) -> dict[str, float]:
    document = json.loads(succeed("evaluate", *arguments, "--format", "json"))
    assert document.pop("data")["samples"] > 0
    return document


def trained(project: Path) -> Trainer:
    from safetensors.numpy import load_file

    return Trainer(project / "iris.json", weights=load_file(project / "run" / "weights.safetensors"))


def test_a_run_is_evaluated_on_the_test_data_of_its_spec(project):
    metrics = trained(project).evaluate()
    assert list(metrics) == ["loss", "kind_loss", "height_loss", "kind_accuracy", "height_mae"]
    assert evaluate(project / "run") == pytest.approx(metrics, rel=1e-6)


def test_losses_that_combine_samples_are_evaluated_in_the_batches_of_validation(tmp_path: Path) -> None:
    layers = [
        {"type": "Dense", "name": "y", "units": 3},
        {"type": "ops.transpose", "axes": [1, 0]},
        {"type": "ops.matmul", "from": ["y", "transpose"]},
        {"type": "ops.logsumexp", "axis": -1},
        {"type": "AddLoss", "name": "similarity"},
    ]
    data = {"train": "d.npz", "validation": "d.npz", "x": "x"}
    training = {"data": data, "batch_size": 8, "epochs": 1, "optimizer": {"type": "SGD", "learning_rate": 1e-12}}
    spec = {"inputs": {"x": {"shape": [4]}}, "outputs": ["y"], "layers": layers, "training": training}
    (tmp_path / "s.json").write_text(json.dumps(spec))
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).normal(size=(20, 4)).astype("float32"))
    succeed("train", tmp_path / "s.json", "-o", tmp_path / "run", "--quiet")
    figures = json.loads((tmp_path / "run" / "run.json").read_text())["figures"]
    assert evaluate(tmp_path / "run")["loss"] == pytest.approx(figures["val_loss"], rel=1e-6)


def test_a_model_is_evaluated_on_a_file(project):
    data = project / "data" / "test.csv"
    run, model = evaluate(project / "run"), evaluate(project / "run" / "model.onnx", "--data", data)
    assert list(model) == list(run)
    penalties = run.pop("loss") - model.pop("loss")  # regularization penalties are not part of a model
    kernel = trained(project).weights()["hidden/kernel"]
    assert penalties == pytest.approx(0.01 * (kernel.astype(float) ** 2).sum(), rel=1e-4)
    assert model == pytest.approx(run, rel=1e-5)


def test_a_run_is_evaluated_on_another_file(project, tmp_path):
    table = write_table(tmp_path / "other.csv", 2, rows=700)  # more than one batch
    x = numbers_of(table)
    with table.open(newline="") as file:
        kinds = np.array([IRIS["labels"]["kind"].index(row["kind"]) for row in csv.DictReader(file)])
    metrics = trained(project).evaluate({"flower": x}, {"kind": kinds, "height": numbers_of(table, "h")})
    assert evaluate(project / "run", "--data", table) == pytest.approx(metrics, rel=1e-5)


def test_evaluate_prints_one_metric_per_line(project):
    lines = succeed("evaluate", project / "run").splitlines()
    assert [line.split()[0] for line in lines] == ["loss", "kind_loss", "height_loss", "kind_accuracy", "height_mae"]
    assert all(float(line.split()[1]) >= 0 for line in lines)


def test_evaluating_a_model_file_needs_the_option_data(project):
    result = cli("evaluate", project / "run" / "model.onnx")
    assert result.exit_code == 2
    assert "no-data" in result.stderr
    assert "--data" in result.stderr


# -- predict -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["run", "run/model.onnx"])
def model(request: pytest.FixtureRequest, project: Path) -> Path:
    return project / request.param


@pytest.fixture(scope="module")
def expected(project: Path) -> dict[str, np.ndarray]:
    x = numbers_of(project / "data" / "test.csv")
    return jsonnx.Session(project / "run" / "model.onnx").run(x)


def test_predict_writes_npz(model, project, expected, tmp_path):
    assert succeed("predict", model, "--data", project / "data" / "test.csv", "-o", tmp_path / "out.npz") == ""
    with np.load(tmp_path / "out.npz") as predictions:
        assert sorted(predictions) == ["height", "kind"]
        for name, array in expected.items():
            np.testing.assert_allclose(predictions[name], array, rtol=1e-6)
            assert predictions[name].dtype == np.float32


def test_predict_writes_json(model, project, expected, tmp_path):
    succeed("predict", model, "--data", project / "data" / "test.csv", "-o", tmp_path / "out.json")
    predictions = json.loads((tmp_path / "out.json").read_text())
    assert predictions["labels"] == {"kind": [IRIS["labels"]["kind"][best] for best in expected["kind"].argmax(1)]}
    for name, array in expected.items():
        np.testing.assert_allclose(predictions["outputs"][name], array, rtol=1e-6)


def test_predict_writes_csv(model, project, expected, tmp_path):
    succeed("predict", model, "--data", project / "data" / "test.csv", "-o", tmp_path / "out.csv")
    assert_csv((tmp_path / "out.csv").read_text(), expected)


def test_predict_prints_csv_without_an_output_file(model, project, expected):
    assert_csv(succeed("predict", model, "--data", project / "data" / "test.csv"), expected)


def assert_csv(text: str, expected: dict[str, np.ndarray]) -> None:
    header, *rows = csv.reader(text.splitlines())
    labels = IRIS["labels"]["kind"]
    assert header == ["kind", *(f"kind: {label}" for label in labels), "height"]
    assert [row[0] for row in rows] == [labels[best] for best in expected["kind"].argmax(1)]
    np.testing.assert_allclose([[float(cell) for cell in row[1:4]] for row in rows], expected["kind"], rtol=1e-6)
    np.testing.assert_allclose([[float(row[4])] for row in rows], expected["height"], rtol=1e-6)


def test_predict_needs_no_targets(project, expected, tmp_path):
    x = numbers_of(project / "data" / "test.csv")
    np.savez(tmp_path / "x.npz", **{name: x[:, index] for index, name in enumerate("abcd")})
    succeed("predict", project / "run", "--data", tmp_path / "x.npz", "-o", tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as predictions:
        np.testing.assert_allclose(predictions["kind"], expected["kind"], rtol=1e-6)


def test_predict_reports_a_missing_column(project, tmp_path):
    data = write_table(tmp_path / "data.csv", 3, columns="abd", kind=False)
    result = cli("predict", project / "run", "--data", data)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "missing-column" in result.stderr
    assert "'c'" in result.stderr


@pytest.mark.parametrize("name", ["out.txt", "out"])
def test_predict_refuses_an_unknown_file_extension(project, tmp_path, name):
    result = cli("predict", project / "run", "--data", project / "data" / "test.csv", "-o", tmp_path / name)
    assert result.exit_code == 2
    assert "bad-option" in result.stderr
    assert ".npz" in result.stderr
    assert not (tmp_path / name).exists()


# -- invalid models ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_a_model_without_an_embedded_spec_is_reported(project, tmp_path, command):
    plain = onnx.load(project / "run" / "model.onnx")
    del plain.metadata_props[:]
    onnx.save(plain, tmp_path / "plain.onnx")
    result = cli(command, tmp_path / "plain.onnx", "--data", project / "data" / "test.csv")
    assert result.exit_code == 1
    assert "no-spec" in result.stderr


@pytest.mark.parametrize("command", ["evaluate", "predict"])
@pytest.mark.parametrize(
    ("content", "status", "code"), [(b"no model at all", 1, "damaged-file"), (None, 2, "unreadable-file")]
)
def test_a_damaged_or_missing_model_is_reported(project, tmp_path, command, content, status, code):
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    result = cli(command, path, "--data", project / "data" / "test.csv")
    assert result.exit_code == status
    assert code in result.stderr


def test_a_folder_that_is_not_a_run_is_reported(tmp_path):
    result = cli("evaluate", tmp_path)
    assert result.exit_code == 2
    assert "is not a RUN folder" in result.stderr


# -- moved folders -----------------------------------------------------------------------------------------------------


def test_a_run_moved_together_with_its_data_finds_them(project, tmp_path, monkeypatch):
    metrics = evaluate(project / "run")
    new_project = tmp_path / "elsewhere" / "deeper"
    shutil.copytree(project, new_project)
    monkeypatch.chdir(tmp_path)
    assert evaluate(new_project / "run") == metrics
    assert evaluate("elsewhere/deeper/run") == metrics


def test_a_run_moved_without_its_data_reports_the_missing_file(project, tmp_path, monkeypatch):
    shutil.copytree(project / "run", tmp_path / "a" / "run")
    assert "--data-root" in cli("evaluate", tmp_path / "a" / "run").stderr
    monkeypatch.chdir(tmp_path)
    result = cli("evaluate", tmp_path / "a" / "run")
    assert result.exit_code == 2
    assert "unreadable-file" in result.stderr
    assert "test.csv" in result.stderr
    data = project / "data" / "test.csv"
    assert evaluate(tmp_path / "a" / "run", "--data", data) == evaluate(project / "run", "--data", data)
    assert len(succeed("predict", tmp_path / "a" / "run", "--data", data).splitlines()) == ROWS + 1


# -- the model file ----------------------------------------------------------------------------------------------------

HASHES = """
import hashlib, sys, jsonnx
from jsonnx.backend import serialize, to_model_proto
for spec in sys.argv[1:]:
    print(hashlib.sha256(jsonnx.compile(spec).to_bytes()).hexdigest())
    print(hashlib.sha256(serialize(to_model_proto(jsonnx.Trainer(spec).plan.train))).hexdigest())
"""


@pytest.mark.slow
def test_the_same_spec_gives_the_same_bytes_in_every_process():
    """Compiles with two hash seeds, so that any dependence on the order of a set would change the bytes."""
    command = [sys.executable, "-c", HASHES, *(str(SAMPLES / f"{name}.json") for name in NAMES)]
    path = os.pathsep.join(sys.path)
    processes = [
        subprocess.Popen(
            command, env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True
        )
        for seed in ("1", "2")
    ]
    digests, repeated_digests = (process.communicate()[0].split() for process in processes)
    assert len(digests) == 2 * len(NAMES)
    assert digests == repeated_digests
    here = [hashlib.sha256(jsonnx.compile(SAMPLES / f"{name}.json").to_bytes()).hexdigest() for name in NAMES]
    assert digests[::2] == here


@pytest.fixture(scope="module", params=NAMES)
def sample(request: pytest.FixtureRequest) -> tuple[dict[str, Any], jsonnx.Model]:
    """A sample's spec and its model."""
    path = SAMPLES / f"{request.param}.json"
    return json.loads(path.read_text()), jsonnx.compile(path)


def check_proto(proto: onnx.ModelProto) -> None:
    onnx.checker.check_model(proto, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True, data_prop=True)
    declared = {value.name: value.type for value in proto.graph.output}
    assert {value.name: value.type for value in inferred.graph.output} == declared


def test_a_model_passes_the_onnx_checker_and_shape_inference(sample):
    check_proto(sample[1].proto)


@pytest.mark.parametrize("name", NAMES)
def test_training_graphs_pass_the_onnx_checker_and_shape_inference(name):
    plan = Trainer(SAMPLES / f"{name}.json").plan
    for graph in (plan.train, plan.evaluate):
        check_proto(to_model_proto(graph))


def test_a_model_has_the_documented_onnx_version_and_only_standard_operators(sample):
    proto = sample[1].proto
    assert [(opset.domain, opset.version) for opset in proto.opset_import] == [("", MIN_OPSET)] == [("", 18)]
    assert proto.ir_version == 8
    assert {node.domain for node in proto.graph.node} == {""}
    assert not proto.functions


def test_the_metadata_of_a_model_describe_it(sample):
    spec, model = sample
    metadata = {entry.key: entry.value for entry in model.proto.metadata_props}
    assert json.loads(metadata["jsonnx.spec"]) == spec
    assert metadata["jsonnx.spec_sha256"] == spec_hash(spec)
    assert metadata["jsonnx.version"]
    assert ("jsonnx.labels" in metadata) == ("labels" in spec)
    if "labels" in spec:
        assert json.loads(metadata["jsonnx.labels"]) == {model.proto.graph.output[0].name: spec["labels"]}
    signature = json.loads(metadata["jsonnx.signature"])
    assert list(signature["inputs"]) == [value.name for value in model.proto.graph.input]
    assert list(signature["outputs"]) == [value.name for value in model.proto.graph.output]
    assert int(metadata["jsonnx.parameters"]) == sum(row.parameters for row in model.rows())
    assert (model.proto.producer_name, model.proto.producer_version) == ("jsonnx", metadata["jsonnx.version"])


def test_the_hash_of_a_spec_does_not_depend_on_the_order_of_keys():
    assert spec_hash({"a": 1, "b": [2.5, "é"]}) == spec_hash({"b": [2.5, "é"], "a": 1})
    canonical = '{"a":1,"b":[2.5,"é"]}'
    assert spec_hash({"a": 1, "b": [2.5, "é"]}) == hashlib.sha256(canonical.encode()).hexdigest()


def test_weights_of_a_model_have_the_names_of_keras(request, sample):
    _, folded = sample
    model = jsonnx.compile(SAMPLES / f"{request.node.callspec.params['sample']}.json", fold=False)
    weights = {name: array.size for name, array in model.weights.items()}
    assert folded.weights.keys() == weights.keys()
    initializers = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.proto.graph.initializer}
    named = {name: size for name, size in initializers.items() if not name.startswith("/")}
    trained = {name for name in weights if not is_range_name(name)}  # ranges are scales in a trained model
    assert named.keys() == trained  # some weights are stored in the layout of an operator
    assert all(size >= weights[name] for name, size in named.items())


def test_inputs_and_outputs_have_the_names_of_the_spec_and_a_symbolic_batch(sample):
    spec, model = sample
    graph = model.proto.graph
    assert [value.name for value in graph.input] == [name for name in spec["inputs"] if name != LOSS_INPUT]
    assert {value.type.tensor_type.shape.dim[0].dim_param for value in (*graph.input, *graph.output)} == {"batch"}


def test_every_node_records_the_path_of_its_layer_in_the_spec(sample):
    spec, model = sample
    paths = {entry.value for node in model.proto.graph.node for entry in node.metadata_props}
    assert paths <= {f"$.layers[{index}]" for index in range(len(spec["layers"]))}
    assert paths


def test_a_spec_in_a_model_is_never_the_path_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text('{"inputs": {}, "layers": []}')
    with pytest.raises(CompileError) as error:
        spec_from_metadata(str(tmp_path / "spec.json"))
    assert [diagnostic.code for diagnostic in error.value.diagnostics] == ["invalid-json"]
