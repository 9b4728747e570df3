"""The forms of models: their fields, and examples that the models take, for all samples."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from jsonnx.server.page.form_document import ModelForm
from jsonnx.server.protocol.requests import InferInput, InferRequest
from onnx import TensorProto, helper
from support.asgi_service import service_of
from support.commands import jsonnx

SAMPLES = Path(__file__).parents[4] / "samples"
LARGE = ("efficientnet_b0", "mobilenet_v2", "resnet50", "transformer", "unet")
LEARNING = ("flights", "penguins", "questions", "reviews", "reviews_tokens")
"""Samples that learn vocabularies, which a compiled model lacks."""
KINDS = {
    "bicycles": {"time": "json", "past": "json"},
    "crashes": {"speed_change": "category", "role": "category", "age": "number"},
    "diabetes": {"age": "number", "s6": "number"},
    "digits_contrastive": {"image": "image"},
    "digits_int8": {"image": "image"},
    "digits_residual": {"image": "image"},
    "digits_transfer": {"image": "image"},
    "efficientnet_b0": {"image": "image"},
    "flights": {"scheduled": "date", "carrier": "category", "seats": "number"},
    "mnist_cnn": {"image": "image"},
    "mnist_mlp": {"image": "image"},
    "mobilenet_v2": {"image": "image"},
    "nuclei": {"image": "image"},
    "penguins": {"island": "category", "sex": "category", "body_mass_g": "number"},
    "resnet50": {"image": "image"},
    "questions": {"first": "text", "second": "text"},
    "reviews": {"review": "text"},
    "reviews_tokens": {"review": "text"},
    "textures": {"image": "image"},
    "transformer": {"tokens": "json", "positions": "json"},
    "unet": {"image": "image"},
    "vowels_lstm": {"frames": "json"},
}
"""The kinds of some fields of each sample."""


def form_of(model: Path) -> tuple[ModelForm, Any]:
    service = service_of(model)
    return ModelForm.of(service.repository.model(service.repository.names[0]).served), service


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def model_of(sample: str, folder: Path) -> Path:
    spec = str(SAMPLES / f"{sample}.json")
    if sample in LEARNING:
        path = folder / sample
        if not path.exists():
            jsonnx("train", spec, "-o", str(path), "--quiet", "--set", "training.epochs=1")
    else:
        path = folder / f"{sample}.onnx"
        if not path.exists():
            jsonnx("compile", spec, "-o", str(path))
    return path


def test_all_samples_have_a_case() -> None:
    assert {path.stem for path in SAMPLES.glob("*.json")} == KINDS.keys()


@pytest.mark.parametrize(
    "sample", [pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in KINDS]
)
def test_the_model_takes_its_example(sample: str, models: Path) -> None:
    form, service = form_of(model_of(sample, models))
    document = json.loads(json.dumps(form.document))
    kinds = {field["column"]: field["kind"] for field in document["fields"]}
    assert kinds == kinds | KINDS[sample]
    assert document["has_rows"] == (sample != "bicycles")
    if document["has_rows"]:
        body = json.dumps(form.row).encode()
        answer = asyncio.run(service.predict_rows(sample, None, body, "application/json"))
        assert list(answer["prediction"]) == [output["name"] for output in document["outputs"]]
    inputs = [
        InferInput(tensor["name"], tensor["datatype"], array)
        for tensor, array in zip(form.tensors, form.feeds.values(), strict=True)
    ]
    response = asyncio.run(service.infer(InferRequest(sample, inputs)))
    assert [len(output.array) for output in response.outputs] == [1] * len(document["outputs"])


def test_a_category_offers_what_was_learned(models: Path) -> None:
    document = form_of(model_of("penguins", models))[0].document
    fields = {field["label"]: field for field in document["fields"]}
    assert fields["island"]["categories"] == ["Biscoe", "Dream", "Torgersen"]
    assert "closed" not in fields["island"]
    assert 35 < fields["bill_length_mm"]["example"] < 55  # the mean that training has learned
    assert fields["bill_length_mm"]["observed"] == pytest.approx([33.1, 59.6])
    assert document["outputs"][0]["classes"]["labels"] == ["Adelie", "Chinstrap", "Gentoo"]


def test_missing_values_and_dates_are_told(models: Path) -> None:
    fields = {field["label"]: field for field in form_of(model_of("flights", models))[0].document["fields"]}
    assert fields["seats"]["optional"] is True
    assert "optional" not in fields["carrier"]


@pytest.mark.parametrize(
    ("sample", "image"),
    [
        (
            "mnist_mlp",
            {"height": 28, "width": 28, "channels": 1, "layout": "flat", "maximum": 255, "light_on_dark": True},
        ),
        ("digits_residual", {"height": 8, "width": 8, "layout": "hwc", "maximum": 16, "light_on_dark": True}),
        ("textures", {"height": 64, "width": 64, "light_on_dark": False}),
    ],
)
def test_an_image_tells_its_size_and_range(sample: str, image: dict[str, Any], models: Path) -> None:
    found = form_of(model_of(sample, models))[0].document["fields"][0]["image"]
    assert found == found | image


def foreign_model(folder: Path, shape: list[Any], dtype: int) -> Path:
    """A file without a spec, whose output is its input."""
    tensors = [helper.make_tensor_value_info(name, dtype, shape) for name in ("values", "same")]
    node = helper.make_node("Identity", ["values"], ["same"])
    graph = helper.make_graph([node], "foreign", tensors[:1], tensors[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.save(model, folder / "foreign.onnx")
    return folder / "foreign.onnx"


@pytest.mark.parametrize(
    ("shape", "dtype", "kinds"),
    [
        (["n", 3], TensorProto.FLOAT, ["number"] * 3),
        (["n"], TensorProto.STRING, ["text"]),
        (["n", 1], TensorProto.BOOL, ["boolean"]),
        (["n", 3, 32, 32], TensorProto.FLOAT, ["image"]),
        (["n", "time", 5], TensorProto.INT64, ["json"]),
        (["n", 40], TensorProto.DOUBLE, ["json"]),
        ([], TensorProto.FLOAT, ["number"]),
        ([2, 2], TensorProto.FLOAT, ["number"] * 2),
    ],
)
def test_a_file_without_a_spec_has_a_form(tmp_path: Path, shape: list[Any], dtype: int, kinds: list[str]) -> None:
    form, _ = form_of(foreign_model(tmp_path, shape, dtype))
    assert [field["kind"] for field in form.document["fields"]] == kinds
    assert form.document["has_rows"] is False
    if shape[:1] != [2]:  # an example has one row
        arrays = form.served.session.run(form.feeds)
        assert np.array_equal(arrays["same"], form.feeds["values"])
    if kinds == ["image"]:
        assert form.document["fields"][0]["image"]["layout"] == "chw"


@pytest.mark.parametrize(("ground", "is_dark"), [(0.1, True), (0.8, False)])
def test_the_training_data_tell_how_images_are_drawn(tmp_path: Path, ground: float, is_dark: bool) -> None:
    images = np.full((40, 40, 40, 1), ground, np.float32)
    np.savez(tmp_path / "data.npz", image=images, y=np.arange(40) % 2)
    spec = {
        "inputs": {"image": {"shape": [40, 40, 1]}},
        "layers": [{"type": "Flatten"}, {"type": "Dense", "name": "y", "units": 2, "activation": "softmax"}],
        "training": {
            "data": {"train": "data.npz"},
            "loss": "sparse_categorical_crossentropy",
            "optimizer": "sgd",
            "epochs": 1,
        },
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    jsonnx("train", str(tmp_path / "spec.json"), "-o", str(tmp_path / "run"), "--quiet")
    image = form_of(tmp_path / "run")[0].document["fields"][0]["image"]
    assert image["light_on_dark"] is is_dark
    assert image["maximum"] == 1
