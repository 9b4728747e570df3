"""The fields of rows and predictions: names, kinds, categories and examples, also those that training learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonnx
import pytest
from jsonnx.core.signature.model_fields import ModelFields, PredictionField, RowField
from jsonnx.pipeline.run.trained_model import TrainedModel
from jsonnx.pipeline.serving.row_fields import model_fields

SAMPLES = Path(__file__).parents[3] / "samples"


def fields_of(spec: dict[str, Any], folder: Path) -> ModelFields:
    jsonnx.compile(spec).save(folder / "m.onnx")
    return model_fields(TrainedModel.open(folder / "m.onnx"))


def one_field(input: dict[str, Any], layers: list[dict[str, Any]], folder: Path, **more: Any) -> RowField:
    (field,) = fields_of({"inputs": {"x": input}, "layers": layers, **more}, folder).rows
    return field


DENSE = [{"type": "Dense", "name": "y", "units": 1}]
ONE_HOT: dict[str, Any] = {"type": "StringLookup", "vocabulary": ["a", "b"], "output_mode": "one_hot"}


@pytest.mark.parametrize(
    ("input", "layers", "expected"),
    [
        ({"shape": [1]}, DENSE, RowField("x", "x", "number", "float32", example=0.0)),
        ({"shape": [3]}, DENSE, RowField("x", "x", "array", "float32", (3,), example=[0.0, 0.0, 0.0])),
        (
            {"shape": ["time", 3]},
            [{"type": "GlobalAveragePooling1D"}, *DENSE],
            RowField("x", "x", "array", "float32", (None, 3), example=[[0.0, 0.0, 0.0]]),
        ),
        (
            {"shape": [], "dtype": "string"},
            [ONE_HOT, *DENSE],
            RowField("x", "x", "category", "string", (), ("a", "b"), True, example="a"),
        ),
        (
            {"shape": [], "dtype": "string"},
            [ONE_HOT | {"num_oov_indices": 0, "mask_token": ""}, *DENSE],
            RowField("x", "x", "category", "string", (), ("a", "b"), False, True, example="a"),
        ),
        (
            {"shape": [], "dtype": "int32"},
            [{"type": "IntegerLookup", "vocabulary": [4, 7], "output_mode": "one_hot"}, *DENSE],
            RowField("x", "x", "category", "int32", (), (4, 7), True, example=4),
        ),
        (
            {"shape": [], "dtype": "int64", "description": "The token."},
            [{"type": "Embedding", "input_dim": 9, "output_dim": 2}, *DENSE],
            RowField("x", "x", "integer", "int64", maximum=8, description="The token.", example=0),
        ),
        (
            {"shape": [], "dtype": "string"},
            [{"type": "DateFeatures", "features": ["month"], "formats": ["%d.%m.%Y"]}, *DENSE],
            RowField("x", "x", "date", "string", date_formats=("%d.%m.%Y",), example="30.11.2026"),
        ),
        (
            {"shape": [], "dtype": "string"},
            [{"type": "TextVectorization", "vocabulary": ["a"], "output_mode": "multi_hot"}, *DENSE],
            RowField("x", "x", "text", "string", example="a text"),
        ),
        (
            {"shape": [1]},
            [{"type": "Imputation", "strategy": "constant", "fill_value": 12.34567}, *DENSE],
            RowField("x", "x", "number", "float32", may_be_missing=True, example=12.35),
        ),
        (
            {"shape": [9, 9, 3]},
            [{"type": "Conv2D", "filters": 2, "kernel_size": 3}, {"type": "GlobalAveragePooling2D"}, *DENSE],
            RowField("x", "x", "image", "float32", (9, 9, 3)),
        ),
        (
            {"shape": [9, 9]},
            [{"type": "Reshape", "target_shape": [9, 9, 1]}, {"type": "GlobalAveragePooling2D"}, *DENSE],
            RowField("x", "x", "image", "float32", (9, 9)),
        ),
        (
            {"shape": [29, 12]},
            [{"type": "LSTM", "units": 2}, *DENSE],
            RowField("x", "x", "array", "float32", (29, 12)),
        ),
    ],
)
def test_a_field(input: dict[str, Any], layers: list[dict[str, Any]], expected: RowField, tmp_path: Path) -> None:
    assert one_field(input, layers, tmp_path) == expected


def test_columns_of_an_input_are_fields(tmp_path: Path) -> None:
    spec = {
        "name": "m",
        "description": "What it is.",
        "inputs": {"x": {"shape": [2]}, "z": {"shape": [2, 2]}},
        "layers": [
            {"type": "Normalization", "name": "n", "from": "x", "mean": [1.5, -20], "variance": [1, 1]},
            {"type": "Flatten", "name": "f", "from": "z"},
            {"type": "Concatenate", "from": ["n", "f"]},
            *DENSE,
        ],
        "training": {"loss": "mse", "data": {"train": "d.csv", "x": {"x": ["a b", "c"], "z": ["d", "e"]}}},
    }
    fields = fields_of(spec, tmp_path)
    assert (fields.name, fields.description, fields.window_length) == ("m", "What it is.", None)
    assert fields.rows == (
        RowField("a b", "x", "number", "float32", example=1.5),
        RowField("c", "x", "number", "float32", example=-20.0),
        RowField("d", "z", "array", "float32", (2,), example=[0.0, 0.0]),
        RowField("e", "z", "array", "float32", (2,), example=[0.0, 0.0]),
    )


def test_windows_have_the_fields_of_a_step(tmp_path: Path) -> None:
    windows = {"length": 3, "horizon": 1, "time": "when", "by": "shop"}
    spec = {
        "inputs": {"x": {"shape": [3, 2]}},
        "layers": [{"type": "Flatten"}, {"type": "Dense", "name": "y", "units": 1}],
        "training": {"loss": "mse", "data": {"train": "d.csv", "x": ["a", "b"], "y": "a", "windows": windows}},
    }
    fields = fields_of(spec, tmp_path)
    assert fields.window_length == 3
    assert [(field.name, field.kind, field.input) for field in fields.rows] == [
        ("a", "number", "x"),
        ("b", "number", "x"),
        ("shop", "text", None),
        ("when", "date", None),
    ]


def test_only_columns_known_in_advance_are_required_in_rows_of_the_future(tmp_path: Path) -> None:
    windows = {"length": 3, "horizon": 2, "time": "when", "future": "plans"}
    spec = {
        "inputs": {"past": {"shape": [3, 2]}, "plans": {"shape": [2, 1]}},
        "layers": [
            {"type": "Flatten", "name": "f", "from": "past"},
            {"type": "Flatten", "name": "g", "from": "plans"},
            {"type": "Concatenate", "from": ["f", "g"]},
            {"type": "Dense", "name": "y", "units": 2},
        ],
        "training": {
            "loss": "mse",
            "data": {"train": "d.csv", "x": {"past": ["a", "b"], "plans": "b"}, "y": "a", "windows": windows},
        },
    }
    fields = fields_of(spec, tmp_path)
    assert fields.window_length == 5
    assert [(field.name, field.may_be_missing) for field in fields.rows] == [("a", True), ("b", False), ("when", False)]


def prediction(layers: list[dict[str, Any]], folder: Path, **more: Any) -> PredictionField:
    (field,) = fields_of({"inputs": {"x": {"shape": [3]}}, "layers": layers, **more}, folder).predictions
    return field


def test_predictions(tmp_path: Path) -> None:
    training = {"training": {"loss": "binary_crossentropy"}}
    sigmoid = [DENSE[0] | {"activation": "sigmoid"}]
    many = [sigmoid[0] | {"units": 3}]
    labels = ["a", "b", "c"]
    assert prediction(DENSE, tmp_path) == PredictionField("y", "value", "float32")
    assert prediction([DENSE[0] | {"units": 3}], tmp_path).shape == (3,)
    softmax = [many[0] | {"activation": "softmax"}]
    assert prediction(softmax, tmp_path, labels=labels) == PredictionField("y", "class", "float32", tuple(labels))
    assert prediction(many, tmp_path, labels=labels, **training) == PredictionField(
        "y", "labels", "float32", tuple(labels)
    )
    expected = PredictionField("y", "binary", "float32", ("no", "yes"))
    assert prediction(sigmoid, tmp_path, labels=["no", "yes"], **training) == expected


def test_learned_values(tmp_path: Path) -> None:
    rows = ["a,b,c,y", *(f"{t},{n},{n + 1},{n}" for t, n in zip("uvvuvv", range(6), strict=True)), "u,,3,1"]
    (tmp_path / "d.csv").write_text("\n".join(rows) + "\n")
    spec = {
        "inputs": {"a": {"shape": [], "dtype": "string"}, "b": {"shape": [1]}, "c": {"shape": [1]}},
        "layers": [
            {"type": "StringLookup", "name": "p", "from": "a", "max_tokens": 3, "output_mode": "one_hot",
             "pad_to_max_tokens": True},
            {"type": "Imputation", "name": "q", "from": "b", "strategy": "median"},
            {"type": "Normalization", "name": "r", "from": "c"},
            {"type": "Concatenate", "from": ["p", "q", "r"]},
            *DENSE,
        ],
        "training": {"loss": "mse", "data": {"train": str(tmp_path / "d.csv")}, "epochs": 1},
    }  # fmt: skip
    trainer = jsonnx.Trainer(spec, data_roots=[tmp_path])
    trainer.fit()
    trainer.model().save(tmp_path / "m.onnx")
    a, b, c = model_fields(TrainedModel.open(tmp_path / "m.onnx")).rows
    assert a == RowField("a", "a", "category", "string", (), ("v", "u"), True, example="v")
    assert b == RowField("b", "b", "number", "float32", may_be_missing=True, example=2.5)
    assert replace(c, example=round(c.example, 1)) == RowField("c", "c", "number", "float32", example=3.4)


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ({"description": "In euros."}, "In euros. Quantiles: 0.1, 0.9"),
        ({"description": "Euros"}, "Euros. Quantiles: 0.1, 0.9"),
        ({}, "Quantiles: 0.1, 0.9"),
    ],
)
def test_a_prediction_of_quantiles_names_them(description: dict[str, str], expected: str, tmp_path: Path) -> None:
    spec = {
        "inputs": {"x": {"shape": [2]}},
        "layers": [{"type": "Dense", "name": "y", "units": 2, **description}],
        "training": {"loss": {"type": "quantile", "quantiles": [0.1, 0.9]}},
    }
    (prediction,) = fields_of(spec, tmp_path).predictions
    assert prediction.description == expected
