"""The exported training folder: a training loop that uses only its manifest computes the same as a Trainer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from jsonnx import Trainer
from jsonnx.cli import main
from jsonnx.layers.base import LAYERS
from jsonnx.layers.image.geometric_augmentation import HostAugmentation
from jsonnx.training.metrics.metrics import METRICS, MetricCodec
from support.commands import IN_PROCESS

SAMPLES = Path(__file__).parents[3] / "samples"

EVERYTHING = {
    "name": "everything",
    "inputs": {"image": {"shape": [6, 6, 3]}, "extra": {"shape": [4]}},
    "layers": [
        {"type": "Conv2D", "from": "image", "filters": 5, "kernel_size": 3},
        {"type": "BatchNormalization"},
        {"type": "GaussianNoise", "stddev": 0.1},
        {"type": "GlobalAveragePooling2D", "name": "pooled"},
        {"type": "Dropout", "rate": 0.3, "seed": 7, "from": "extra", "name": "dropped"},
        {"type": "Concatenate", "from": ["pooled", "dropped"]},
        {"type": "Dense", "units": 8, "activation": "relu", "kernel_regularizer": "l2", "trainable": False},
        {"type": "Dropout", "rate": 0.5, "name": "hidden"},
        {"type": "Dense", "units": 3, "activation": "softmax", "name": "kind"},
        {"type": "Dense", "units": 2, "name": "place", "from": "hidden"},
    ],
    "outputs": ["kind", "place"],
    "training": {
        "loss": {"kind": "sparse_categorical_crossentropy", "place": "mse"},
        "loss_weights": {"kind": 0.5, "place": 1.0},
        "metrics": {"kind": ["accuracy"], "place": ["root_mean_squared_error", "cosine_similarity"]},
        "optimizer": {"type": "adam", "learning_rate": 0.003},
        "seed": 11,
    },
}


# -- a training loop with onnxruntime, NumPy and JSON only -------------------------------------------------------------


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    dtypes = {"F32": np.float32, "I32": np.int32, "I64": np.int64}
    return {
        name: np.frombuffer(data[start:][slice(*about["data_offsets"])], dtypes[about["dtype"]]).reshape(about["shape"])
        for name, about in json.loads(data[8:start]).items()
        if name != "__metadata__"
    }


def draw_random(name: str, random: dict[str, Any], step: int, batch: int) -> np.ndarray:
    """Returns the random numbers of a step by the rules under `exactly` in the manifest."""
    shape = [batch if size == "batch" else size for size in random["shape"]]
    digest = hashlib.blake2b(repr((random["seed"], name, step)).encode(), digest_size=16).digest()
    bits = np.random.Philox(key=int.from_bytes(digest, "little"))
    if random["kind"] == "normal":
        return np.random.Generator(bits).standard_normal(shape, np.float32) * np.float32(random["scale"])
    count = int(np.prod(shape))
    numbers = [word >> shift & 0xFFFF for word in bits.random_raw(-(-count // 4)).tolist() for shift in (0, 16, 32, 48)]
    is_kept = np.array(numbers[:count]) < round(random["keep"] * 65536)
    return (is_kept * np.float32(random["scale"])).astype(np.float32).reshape(shape)


def train(folder: Path, batches: list[dict[str, np.ndarray]]) -> Iterator[dict[str, np.ndarray]]:
    """Yields the results of every step by name."""
    manifest = json.loads((folder / "manifest.json").read_text())
    session = onnxruntime.InferenceSession(folder / "train_step.onnx", providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    variables = read_safetensors(folder / "weights.safetensors")
    scalars = {name: np.array(about["value"], about["dtype"]) for name, about in manifest["scalars"].items()}
    for step, batch in enumerate(batches):
        size = len(next(iter(batch.values())))
        random = {name: draw_random(name, about, step, size) for name, about in manifest["random"].items()}
        results = dict(zip(names, session.run(None, batch | scalars | random | variables), strict=True))
        for name, about in manifest["variables"].items():
            if about["next"]:
                variables[name] = results[about["next"]]
        yield results


# -- comparison with the trainer ---------------------------------------------------------------------------------------


def everything() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    x = {"image": rng.normal(size=(40, 6, 6, 3)), "extra": rng.normal(size=(40, 4))}
    return (
        {name: array.astype(np.float32) for name, array in x.items()},
        {"kind": rng.integers(0, 3, 40), "place": rng.normal(size=(40, 2)).astype(np.float32)},
    )


def digits() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    data = np.load(SAMPLES / "data" / "mnist_train.npz")
    return {"image": data["image"][:40].reshape(40, 28, 28, 1).astype(np.float32)}, {"digit": data["label"][:40]}


def patients() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    table = np.loadtxt(
        SAMPLES / "data" / "diabetes_train.csv", delimiter=",", skiprows=1, max_rows=40, dtype=np.float32
    )
    return {"patient": table[:, :10]}, {"progression": table[:, 10:]}


EVERYTHING_WITH_REMAT = {**EVERYTHING, "training": {**EVERYTHING["training"], "remat": "activations"}}
NETWORKS = {
    "everything": (EVERYTHING, everything),
    "lean": (EVERYTHING_WITH_REMAT, everything),
    "mnist_cnn": (json.loads((SAMPLES / "mnist_cnn.json").read_text()), digits),
    "diabetes": (json.loads((SAMPLES / "diabetes.json").read_text()), patients),
}


@pytest.fixture(scope="module", params=NETWORKS)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, dict[str, Any]]:
    """The name of a network, its training folder and its manifest."""
    folder = tmp_path_factory.mktemp("training") / request.param
    spec = folder.with_suffix(".json")
    spec.write_text(json.dumps(NETWORKS[request.param][0]))
    result = IN_PROCESS.invoke(main, ["compile", str(spec), "-o", str(folder), "--training"])
    assert result.exit_code == 0, result.output
    return request.param, folder, json.loads((folder / "manifest.json").read_text())


def test_a_loop_that_uses_only_the_manifest_computes_the_same_as_the_trainer(exported):
    name, folder, manifest = exported
    spec, data = NETWORKS[name]
    x, y = data()
    parts = [slice(start, start + 8) for start in range(0, 32, 8)] + [slice(32, 37)]
    targets = {about["output"]: target for target, about in manifest["targets"].items()}
    batches = [
        {name: np.asarray(array[part], manifest["inputs"][name]["dtype"]) for name, array in x.items()}
        | {targets[o]: np.asarray(array[part], manifest["targets"][targets[o]]["dtype"]) for o, array in y.items()}
        for part in parts
    ]
    trainer = Trainer(spec)
    for part, results in zip(parts, train(folder, batches), strict=True):
        metrics = trainer.step({k: v[part] for k, v in x.items()}, {k: v[part] for k, v in y.items()})
        for loss in manifest["losses"]:
            assert results[loss] == pytest.approx(metrics[loss], rel=1e-6)
        for metric, about in manifest["metrics"].items():
            value = eval(about["result"], {"sqrt": sqrt, "totals": results[about["from"]].astype(float)})
            assert value == pytest.approx(metrics[metric], rel=1e-5)
    assert list(metrics) == [*manifest["losses"], *manifest["metrics"]]


def test_the_manifest_lists_all_inputs_and_outputs_of_the_step(exported):
    _, folder, manifest = exported
    step = onnx.load(folder / "train_step.onnx").graph
    sections = {kind: manifest[kind] for kind in ("inputs", "targets", "scalars", "random", "variables")}
    entries = {name: about for kind in sections.values() for name, about in kind.items()}
    assert sum(map(len, sections.values())) == len(entries)
    assert {value.name: type_of(value) for value in step.input} == {
        n: (a["dtype"], a["shape"]) for n, a in entries.items()
    }
    next_values = [about["next"] for about in manifest["variables"].values() if about["next"]]
    metrics = [about["from"] for about in manifest["metrics"].values()]
    results = [*manifest["outputs"], *manifest["losses"], *metrics, *next_values]
    assert sorted(results) == sorted(value.name for value in step.output)
    types = {value.name: type_of(value) for value in step.output}
    for about in manifest["variables"].values():
        assert about["next"] is None or types[about["next"]] == (about["dtype"], about["shape"])


def type_of(value: onnx.ValueInfoProto) -> tuple[str, list[Any]]:
    tensor = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return dtype, [size.dim_param or size.dim_value for size in tensor.shape.dim]


def test_every_variable_has_an_initial_value(exported):
    _, folder, manifest = exported
    values = read_safetensors(folder / "weights.safetensors")
    assert {name: (array.dtype.name, list(array.shape)) for name, array in values.items()} == {
        name: (about["dtype"], about["shape"]) for name, about in manifest["variables"].items()
    }
    for name, about in manifest["variables"].items():
        assert about["role"] in ("weight", "state", "slot")
        if about["role"] == "slot":
            assert not values[name].any()


def test_initial_values_are_the_initial_weights_of_the_trainer(exported):
    name, folder, _ = exported
    values = read_safetensors(folder / "weights.safetensors")
    for weight, array in Trainer(NETWORKS[name][0]).weights().items():
        np.testing.assert_array_equal(values[weight], array)


def test_frozen_weights_have_no_next_value(exported):
    name, _, manifest = exported
    fixed = [variable for variable, about in manifest["variables"].items() if about["next"] is None]
    assert fixed == (["dense/kernel", "dense/bias"] if name in ("everything", "lean") else [])


def test_the_exported_model_has_the_same_initial_weights(exported):
    _, folder, _ = exported
    model = onnx.load(folder / "model.onnx")
    constants = {value.name: onnx.numpy_helper.to_array(value) for value in model.graph.initializer}
    values = read_safetensors(folder / "weights.safetensors")
    shared = [name for name in constants if name in values and constants[name].shape == values[name].shape]
    assert shared  # other weights are folded
    for name in shared:
        np.testing.assert_array_equal(constants[name], values[name])


# -- augmentation on the host -----------------------------------------------------------------------------------------

AUGMENTATIONS = sorted(
    name for name, layer in LAYERS.by_name.items() if isinstance(layer, type) and issubclass(layer, HostAugmentation)
)
ARGUMENTS: dict[str, dict[str, Any]] = {
    "RandomBrightness": {"factor": 0.2},
    "RandomColorDegeneration": {"factor": 0.2},
    "RandomContrast": {"factor": 0.2},
    "RandomCrop": {"height": 6, "width": 6},
    "RandomHue": {"factor": 0.2},
    "RandomPosterization": {"factor": 4},
    "RandomRotation": {"factor": 0.1},
    "RandomSaturation": {"factor": 0.2},
    "RandomSharpness": {"factor": 0.2},
    "RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2},
    "RandomZoom": {"height_factor": 0.2},
}


CROP = {"name": "crop", "height": 6, "width": 6}


def augmented_spec(*before: dict[str, Any], augmentation: str = "RandomFlip") -> dict[str, Any]:
    layers = [
        *before,
        {"type": augmentation, "name": "augmented", **ARGUMENTS.get(augmentation, {})},
        {"type": "Flatten"},
        {"type": "Dense", "units": 3, "activation": "softmax", "name": "kind"},
    ]
    training = {"loss": "categorical_crossentropy", "optimizer": "sgd", "seed": 3}
    return {"inputs": {"image": {"shape": [6, 6, 3]}}, "layers": layers, "training": training}


def check_agreement(folder: Path) -> dict[str, Any]:
    """Asserts that manifest and models name the same inputs, and that a node reads each; returns the manifest."""
    manifest = json.loads((folder / "manifest.json").read_text())
    step = onnx.load(folder / "train_step.onnx").graph
    sections = ("inputs", "targets", "sample_weights", "scalars", "random", "augmented", "variables")
    entries = {
        name: about
        for section in sections
        for name, about in manifest.get(section, {}).items()
        if about.get("fed", True)
    }
    assert {value.name for value in step.input} == entries.keys()
    assert not manifest["augmentation_inputs"].keys() & entries.keys()
    assert_all_read(step)
    values = read_safetensors(folder / "weights.safetensors")
    available = entries.keys() | manifest["augmentation_inputs"].keys() | manifest["augmented"].keys()
    needed: set[str] = set()
    for about in manifest["augmented"].values():
        if about["model"] is None:
            assert about["from"] in available
            needed.add(about["from"])
            continue
        model = onnx.load(folder / about["model"]).graph
        assert_all_read(model)
        assert [value.name for value in model.output] == [about["from"]]
        assert {value.name for value in model.input} <= available
        needed |= {value.name for value in model.input}
    assert manifest["augmentation_inputs"].keys() <= needed
    variables = {name for name, about in manifest["augmentation_inputs"].items() if about["role"] != "input"}
    assert manifest["variables"].keys() | variables <= values.keys()
    return manifest


def assert_all_read(graph: onnx.GraphProto) -> None:
    unread = {value.name for value in graph.input} - set(names_read(graph))
    assert not unread


def names_read(graph: onnx.GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from names_read(attribute.g)
                yield from (output.name for output in attribute.g.output)


RESCALING = {"type": "Rescaling", "scale": 0.5, "name": "scaled"}


@pytest.mark.costly(2)
@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
@pytest.mark.parametrize("before", [[], [RESCALING]], ids=["first", "later"])
def test_what_an_augmentation_gets_can_be_computed(tmp_path, augmentation, before):
    manifest = check_agreement(export(tmp_path, augmented_spec(*before, augmentation=augmentation)))
    about = manifest["augmented"]["augmented/augmented"]
    assert (about["from"], about["model"]) == (("scaled", "augmentation_0.onnx") if before else ("image", None))
    assert about["fed"]
    assert manifest["inputs"] == {}
    assert manifest["augmentation_inputs"].keys() == {"image"}


def test_augmentations_in_a_row_and_variables_before_them(tmp_path):
    normalization = {"type": "BatchNormalization", "name": "normalized", "trainable": False}
    hue = {"type": "RandomHue", "name": "hue", "factor": 0.1}
    manifest = check_agreement(export(tmp_path, augmented_spec({"type": "RandomCrop", **CROP}, normalization, hue)))
    facts = {name: (about["from"], about["model"], about["fed"]) for name, about in manifest["augmented"].items()}
    assert facts == {
        "crop/augmented": ("image", None, False),
        "hue/augmented": ("normalized", "augmentation_1.onnx", False),
        "augmented/augmented": ("hue/augmented", None, True),
    }
    assert {name: about["role"] for name, about in manifest["augmentation_inputs"].items()} == {
        "image": "input",
        "normalized/gamma": "weight",
        "normalized/beta": "weight",
        "normalized/moving_mean": "state",
        "normalized/moving_variance": "state",
    }


def test_a_step_fed_with_what_the_augmentation_gets_trains_without_augmentation(tmp_path):
    before = [RESCALING]
    folder = export(tmp_path, augmented_spec(*before))
    manifest = check_agreement(folder)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 6, 6, 3)).astype(np.float32)
    y = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    (about,) = manifest["augmented"].values()
    model = onnxruntime.InferenceSession(folder / about["model"], providers=["CPUExecutionProvider"])
    (images,) = model.run([about["from"]], {"image": x})
    (results,) = train(folder, [{"augmented/augmented": images, next(iter(manifest["targets"])): y}])
    plain = augmented_spec(*before)
    del plain["layers"][1]
    assert results["loss"] == pytest.approx(Trainer(plain).step(x, y)["loss"], rel=1e-6)


@pytest.mark.parametrize("sample", sorted(path.stem for path in SAMPLES.glob("*.json")))
def test_manifest_and_step_of_every_sample_agree(tmp_path, sample):
    document = json.loads((SAMPLES / f"{sample}.json").read_text())
    if "training" not in document:
        pytest.skip("not trained")
    scales = [option for name in [*document.get("scales", {})][:1] for option in ("--scale", name)]  # the smallest
    done = IN_PROCESS.invoke(
        main, ["compile", str(SAMPLES / f"{sample}.json"), "-o", str(tmp_path / "step"), "--training", *scales]
    )
    if "not-learned" in done.stderr:
        pytest.skip("its vocabulary is learned from data")
    assert done.exit_code == 0, done.output
    check_agreement(tmp_path / "step")


# -- options and failures ---------------------------------------------------------------------------------------------


def export(folder: Path, spec: dict[str, Any], *options: str) -> Path:
    file = folder / "spec.json"
    file.write_text(json.dumps(spec))
    result = IN_PROCESS.invoke(main, ["compile", str(file), "-o", str(folder / "step"), "--training", *options])
    assert result.exit_code == 0, result.output
    return folder / "step"


def test_seed_and_learning_rate_of_the_command_are_exported(tmp_path):
    folder = export(tmp_path, EVERYTHING, "--seed", "5", "--set", "training.optimizer.learning_rate=0.25")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["seed"] == 5
    assert manifest["scalars"]["learning_rate"] == {"dtype": "float32", "shape": [], "value": 0.25}
    assert {name: about["seed"] for name, about in manifest["random"].items()} == {
        "gaussian_noise/noise": 5,
        "dropped/mask": 7,
        "hidden/mask": 5,
    }
    values = read_safetensors(folder / "weights.safetensors")
    np.testing.assert_array_equal(values["kind/kernel"], Trainer(EVERYTHING, seed=5).weights()["kind/kernel"])


def test_a_step_without_trained_weights_has_no_learning_rate(tmp_path):
    spec = {"inputs": {"x": {"shape": [4]}}, "layers": [{"type": "ReLU"}], "training": {"loss": "mse"}}
    folder = export(tmp_path, spec)
    manifest = json.loads((folder / "manifest.json").read_text())
    read = {value.name for value in onnx.load(folder / "train_step.onnx").graph.input}
    assert read == {*manifest["inputs"], *manifest["targets"], *manifest["variables"]}
    assert manifest["scalars"] == {}


def test_remat_in_the_spec_adds_recomputed_nodes_to_the_step(tmp_path):
    sizes = {}
    layers = [{"type": "Dense", "units": 16, "activation": "gelu"} for _ in range(12)]
    for name, section in {"stored": {}, "recomputed": {"remat": "full"}}.items():
        training = {"loss": "mse", "optimizer": "adam", "batch_size": 1024, **section}
        spec = {"inputs": {"x": {"shape": [16]}}, "layers": layers, "training": training}
        (tmp_path / name).mkdir()
        sizes[name] = len(onnx.load(export(tmp_path / name, spec) / "train_step.onnx").graph.node)
    assert sizes["recomputed"] > sizes["stored"]


def test_the_same_spec_gives_the_same_bytes(tmp_path):
    (tmp_path / "again").mkdir()
    folder, repeated_folder = (export(path, EVERYTHING) for path in (tmp_path, tmp_path / "again"))
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["manifest.json", "model.onnx", "train_step.onnx", "weights.safetensors"]
    assert all((folder / name).read_bytes() == (repeated_folder / name).read_bytes() for name in names)


def test_the_manifest_is_written_last(tmp_path, monkeypatch):
    """A folder with a manifest is therefore complete."""
    from jsonnx.pipeline.train import training_export

    written_names = []
    monkeypatch.setattr(training_export, "write_atomically", lambda path, data: written_names.append(Path(path).name))
    export(tmp_path, EVERYTHING)
    assert written_names[-1] == "manifest.json"


def test_a_spec_without_training_section_is_refused(tmp_path):
    file = tmp_path / "spec.json"
    file.write_text(json.dumps({key: value for key, value in EVERYTHING.items() if key != "training"}))
    result = IN_PROCESS.invoke(main, ["compile", str(file), "-o", str(tmp_path / "step"), "--training"])
    assert result.exit_code == 1
    assert "the spec has no `training` section" in result.stderr
    assert not (tmp_path / "step").exists()


def test_a_file_in_place_of_the_output_folder_is_refused(tmp_path):
    file, folder = tmp_path / "spec.json", tmp_path / "step"
    file.write_text(json.dumps(EVERYTHING))
    folder.write_text("in the way")
    result = IN_PROCESS.invoke(main, ["compile", str(file), "-o", str(folder), "--training"])
    assert result.exit_code == 2
    assert "unwritable-file" in result.stderr
    assert folder.read_text() == "in the way"


QUOTIENTS = [
    metric
    for metric in METRICS
    if "totals[0] / totals[1]" in metric.result_expression and not metric.required_attributes()
]


@pytest.mark.parametrize("metric", QUOTIENTS, ids=lambda metric: metric.type_name)
def test_the_formula_of_a_metric_equals_its_result(metric):
    totals = np.array([9.0, 4.0])
    assert metric().result(totals) == pytest.approx(eval(metric.result_expression, {"sqrt": sqrt, "totals": totals}))


@pytest.mark.parametrize(
    "spec",
    [
        *("true_positives", "false_positives", "true_negatives", "false_negatives"),
        {"type": "Precision", "average": None},
        {"type": "Recall", "average": None},
        {"type": "FBetaScore", "beta": 2.0},
        {"type": "R2Score", "class_aggregation": None},
        "confusion_matrix",
    ],
    ids=str,
)
def test_the_formula_of_a_metric_of_arrays_equals_its_result(spec):
    metric = MetricCodec().read(spec)
    shape = {"fbeta_score": (3, 4), "r2_score": (4, 5), "confusion_matrix": (3, 3)}.get(metric.type_name, (1, 2, 2))
    totals = np.random.default_rng(0).random(shape) + 1
    values = {"totals": totals, "i": 0, "beta": getattr(metric, "beta", None)}
    formula, _, definitions = metric.result_expression.partition(", where ")
    exec(definitions, values)
    np.testing.assert_allclose(metric.result(totals), eval(formula, values))
