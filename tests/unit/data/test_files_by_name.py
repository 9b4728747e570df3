"""Inputs, targets and columns in files of their own: `"train": {"x": "x.npy", "y": "y.npy"}`."""

from __future__ import annotations

import json
from pathlib import Path

import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError, UsageError
from jsonnx.core.files.user_files import parse_user_files
from jsonnx.frontend.names.name_references import name_references
from support.commands import jsonnx as command

COUNT = 60


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(COUNT, 3)).astype("float32")
    y = (x.sum(1) > 0).astype("int64")
    np.save("x.npy", x)
    np.save("y.npy", y)
    np.savez("both.npz", x=x, y=y)
    np.savez("one.npz", anything=x)
    for number, (rows, classes) in enumerate([(slice(0, 40), slice(0, 25)), (slice(40, None), slice(25, None))]):
        np.save(f"x{number}.npy", x[rows])
        np.save(f"y{number}.npy", y[classes])
    lines = [",".join(map(repr, row)) for row in x.astype(float).tolist()]
    Path("x.csv").write_text("a,b,c\n" + "\n".join(lines))
    Path("y.csv").write_text("class\n" + "\n".join(map(str, y)))
    Path("y.json").write_text(json.dumps({"class": y.tolist()}))
    return folder


def document(train: object, **data: object) -> dict:
    return {
        "inputs": {"features": {"shape": [3]}},
        "layers": [{"type": "Dense", "name": "kind", "units": 2, "activation": "softmax"}],
        "training": {
            "data": {"train": train} | data,
            "loss": "sparse_categorical_crossentropy",
            "optimizer": "adam",
            "epochs": 2,
            "seed": 0,
        },
    }


def spec(train: object, **data: object) -> str:
    Path("spec.json").write_text(json.dumps(document(train, **data)))
    return "spec.json"


def trained(train: object, **data: object) -> list[np.ndarray]:
    trainer = jsonnx.Trainer(spec(train, **data))
    trainer.fit(verbose=0)
    return [*trainer.weights().values()]


def errors(train: object, **data: object) -> list[tuple[str, str, str | None]]:
    found = jsonnx.validate(spec(train, **data), data=True)
    return [(item.code, item.message, item.file) for item in found if item.severity == "error"]


@pytest.mark.parametrize("memory", ["load", "stream"])
@pytest.mark.parametrize(
    "train",
    [
        {"x": "x.npy", "y": "y.npy"},
        {"features": "x.npy", "kind": "y.npy"},
        {"x": ["x0.npy", "x1.npy"], "y": "y?.npy"},
        {"x": "one.npz", "y": "y.json"},
        {"x": "x0.npy", "y": "y0.npy"},
    ],
)
def test_files_of_their_own_train_as_one_file_does(train: dict[str, object], memory: str) -> None:
    if train["x" if "x" in train else "features"] == "x0.npy":
        np.save("y0.npy", np.load("y.npy")[:40])
        np.savez("both.npz", x=np.load("x0.npy"), y=np.load("y0.npy"))
    expected = trained("both.npz", x="x", y="y", memory=memory)
    for weight, other in zip(trained(train, memory=memory), expected, strict=True):
        np.testing.assert_array_equal(weight, other)


@pytest.mark.parametrize(
    "convert", [np.asfortranarray, lambda x: x.astype(">f4"), lambda x: x.astype("float64")], ids=["F", "big", "f8"]
)
def test_layouts_and_byte_orders(convert: object) -> None:
    expected = trained("both.npz", x="x", y="y")
    np.save("x.npy", convert(np.load("x.npy")))  # type: ignore[operator]
    for memory in ("load", "stream"):
        for weight, other in zip(trained({"x": "x.npy", "y": "y.npy"}, memory=memory), expected, strict=True):
            np.testing.assert_array_equal(weight, other)


def test_a_table_gives_its_columns() -> None:
    data = {"x": "x.csv", "y": "y.csv"}
    for weight, other in zip(trained(data), trained("both.npz", x="x", y="y"), strict=True):
        np.testing.assert_array_equal(weight, other)
    assert "the columns of the input 'features': 'a', 'b', 'c'" in command("validate", spec(data), "--data").stderr
    command("train", spec(data), "-o", "run", "--quiet")
    assert json.loads(Path("run/spec.json").read_text())["training"]["data"]["x"] == {"features": ["a", "b", "c"]}
    assert "loss" in command("evaluate", "run", "--data", "x=x.csv", "--data", "y=y.csv").stdout


def test_columns_and_patterns_choose_among_those_of_a_table() -> None:
    np.savez("both.npz", x=np.load("x.npy")[:, [2, 0, 1]], y=np.load("y.npy"))
    expected = trained("both.npz", x="x", y="y")
    for columns in (["c", "a", "b"], ["c", "*"]):
        for weight, other in zip(trained({"x": "x.csv", "y": "y.csv"}, x=columns), expected, strict=True):
            np.testing.assert_array_equal(weight, other)
    assert errors({"x": "x.csv", "y": "y.csv"}, x=["a", "b", "d"])[0][::2] == ("missing-column", "x.csv")


def test_files_of_columns_are_stacked_and_divide_the_rows() -> None:
    x = np.load("x.npy")
    for number, name in enumerate("abc"):
        np.save(f"{name}.npy", x[:, number])
    np.save("w.npy", np.linspace(0, 1, COUNT))
    np.save("g.npy", np.arange(COUNT) // 3)
    np.savez("both.npz", x=x, y=np.load("y.npy"), w=np.load("w.npy"), g=np.load("g.npy"))
    others = {"sample_weight": "w", "split": {"validation": 0.3, "group": "g"}}
    expected = trained("both.npz", x="x", y="y", **others)
    files = {"a": "a.npy", "b": "b.npy", "c": "c.npy", "y": "y.npy", "w": "w.npy", "g": "g.npy"}
    for weight, other in zip(trained(files, x=["a", "b", "c"], **others), expected, strict=True):
        np.testing.assert_array_equal(weight, other)


@pytest.mark.parametrize(
    ("train", "code", "text", "file"),
    [
        ({"x": "x.npy", "y": "y0.npy"}, "data-shape", "'x.npy' has 60, 'y0.npy' has 25", "x.npy, y0.npy"),
        ({"x": ["x0.npy", "x1.npy"], "y": "y0.npy"}, "data-shape", "'x0.npy, x1.npy' has 60", None),
        ({"x": "x.npy"}, "missing-column", "neither a file nor a column 'kind'", "x.npy"),
        ({"x": "both.npz", "y": "y.npy"}, "missing-column", "no column 'features'", "both.npz"),
        ({"x": ["x0.npy", "y1.npy"], "y": "y.npy"}, "data-shape", "have shape [], in 'x0.npy' [3]", "y1.npy"),
        ({"x": "object.npy", "y": "y.npy"}, "bad-data-file", "type object", "object.npy"),
        ({"x": "short.npy", "y": "y.npy"}, "bad-data-file", "bytes of data, its header says", "short.npy"),
        ({"x": "scalar.npy", "y": "y.npy"}, "data-shape", "has shape []", "scalar.npy"),
        ({"x": "none.npy", "y": "none.npy"}, "empty-data", "there are no samples", "none.npy, none.npy"),
        ({"x": "bad.csv", "y": "y.csv"}, "bad-value", "'b' holds 'no'", "bad.csv"),
        ({"x": "x.npy", "y": ["y0.npy", "far.npy"]}, "data-shape", "60, 'y0.npy, far.npy' has 26", None),
        ({"x": "x.npy", "y": "folder"}, "unreadable-file", "is a folder", "spec.json"),
    ],
)
def test_errors_name_the_file(train: object, code: str, text: str, file: str | None) -> None:
    np.save("object.npy", np.array([{}, 1], object), allow_pickle=True)
    Path("short.npy").write_bytes(Path("x.npy").read_bytes()[:300])
    np.save("scalar.npy", np.float32(1))
    np.save("none.npy", np.zeros((0, 3), "float32"))
    np.save("far.npy", np.array([0]))
    Path("folder").mkdir()
    Path("folder/a.txt").write_text("a")
    Path("bad.csv").write_text(Path("x.csv").read_text().replace("\n", "\n1,no,2\n", 1).rsplit("\n", 1)[0])
    found = errors(train)
    assert any(item[0] == code and text in item[1] and file in (None, item[2]) for item in found), found


def test_an_error_in_a_further_file_has_its_place_there() -> None:
    np.save("y1.npy", np.full(35, 7))
    (error,) = errors({"x": "x.npy", "y": ["y0.npy", "y1.npy"]})
    assert error[2] == "y1.npy"
    assert error[1].startswith("sample 0:")


@pytest.mark.parametrize("names", [{"x": "x.npy", "kind_": "y.npy"}, {"x": "x.npy", "kind": "y.npy", "z": "y.npy"}])
def test_a_name_that_nothing_takes_is_an_error(names: dict[str, str]) -> None:
    bad = [*names][-1]
    (error,) = [item for item in jsonnx.validate(spec(names)) if item.severity == "error"]
    assert (error.code, error.path) == ("unknown-name", f"$.training.data.train.{bad}")
    with pytest.raises(CompileError, match="no input, target or column is called"):
        jsonnx.Trainer("spec.json").fit()


def test_paths_out_of_the_folder_are_refused() -> None:
    spec({"x": "../x.npy", "y": ["y.npy", "/etc/passwd"]})
    found = [(item.code, item.path) for item in jsonnx.validate("spec.json")]
    assert found == [
        ("unsafe-path", "$.training.data.train.x"),
        ("unsafe-path", "$.training.data.train.y[1]"),
    ]


def test_files_by_name_on_the_command_line() -> None:
    spec("absent.npz")
    x, y = ("--data", "x=x?.npy"), ("--data", "y=y.npy")
    train = ("train", "spec.json", "-o", "run", "--quiet", *x, *y)
    validation = ("--validation-data", "x=x.npy", "--validation-data", "kind=y.npy")
    command(*train, *validation)
    recorded = json.loads(Path("run/execution.json").read_text())["data_files"]
    assert recorded == {
        "train": {"x": "../x?.npy", "y": "../y.npy"},
        "validation": {"x": "../x.npy", "kind": "../y.npy"},
    }
    command(*train, *validation, "--resume", "--set", "training.epochs=3")
    on_spec = command("evaluate", "run").stdout
    assert "loss" in on_spec
    assert command("evaluate", "run", *x, *y).stdout == on_spec
    result = command("validate", "spec.json", "--data", "x=x.npy", "--data=y=y0.npy", status=1)
    assert "'x.npy' has 60, 'y0.npy' has 25" in result.stderr
    assert "input features" in command("data", "spec.json", *x, *y).stdout
    predicted = command("predict", "run", "--data", "features=x.npy").stdout
    assert predicted == command("predict", "run", "--data", "x.npy").stdout
    kept = command("predict", "run", "--data", "x=x.npy", "--data", "row=y.npy", "--id", "row").stdout
    assert kept.splitlines()[0] == "row,kind_0,kind_1"
    result = command("train", "spec.json", "--data", "x.npy", "--data", "y=y.npy", status=2)
    assert "--data is given 2 times" in result.stderr
    result = command("train", "spec.json", *x, "--data", "target=y.npy", "-o", "other", status=2)
    assert "no input, target or column is called 'target'" in result.stderr


def test_a_file_may_have_an_equals_sign_in_its_name() -> None:
    Path("a=b.csv").write_text("a\n1\n")
    assert parse_user_files(["a=b.csv"], "--data") == "a=b.csv"
    assert parse_user_files(["./a=c.csv"], "--data") == "./a=c.csv"
    assert parse_user_files(["x=a=b.csv"], "--data") == {"x": "a=b.csv"}
    Path("year=2020").mkdir()
    Path("year=2020/t.csv").write_text("a\n1\n")
    for pattern in ("year=*/t.csv", "year=2020/*.csv", "year=*/*"):
        assert parse_user_files([pattern], "--data") == pattern
    assert parse_user_files(["year=*/u.csv"], "--data") == {"year": "*/u.csv"}
    assert parse_user_files([], "--data") is None
    with pytest.raises(UsageError, match="two files of 'x'"):
        parse_user_files(["x=a", "x=b"], "--data")


def test_names_of_files_are_references_for_editors() -> None:
    found = name_references(document({"features": "x.npy", "kind": "y.npy"}))
    kinds = {item.text: item.kind for item in found if item.path[:3] == ("training", "data", "train")}
    assert kinds == {"features": "input", "kind": "output"}


def test_split_files_are_written_by_name() -> None:
    spec({"x": "x.npy", "y": "y.csv"}, split={"validation": 0.3})
    result = command("data", "spec.json", "--write-splits", "parts")
    assert "wrote parts/train-x.npy, parts/train-y.csv" in result.stdout
    files = {part: {name: f"parts/{part}-{name}" for name in "xy"} for part in ("train", "validation")}
    own = {part: {"x": f"{names['x']}.npy", "y": f"{names['y']}.csv"} for part, names in files.items()}
    expected = trained({"x": "x.npy", "y": "y.csv"}, split={"validation": 0.3})
    for weight, other in zip(trained(own["train"], validation=own["validation"]), expected, strict=True):
        np.testing.assert_array_equal(weight, other)
    spec({"x": ["x0.npy", "x1.npy"], "y": "y.csv"}, split={"validation": 0.3})
    assert "'x' has several files" in command("data", "spec.json", "--write-splits", "other", status=2).stderr


def test_names_of_columns_become_names_of_split_files() -> None:
    np.save("k.npy", np.arange(COUNT) // 2)
    np.save("w.npy", np.ones(COUNT))
    data = {"split": {"validation": 0.3, "group": "k/m?"}, "sample_weight": "k_m_"}
    spec({"x": "x.npy", "y": "y.csv", "k/m?": "k.npy", "k_m_": "w.npy"}, **data)
    command("data", "spec.json", "--write-splits", "parts")
    names = ["train-k_m_.npy", "train-k_m__.npy", "train-x.npy", "train-y.csv"]
    assert sorted(path.name for path in Path("parts").glob("train-*")) == names
    assert len(np.load("parts/train-k_m_.npy")) == len(np.load("parts/train-x.npy"))
