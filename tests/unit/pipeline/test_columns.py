"""Columns by patterns, and classes whose names are learned from the training data."""

from __future__ import annotations

import json

import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.data.samples.data_errors import FeedError
from jsonnx.pipeline.run.trained_model import TrainedModel
from jsonnx.sections.columns import matching_columns
from support.commands import jsonnx as command

COLUMNS = ("id", "size_a", "size_b", "price", "*odd")
HEADER = "id,size_a,kind,size_b\n"
TRAIN = HEADER + "7,1,dog,10\n8,2,cat,20\n9,3,ox,30\n"


@pytest.mark.parametrize(
    ("patterns", "expected", "unmatched"),
    [
        (["*"], ("id", "size_a", "size_b", "*odd"), ()),
        (["*", "!id", "!*odd"], ("size_a", "size_b"), ()),
        (["size_b", "size_*"], ("size_b", "size_a"), ()),
        (["size_?"], ("size_a", "size_b"), ()),
        (["price"], ("price",), ()),
        (["*odd"], ("*odd",), ()),
        (["*", "!age", "x*"], ("id", "size_a", "size_b", "*odd"), ("!age", "x*")),
        (["size[_]*"], (), ("size[_]*",)),
    ],
)
def test_patterns_match_columns_in_the_order_of_the_file(patterns, expected, unmatched):
    assert matching_columns(patterns, COLUMNS, {"price"}) == (expected, unmatched)


def write_spec(tmp_path, x=("*", "!id"), units=3, columns=2, **section):
    spec = {
        "inputs": {"sizes": {"shape": [columns]}},
        "layers": [{"type": "Dense", "units": units, "activation": "softmax", "name": "kind"}],
        "training": {
            "data": {"train": "train.csv", "x": list(x) if isinstance(x, tuple) else x, **section},
            "loss": "sparse_categorical_crossentropy",
            "optimizer": "sgd",
            "epochs": 1,
        },
    }
    (tmp_path / "train.csv").write_text(TRAIN)
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec))
    return path


def test_a_run_and_its_model_contain_columns_and_labels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_spec(tmp_path, validation="more.csv")
    (tmp_path / "more.csv").write_text("size_b,extra,size_a,kind\n10,0,1,dog\n")
    shown = command("train", "spec.json", "-o", "run").stderr
    assert "'cat', 'dog', 'ox'" in shown
    assert "'size_a', 'size_b'" in shown
    document = json.loads((tmp_path / "run" / "spec.json").read_text())
    assert document["training"]["data"]["x"] == ["size_a", "size_b"]
    assert document["labels"] == {"kind": ["cat", "dog", "ox"]}
    assert json.loads(jsonnx.Session("run").metadata["jsonnx.labels"]) == {"kind": ["cat", "dog", "ox"]}
    (tmp_path / "new.csv").write_text("new,size_b,size_a\n5,10,1\n")
    assert command("predict", "run", "--data", "new.csv").stdout.startswith("kind,kind: cat,kind: dog,kind: ox\n")
    command("evaluate", "run", "--data", "train.csv")
    command("train", "spec.json", "-o", "run", "--resume", "--set", "training.epochs=2")


def test_other_columns_that_the_spec_names_are_not_matched(tmp_path):
    path = write_spec(tmp_path, {"sizes": "*", "number": "id"})
    spec = json.loads(path.read_text())
    spec["inputs"]["number"] = {"shape": [1]}
    spec["layers"].insert(0, {"type": "Concatenate", "from": ["number", "sizes"]})
    path.write_text(json.dumps(spec))
    trainer = jsonnx.Trainer(path)
    trainer.fit(verbose=0)
    assert trainer.plan.training.data.x == {"sizes": ("size_a", "size_b"), "number": "id"}


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ({"units": 4}, "data-shape", "the target of 'kind' has 3 classes, the network 4"),
        ({"x": "*"}, "data-shape", "input 'sizes' has 3 columns, the network wants float32[batch, 2]"),
        ({"x": ("*", "!idd")}, "missing-column", "no column matches 'idd', for input 'sizes'"),
        ({"x": ("*", "!*")}, "missing-column", "the patterns leave no column for input 'sizes'"),
    ],
)
def test_errors_of_patterns_and_classes(tmp_path, options, code, message):
    path = write_spec(tmp_path, **options)
    (error,) = [d for d in jsonnx.validate(path, data=True) if d.severity == "error"]
    assert (error.code, error.message) == (code, message)
    with pytest.raises(CompileError, match=r"sizes|classes"):
        jsonnx.Trainer(path).fit(verbose=0)


def test_the_classes_of_all_training_files_are_learned(tmp_path):
    path = write_spec(tmp_path)
    (tmp_path / "train.csv").write_text(HEADER + "7,1,dog,10\n")
    (tmp_path / "train2.csv").write_text(HEADER + "7,1,cat,10\n7,1,ox,10\n")
    spec = json.loads(path.read_text())
    spec["training"]["data"] |= {"train": "train*.csv", "validation": "train2.csv"}
    path.write_text(json.dumps(spec))
    trainer = jsonnx.Trainer(path)
    trainer.fit(verbose=0)
    assert trainer.plan.labels == {"kind": ("cat", "dog", "ox")}


def test_weights_of_classes_may_name_those_that_the_data_give(tmp_path):
    path = write_spec(tmp_path)
    spec = json.loads(path.read_text())
    spec["training"]["class_weight"] = {"dog": 3.0}
    path.write_text(json.dumps(spec, indent=1))
    assert not [found for found in jsonnx.validate(path, data=True) if found.severity == "error"]
    trainer = jsonnx.Trainer(path)
    trainer.fit(verbose=0)
    assert trainer.class_weights == {"kind": {trainer.plan.labels["kind"].index("dog"): 3.0}}
    spec["training"]["class_weight"] = {"dig": 3.0}
    path.write_text(json.dumps(spec, indent=1))
    assert jsonnx.validate(path) == []
    (error,) = [found for found in jsonnx.validate(path, data=True) if found.severity == "error"]
    assert (error.code, error.help) == ("unknown-name", "the classes are 'cat', 'dog' or 'ox'")
    assert path.read_text().splitlines()[error.line - 1].strip() == '"dig": 3.0'
    with pytest.raises(CompileError, match="there is no class 'dig'"):
        jsonnx.Trainer(path).fit(verbose=0)


def test_a_class_may_look_like_an_expression(tmp_path):
    path = write_spec(tmp_path)
    trainer = jsonnx.Trainer(path)
    trainer.fit(np.ones((3, 2)), np.array(["${a}", "b", "c"]), verbose=0)
    trainer.model().save(tmp_path / "model.onnx")
    trained = TrainedModel.open(tmp_path / "model.onnx")
    assert trained.checked.network.labels == {"kind": ("${a}", "b", "c")}


def test_a_missing_class_has_its_line(tmp_path):
    path = write_spec(tmp_path)
    (tmp_path / "train.csv").write_text(TRAIN + "3,1,,1\n")
    (error,) = [d for d in jsonnx.validate(path, data=True) if d.severity == "error"]
    assert (error.line, error.message) == (5, "row at line 5, column 'kind': the target of 'kind' has no class")


def test_arrays_of_texts_are_learned_by_fit_and_by_nothing_else(tmp_path):
    path = write_spec(tmp_path)
    x, y = np.ones((3, 2)), np.array(["b", "c", "a"])
    with pytest.raises(FeedError, match="holds texts"):
        jsonnx.Trainer(path).step(x, y)
    trainer = jsonnx.Trainer(path)
    trainer.fit(x, y, verbose=0)
    assert trainer.plan.labels == {"kind": ("a", "b", "c")}
    trainer.evaluate(x[:1], y[:1])
    with pytest.raises(FeedError, match="none of the labels"):
        trainer.step(x, np.array(["b", "c", "d"]))
    assert json.loads(trainer.model().session().metadata["jsonnx.labels"]) == {"kind": ["a", "b", "c"]}


def test_a_binary_target_of_two_texts_is_learned(tmp_path):
    spec = {
        "inputs": {"x": {"shape": [1]}},
        "layers": [{"type": "Dense", "units": 1, "activation": "sigmoid", "name": "paid"}],
        "training": {"data": {"train": "t.csv"}, "loss": "binary_crossentropy", "optimizer": "sgd", "epochs": 200},
    }
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec))
    (tmp_path / "t.csv").write_text("x,paid\n" + "-1,late\n1,paid\n" * 20)
    trainer = jsonnx.Trainer(path)
    trainer.fit(verbose=0)
    assert trainer.plan.labels == {"paid": ("late", "paid")}
    assert trainer.predict(np.array([[1.0]]))[0, 0] > 0.5
    spec["training"]["loss"] = "mse"
    path.write_text(json.dumps(spec))
    with pytest.raises(CompileError, match="holds 'late', not a number"):
        jsonnx.Trainer(path).fit(verbose=0)
