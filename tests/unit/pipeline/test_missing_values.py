"""Missing values: Imputation, which inputs accept them, and rows that are left out, for every format of data."""

from __future__ import annotations

import json

import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.data.samples.data_errors import FeedError
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.check.data_spec import inputs_with_missing_values

TOWNS = ["Bonn", "Kiel", "nowhere"]
NAN = float("nan")
SIZES = [[1, 10], [NAN, 20], [3, NAN], [9, 30], [1, 30]]
CSV = "a,b,city,y\n1,10,Bonn,1\n,20,,2\n3,NA,Kiel,3\n9,30,Bonn,4\n1,30,Bonn,5\n"


def spec(imputation, data="t.csv", **section):
    return {
        "inputs": {"size": {"shape": [2]}, "city": {"shape": [], "dtype": "string"}},
        "layers": [
            {"type": "Imputation", "name": "filled", "from": "size", **imputation},
            {"type": "Normalization", "name": "scaled"},
            {"type": "Imputation", "name": "known", "from": "city", "strategy": "constant", "fill_value": "nowhere"},
            {"type": "StringLookup", "vocabulary": TOWNS, "output_mode": "one_hot", "name": "place"},
            {"type": "Concatenate", "from": ["scaled", "place"]},
            {"type": "Dense", "units": 1, "name": "y"},
        ],
        "training": {
            "data": {"train": data, "x": {"size": ["a", "b"]}, **section},
            "loss": "mse",
            "optimizer": "sgd",
            "epochs": 1,
        },
    }


@pytest.mark.parametrize(
    ("strategy", "statistic"),
    [("mean", [3.5, 22.5]), ("median", [2, 25]), ("most_frequent", [1, 30])],
)
def test_statistics_ignore_missing_values_and_normalization_sees_filled_ones(tmp_path, strategy, statistic):
    (tmp_path / "t.csv").write_text(CSV)
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec({"strategy": strategy})))
    trainer = jsonnx.Trainer(path)
    trainer.fit(verbose=0)
    weights = trainer.weights()
    filled = np.where(np.isnan(SIZES), statistic, SIZES)
    np.testing.assert_allclose(weights["filled/statistic"], statistic)
    np.testing.assert_allclose(weights["scaled/mean"], filled.mean(0), rtol=1e-6)
    np.testing.assert_allclose(weights["scaled/variance"], filled.var(0), rtol=1e-5)
    feeds = {"size": np.array(SIZES, np.float32), "city": np.array(["Bonn", "", "Kiel", "Bonn", "Bonn"], object)}
    raw = trainer.model().session().run(feeds)["y"]
    feeds = {"size": filled.astype(np.float32), "city": np.array(["Bonn", "nowhere", "Kiel", "Bonn", "Bonn"], object)}
    np.testing.assert_allclose(raw, trainer.model().session().run(feeds)["y"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(trainer.predict(feeds | {"size": np.array(SIZES)}), raw, rtol=1e-4, atol=1e-6)


def test_an_indicator_marks_the_missing_values():
    model = jsonnx.compile(
        {
            "inputs": {"x": {"shape": [2]}},
            "layers": [{"type": "Imputation", "strategy": "constant", "fill_value": [5, 6], "indicator": True}],
        }
    )
    y = next(iter(model.session().run(np.array([[NAN, 1], [2, NAN]], np.float32)).values()))
    assert y.tolist() == [[5, 1, 1, 0], [2, 6, 0, 1]]


def table(tmp_path, suffix):
    rows = [
        {"a": a, "b": b, "city": city, "y": y}
        for a, b, city, y in [(1, 10, "Bonn", 1), (None, 20, None, 2), (3, None, "Kiel", 3), (9, 30, "Bonn", 4)]
    ]
    path = tmp_path / f"t.{suffix}"
    if suffix == "json":
        path.write_text(json.dumps(rows))
    elif suffix == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    elif suffix == "csv":
        path.write_text("".join(CSV.splitlines(keepends=True)[:-1]))
    else:
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pa.Table.from_pylist(rows), path)
    return path.name


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl", "parquet"])
def test_all_tables_give_nan_and_the_empty_text_for_missing_values(tmp_path, suffix):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec({}, table(tmp_path, suffix))))
    trainer = jsonnx.Trainer(path)
    trainer.fit(verbose=0)
    np.testing.assert_allclose(trainer.weights()["filled/statistic"], [13 / 3, 20], rtol=1e-6)


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl", "parquet"])
def test_rows_without_a_needed_value_are_dropped_if_the_spec_says_so(tmp_path, suffix):
    document = spec({}, table(tmp_path, suffix), missing="drop")
    document["layers"][0] = {"type": "Rescaling", "scale": 1, "from": "size"}
    document["layers"][2]["type"] = "Identity"
    del document["layers"][2]["strategy"], document["layers"][2]["fill_value"]
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(document))
    trainer = jsonnx.Trainer(path)
    trainer.fit(verbose=0)
    np.testing.assert_allclose(trainer.weights()["scaled/mean"], [5, 20], rtol=1e-6)
    (note,) = [d for d in jsonnx.validate(path, data=True) if d.code == "dropped-samples"]
    reasons = ["1 row without a number in 'a'", "1 row without a number in 'b'"]
    reasons += [] if suffix == "csv" else ["1 row without a text in 'city'"]
    assert note.message == (f"samples with missing values are left out: 2 of 4 of `train` ({', '.join(reasons)})")
    assert note.severity == "note"
    document["training"]["data"]["missing"] = "error"
    path.write_text(json.dumps(document))
    with pytest.raises(CompileError) as error:
        jsonnx.Trainer(path).fit(verbose=0)
    assert {d.code for d in error.value.diagnostics} == {"bad-value"}


def texts_spec(layer, data, **section):
    return {
        "inputs": {"text": {"shape": [], "dtype": "string"}, "x": {"shape": [1]}},
        "layers": [
            {**layer, "from": "text", "name": "texts"},
            {"type": "Concatenate", "from": ["texts", "x"]},
            {"type": "Dense", "units": 1, "name": "y"},
        ],
        "training": {"data": {"train": data, "missing": "drop", **section}, "loss": "mse", "optimizer": "sgd"},
    }


ONE_HOT = {"type": "StringLookup", "output_mode": "one_hot"}


@pytest.mark.parametrize(
    ("layer", "left_out"),
    [
        ({"type": "TextVectorization", "output_mode": "multi_hot", "vocabulary": ["a"]}, []),
        ({**ONE_HOT, "vocabulary": ["a"]}, []),
        ({**ONE_HOT, "vocabulary": ["a", ""], "num_oov_indices": 0}, []),
        ({**ONE_HOT, "vocabulary": ["a", "b"], "num_oov_indices": 0}, ["2 rows without a text in 'text'"]),
        ({"type": "DateFeatures", "features": ["days"]}, ["2 rows without a date in 'text'"]),
    ],
)
def test_rows_with_an_empty_text_are_kept_where_it_is_a_value(tmp_path, layer, left_out):
    text = "2026-11-27" if layer["type"] == "DateFeatures" else "a"
    (tmp_path / "t.csv").write_text(f"text,x,y\n{text},1,1\n,2,2\n,3,3\n{text},4,\n")
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(texts_spec(layer, "t.csv")))
    (note,) = [d for d in jsonnx.validate(path, data=True) if d.code == "dropped-samples"]
    reasons = ", ".join([*left_out, "1 row without a number in 'y'"])
    assert note.message.endswith(f": {3 if left_out else 1} of 4 of `train` ({reasons})")


@pytest.mark.parametrize("suffix", ["json", "parquet"])
def test_null_is_no_empty_text(tmp_path, suffix):
    rows = [{"text": text, "x": 1, "y": 1} for text in ("a", "", None, "a")]
    path = tmp_path / f"t.{suffix}"
    if suffix == "parquet":
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text(json.dumps(rows))
    (tmp_path / "spec.json").write_text(json.dumps(texts_spec({**ONE_HOT, "vocabulary": ["a"]}, path.name)))
    (note,) = [d for d in jsonnx.validate(tmp_path / "spec.json", data=True) if d.code == "dropped-samples"]
    assert note.message.endswith(": 1 of 4 of `train` (1 row without a text in 'text')")


def test_a_row_without_a_class_is_left_out_unless_a_class_has_no_name(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n1,a\n2,\n3,b\n4,\n")
    document = {
        "inputs": {"x": {"shape": [1]}},
        "layers": [{"type": "Dense", "units": 2, "activation": "softmax", "name": "y"}],
        "training": {"data": {"train": "t.csv", "missing": "drop"}, "loss": "sparse_categorical_crossentropy"},
    }
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(document))
    (note,) = [d for d in jsonnx.validate(path, data=True) if d.code == "dropped-samples"]
    assert note.message.endswith(": 2 of 4 of `train` (2 rows without a class in 'y')")
    document["layers"][0]["units"] = 3
    path.write_text(json.dumps(document | {"labels": ["", "a", "b"]}))
    assert not [d for d in jsonnx.validate(path, data=True) if d.severity == "note"]


def test_a_location_names_the_row_of_the_file_although_rows_are_dropped(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,city,y\n1,1,x,\n2,1e99,x,1\n")
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec({}, missing="drop")))
    with pytest.raises(CompileError) as error:
        jsonnx.Trainer(path).fit(verbose=0)
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.line == 3
    assert "too large" in diagnostic.message


def test_infinity_is_an_error_where_nan_is_not():
    trainer = jsonnx.Trainer(
        {
            "inputs": {"x": {"shape": [1]}},
            "layers": [{"type": "Imputation"}, {"type": "Dense", "units": 1}],
            "training": {"loss": "mse", "optimizer": "sgd"},
        }
    )
    trainer.step(np.array([[NAN], [1.0]]), np.zeros((2, 1)))
    with pytest.raises(FeedError, match="inf"):
        trainer.step(np.array([[np.inf], [1.0]]), np.zeros((2, 1)))


def test_a_feature_without_any_value_cannot_be_learned():
    trainer = jsonnx.Trainer(
        {
            "inputs": {"x": {"shape": [2]}},
            "layers": [{"type": "Imputation", "name": "filled"}, {"type": "Dense", "units": 1}],
            "training": {"loss": "mse", "optimizer": "sgd"},
        }
    )
    with pytest.raises(CompileError, match="'filled' learns a statistic that is not finite for the feature 1"):
        trainer.fit(np.array([[1, NAN], [2, NAN]]), np.zeros((2, 1)), verbose=0)


@pytest.mark.parametrize(
    ("layers", "accepted"),
    [
        ([{"type": "Imputation", "from": "x"}], True),
        ([{"type": "Reshape", "target_shape": [2, 1], "from": "x"}, {"type": "Imputation"}], True),
        ([{"type": "ops.nan_to_num", "from": "x"}], True),
        ([{"type": "Dense", "units": 2, "from": "x"}, {"type": "Imputation"}], False),
        ([{"type": "Imputation", "name": "i", "from": "x"}, {"type": "Add", "from": ["i", "x"]}], False),
        ([{"type": "Reshape", "target_shape": [2, 1], "from": "x"}], False),
    ],
)
def test_an_input_has_missing_values_if_all_its_readers_take_them(layers, accepted):
    typed = check_spec({"inputs": {"x": {"shape": [2]}}, "layers": layers}).require()
    assert inputs_with_missing_values(typed) == ({"x"} if accepted else set())


@pytest.mark.parametrize(("token", "accepted"), [("", True), ("-", False), (None, False)])
def test_a_lookup_takes_missing_texts_as_its_mask_token(token, accepted):
    lookup = {"type": "StringLookup", "vocabulary": ["a"], "mask_token": token}
    typed = check_spec({"inputs": {"x": {"shape": [], "dtype": "string"}}, "layers": [lookup]}).require()
    assert bool(inputs_with_missing_values(typed)) == accepted


@pytest.mark.parametrize(
    ("dtype", "arguments", "message"),
    [
        ("float32", {"strategy": "constant"}, "needs a fill_value"),
        ("float32", {"fill_value": 1}, "has a fill_value"),
        ("float32", {"strategy": "constant", "fill_value": "a"}, "has a text as its fill_value"),
        ("float32", {"strategy": "constant", "fill_value": [1, 2, 3]}, "does not broadcast"),
        ("int32", {}, "needs real numbers or texts"),
        ("string", {}, "needs a text as its fill_value"),
        ("string", {"strategy": "constant", "fill_value": "a", "indicator": True}, "which only numbers have"),
    ],
)
def test_arguments_of_imputation_that_do_not_fit(dtype, arguments, message):
    document = {"inputs": {"x": {"shape": [2], "dtype": dtype}}, "layers": [{"type": "Imputation", **arguments}]}
    assert any(message in d.message for d in jsonnx.validate(document))
