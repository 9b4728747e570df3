"""`jsonnx init`: recognised columns and targets, networks for them, specs that train at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonnx as package
import numpy as np
import pytest
from jsonnx.data.describe.raw_columns import recognised
from jsonnx.pipeline.first_spec.init_spec import default_spec_name
from jsonnx.pipeline.first_spec.recognise_columns import recognise
from jsonnx.pipeline.first_spec.recognise_target import recognise_target
from support.commands import jsonnx

DATA = Path(__file__).parents[3] / "samples" / "data"
RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_csv(file: str, separator: str = ",", **columns: Any) -> None:
    rows = zip(*columns.values(), strict=True)
    lines = [separator.join(columns), *(separator.join(map(str, row)) for row in rows)]
    Path(file).write_text("\n".join(lines) + "\n")


def initial(file: str, *options: str) -> dict[str, Any]:
    """The spec for a file, which must be valid together with its data."""
    jsonnx("init", file, "-o", "made.json", "--force", *options)
    assert jsonnx("validate", "made.json", "--data").exit_code == 0
    spec: dict[str, Any] = json.loads(Path("made.json").read_text())
    return spec


def types(spec: dict[str, Any]) -> list[str]:
    return [layer["type"] for layer in spec["layers"]]


@pytest.mark.parametrize(
    ("data", "test", "target", "metric", "least"),
    [
        ("penguins_train.csv", "penguins_test.csv", "species", "accuracy", 0.96),
        ("diabetes_train.csv", "diabetes_test.csv", "progression", "r2_score", 0.3),
    ],
)
def test_a_first_spec_trains_at_once(data: str, test: str, target: str, metric: str, least: float) -> None:
    """Linear models of scikit-learn reach about 0.99 and 0.4."""
    shutil.copy(DATA / data, ".")
    result = jsonnx("init", data, "--target", target)
    spec = default_spec_name(data)
    assert f"jsonnx train {spec} -o runs/{Path(spec).stem}" in result.stderr
    jsonnx("train", spec, "-o", "run", "--quiet", "--set", "training.epochs=15")
    metrics = json.loads(jsonnx("evaluate", "run", "--data", str(DATA / test), "--format", "json").stdout)
    assert metrics[metric] >= least


def test_columns_become_inputs_by_what_they_are() -> None:
    count = 240
    words = ["good", "bad", "film", "plot", "the", "of", "very"]
    write_csv(
        "table.csv",
        id=range(count),
        size=RANDOM.normal(size=count).round(3),
        **{"price in $": RANDOM.integers(0, 1000, count)},
        rooms=RANDOM.integers(1, 6, count),
        city=RANDOM.choice(["Bonn", "Kiel", ""], count),
        street=[f"street {index % 110}" for index in range(count)],
        note=[" ".join(RANDOM.choice(words, 6)) for _ in range(count)],
        gap=["" if index == 7 else index**2 for index in range(count)],
        day=[f"2026-01-{index % 28 + 1:02}" for index in range(count)],
        moment=[f"2026-01-{index % 28 + 1:02}T{index % 24:02}:30" for index in range(count)],
        american_day=[f"01/{index % 28 + 1:02}/2026" for index in range(count)],
        delivered=[
            ("-", "NA", "", f"{index % 28 + 1}.2.2026", f"2026-03-{index % 28 + 1:02}")[index % 5]
            for index in range(count)
        ],
        strange_day=[f"2026-{index % 28 + 1:02}-1{index % 3}" for index in range(count)],
        constant=[1] * count,
        sold=RANDOM.choice(["yes", "no"], count),
    )
    result = jsonnx("init", "table.csv", "--target", "sold")
    for reason in (
        "'id': it numbers the rows",
        "'strange_day': 48 of its dates, such as '2026-13-10', are not written as %Y-%m-%d",
        "'constant': all rows have the same value",
    ):
        assert f"not used: {reason}" in result.stderr
    spec = initial("table.csv", "--target", "sold")
    assert spec["training"]["data"]["x"]["numbers"] == ["size", "price in $"]
    assert spec["inputs"]["rooms"]["dtype"] == "int64"
    layers = {layer["from"]: layer for layer in spec["layers"] if isinstance(layer.get("from"), str)}
    assert (layers["numbers"]["type"], "indicator" in layers["numbers"]) == ("Imputation", False)
    imputation = layers["gap"]
    assert (imputation["type"], imputation["strategy"], imputation["indicator"]) == ("Imputation", "median", True)
    assert layers["day"]["features"] == ["year", "month", "day", "weekday"]
    assert layers["american_day"]["formats"] == ["%m/%d/%Y"]
    assert layers["delivered"]["formats"] == ["%Y-%m-%d", "%d.%m.%Y"]
    assert layers["delivered_numbers"]["type"] == "Imputation"
    assert layers["moment"]["features"] == ["year", "month", "day", "weekday", "hour", "minute"]
    lookups = {layer["from"]: layer for layer in spec["layers"] if "Lookup" in layer["type"]}
    assert lookups["rooms"]["vocabulary"] == [1, 2, 3, 4, 5]
    assert (lookups["city"]["max_tokens"], lookups["city"]["output_mode"]) == (4, "one_hot")
    assert "output_mode" not in lookups["street"]
    assert {"TextVectorization", "Embedding", "GlobalAveragePooling1D"} <= {*types(spec)}
    assert spec["layers"][-1] | {"description": ""} == {
        "type": "Dense", "name": "sold", "units": 1, "activation": "sigmoid", "description": ""
    }  # fmt: skip
    assert spec["labels"] == ["no", "yes"]
    assert spec["training"]["loss"] == "binary_crossentropy"
    assert all("description" in entry for entry in spec["inputs"].values())
    package.Trainer("made.json").fit(epochs=1)


def test_texts_of_booleans_are_numbers_as_in_other_formats() -> None:
    members = ["True", "False", "False"] * 20
    columns = {"member": members, "gap": ["true", "", "FALSE", "false"] * 15, "answer": ["yes", "no"] * 30}
    write_csv("table.csv", **columns, y=[number * 37 % 60 / 8 for number in range(60)])
    spec = initial("table.csv", "--target", "y")
    dtypes = {name: entry.get("dtype", "float32") for name, entry in spec["inputs"].items()}
    assert dtypes == {"member": "float32", "gap": "float32", "answer": "string"}
    jsonnx("train", "made.json", "-o", "run", "--set", "training.epochs=1")
    rows = [{"member": text == "True", "gap": None, "answer": "no", "y": 0.5} for text in members]
    Path("table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "r2_score" in jsonnx("evaluate", "run", "--data", "table.jsonl").stdout


def test_a_day_that_may_be_a_month_is_told() -> None:
    days = [f"0{index % 9 + 1}/0{index % 7 + 1}/2026" for index in range(40)]
    write_csv("table.csv", day=days, y=RANDOM.normal(size=40))
    note = "'day': dates such as '01/01/2026' are read as %d/%m/%Y; if the month is first, write %m/%d/%Y"
    assert note in jsonnx("init", "table.csv", "--target", "y").stderr


def test_texts_that_parquet_lacks_are_replaced() -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    cities = [("Bonn", "Kiel", None)[index % 3] for index in range(60)]
    notes = [f"word{index % 5} and three more words" if index % 4 else None for index in range(60)]
    table = pa.table({"city": cities, "note": notes, "y": RANDOM.normal(size=60)})
    parquet.write_table(table, "table.parquet")
    spec = initial("table.parquet", "--target", "y")
    filled = {layer["from"] for layer in spec["layers"] if layer["type"] == "Imputation"}
    assert filled == {"city", "note"}
    package.Trainer("made.json").fit(epochs=1)


@pytest.mark.parametrize(
    ("targets", "outputs", "loss"),
    [
        (["a", "b"], [("labels", 2, "sigmoid")], "binary_crossentropy"),
        (["a", "c"], [("a", 1, "sigmoid"), ("c", 3, "softmax")], None),
        (["c", "price", "n"], [("c", 3, "softmax"), ("price", 1, None), ("n", 1, None)], None),
    ],
)
def test_each_target_is_predicted_and_none_is_an_input(
    targets: list[str], outputs: list[tuple[str, int, str | None]], loss: str | None
) -> None:
    columns = {name: RANDOM.integers(0, 2, 60) for name in "ab"}
    columns |= {name: RANDOM.normal(size=60) for name in ("n", "price", "size")}
    write_csv("table.csv", **columns, c=RANDOM.choice(["x", "y", "z"], 60))
    spec = initial("table.csv", *(option for name in targets for option in ("--target", name)))
    layers = {layer["name"]: layer for layer in spec["layers"]}
    assert [(name, layers[name]["units"], layers[name].get("activation")) for name, *_ in outputs] == outputs
    assert loss in (None, spec["training"]["loss"])
    assert not {*targets} & {*spec["inputs"], *spec["training"]["data"]["x"]["numbers"]}
    jsonnx("train", "made.json", "-o", "run", "--quiet", "--set", "training.epochs=1")
    header = jsonnx("predict", "run", "--data", "table.csv").stdout.splitlines()[0].split(",")
    assert [name for name in header if ": " not in name] == [name for name, *_ in outputs]


LISTS = [["money"], ["money", "sport"], [], ["art"], ["sport", "art"], ["sport"]] * 10


@pytest.mark.parametrize("form", ["python", ";", "|", "jsonl", "parquet"])
def test_a_column_of_several_labels_is_one_target(form: str) -> None:
    numbers = RANDOM.normal(size=60).tolist()
    if form == "jsonl":
        rows = [json.dumps({"n": number, "tags": tags}) for number, tags in zip(numbers, LISTS, strict=True)]
        Path("table.jsonl").write_text("\n".join(rows) + "\n")
    elif form == "parquet":
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pa.table({"n": numbers, "tags": [tags or None for tags in LISTS]}), "table.parquet")
    else:
        tags = [f'"{labels}"' if form == "python" else form.join(labels) for labels in LISTS]
        write_csv("table.csv", n=numbers, tags=tags)
    (file,) = Path().glob("table.*")
    spec = initial(str(file), "--target", "tags")
    assert spec["labels"] == ["art", "money", "sport"]
    assert spec["layers"][-1] | {"units": 3, "activation": "sigmoid"} == spec["layers"][-1]
    training = spec["training"]
    assert training["data"].get("label_separator") == (form if form in ";|" else None)
    assert [metric.get("name", metric["type"]) for metric in training["metrics"]][-1] == "f1_by_label"
    jsonnx("train", "made.json", "-o", "run", "--quiet", "--set", "training.epochs=1")
    jsonnx("predict", "run", "--data", str(file), "-o", f"p{file.suffix}", "--id", "n")
    jsonnx("evaluate", "run", "--data", f"p{file.suffix}")


def test_many_rows_with_labels_get_a_threshold_for_each() -> None:
    columns = {"n": RANDOM.normal(size=600), "tags": [";".join(labels) for labels in LISTS * 10]}
    write_csv("table.csv", **columns)
    assert initial("table.csv", "--target", "tags")["training"]["threshold"] == {"maximize": "f1", "by_label": True}
    write_csv("table.csv", **columns | {"tags": [text or "none" for text in columns["tags"]]})
    spec = initial("table.csv", "--target", "tags", "--task", "classification")
    assert spec["layers"][-1]["activation"] == "softmax"


def test_lists_that_are_no_labels_are_no_target() -> None:
    lists = [[0.5], [0.25, 1.5], []] * 20
    rows = [json.dumps({"n": n, "tags": tags}) for n, tags in zip(range(60), lists, strict=True)]
    Path("table.jsonl").write_text("\n".join(rows) + "\n")
    assert "has lists that are neither" in jsonnx("init", "table.jsonl", "--target", "tags", status=2).stderr


@pytest.mark.parametrize("separator", [", ", ";", "|"])
def test_names_with_separators_are_classes(separator: str) -> None:
    write_csv(
        "table.csv", n=RANDOM.normal(size=60), y=[f'"{name}{separator}Inc"' for name in ("Foo", "Bar", "Baz")] * 20
    )
    assert initial("table.csv", "--target", "y")["labels"] == [
        f"{name}{separator}Inc" for name in ("Bar", "Baz", "Foo")
    ]


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"x": RANDOM.integers(0, 256, (40, 12, 12)).astype(np.uint8)}, {"Rescaling", "Conv2D", "MaxPooling2D"}),
        ({"x": RANDOM.random((40, 16, 20, 3))}, {"Conv2D", "MaxPooling2D"}),
        ({"x": RANDOM.random((40, 30, 3))}, {"Bidirectional"}),
        ({"x": RANDOM.random((40, 5)), "extra": RANDOM.random(40)}, {"Normalization", "Concatenate"}),
    ],
)
def test_arrays_become_images_sequences_and_vectors(arrays: dict[str, np.ndarray], expected: set[str]) -> None:
    np.savez("data.npz", y=np.arange(40) % 4, **arrays)
    spec = initial("data.npz", "--target", "y")
    assert expected <= {*types(spec)}
    assert spec["layers"][-1]["units"] == 4
    package.Trainer("made.json").fit(epochs=1)


def test_a_folder_of_images_gets_a_small_convolutional_network() -> None:
    image = pytest.importorskip("PIL.Image")
    for index in range(24):
        folder = Path("photos", ("cat", "dog")[index % 2])
        folder.mkdir(parents=True, exist_ok=True)
        pixels = RANDOM.integers(0, 256, (20, 30 + index % 3, 3)).astype(np.uint8)
        image.fromarray(pixels).save(folder / f"{index}.png")
    spec = initial("photos")
    assert spec["inputs"]["image"]["shape"] == [20, 31, 3]
    assert spec["training"]["data"]["images"] == {"resize": "bilinear", "pad_to_aspect_ratio": True}
    assert spec["labels"] == ["cat", "dog"]
    assert default_spec_name("photos/") == "photos.json"
    package.Trainer("made.json").fit(epochs=1)


def test_a_folder_of_texts_is_vectorized() -> None:
    for index in range(20):
        folder = Path("texts", ("good", "bad")[index % 2])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{index}.txt").write_text(f"this is review number {index}, it is {folder.name}")
    spec = initial("texts")
    assert "TextVectorization" in types(spec)
    assert spec["labels"] == ["bad", "good"]


def test_separators_and_decimal_commas_are_found() -> None:
    write_csv(
        "table.csv", ";", a=[f"{index},5" for index in range(30)], y=[f"{index * index},25" for index in range(30)]
    )
    spec = initial("table.csv", "--target", "y")
    data = spec["training"]["data"]
    assert (data["separator"], data["decimal"]) == (";", ",")
    assert not data.keys() & {"validation_split", "split"}  # few rows: all are for training
    assert "early_stopping" not in spec["training"]
    assert spec["training"]["target"] == {"normalize": True}
    assert spec["layers"][-1]["kernel_regularizer"] == {"type": "L2", "l2": round(5 / 30, 2)}


def test_more_rows_are_validated_and_those_that_are_sorted_are_split() -> None:
    write_csv("sorted.csv", a=range(600), b=RANDOM.normal(size=600), y=[float(index) ** 2 for index in range(600)])
    training = initial("sorted.csv", "--target", "y")["training"]
    assert "validation_split" not in training["data"]
    assert training["data"]["split"]["validation"] > 0
    assert training["early_stopping"]["monitor"] == "val_loss"
    write_csv("random.csv", a=RANDOM.normal(size=600), y=RANDOM.normal(size=600))
    spec = initial("random.csv", "--target", "y")
    assert spec["training"]["data"]["validation_split"] > 0
    assert "reduce_on_plateau" in spec["training"]
    assert spec["layers"][-1]["kernel_regularizer"] == {"type": "L2", "l2": round(5 / 600, 4)}


def test_numbers_of_more_rows_also_become_cosines() -> None:
    gaps = ["" if index % 9 == 0 else index % 50 for index in range(1600)]
    columns = {"a": RANDOM.normal(size=1600), "gap": gaps, "city": RANDOM.choice(["Bonn", "Kiel"], 1600)}
    write_csv("table.csv", **columns, y=RANDOM.normal(size=1600))
    spec = initial("table.csv", "--target", "y")
    layers = {layer["name"]: layer for layer in spec["layers"]}
    assert layers["scaled_numbers"]["from"] == ["a_scaled", "gap_scaled"]
    assert layers["frequencies"]["from"] == "scaled_numbers"
    assert layers["hidden_1"]["from"] == "features_and_cosines"
    assert layers["wide_and_deep"]["from"][0] == "features"  # the linear path reads no cosines
    assert layers["hidden_2"]["units"] > 32
    package.Trainer("made.json").fit(epochs=1)
    np.savez("pixels.npz", x=RANDOM.random((1600, 101)), y=RANDOM.normal(size=1600))
    assert "EinsumDense" not in types(initial("pixels.npz", "--target", "y"))
    write_csv("texts.csv", city=columns["city"], y=RANDOM.normal(size=1600))
    assert "EinsumDense" not in types(initial("texts.csv", "--target", "y"))


def test_a_rare_class_gets_a_threshold_and_a_smaller_network() -> None:
    for share, is_rare in ((0.03, True), (0.4, False)):
        y = ["yes" if index < 6_000 * share else "no" for index in range(6_000)]
        write_csv("table.csv", a=RANDOM.normal(size=6_000), y=RANDOM.permutation(y))
        spec = initial("table.csv", "--target", "y")
        assert ("threshold" in spec["training"]) == is_rare
        assert (spec["training"]["data"].get("split", {}).get("stratify") == "y") == is_rare
        assert ({"type": "auc", "num_thresholds": None} in spec["training"]["metrics"]) == is_rare
        assert ("hidden_2" in {layer["name"] for layer in spec["layers"]}) != is_rare
    y = ["yes" if index < 60 else "no" for index in range(3_000)]
    write_csv("table.csv", a=RANDOM.normal(size=3_000), y=RANDOM.permutation(y))
    training = initial("table.csv", "--target", "y")["training"]
    assert not training.keys() & {"threshold", "early_stopping"}  # too few for validation
    jsonnx("train", "made.json", "-o", "run", "--quiet", "--set", "training.epochs=1")


def test_counts_of_which_some_are_rare_are_numbers() -> None:
    counts = np.repeat([0, 1, 2, 3], [300, 200, 80, 3])
    assert recognise("calls", counts, True).kind == "number"
    assert recognise("calls", counts[counts < 3], True).kind == "code"


def test_data_in_another_folder_are_named_with_the_option_that_allows_them() -> None:
    Path("data").mkdir()
    Path("specs").mkdir()
    write_csv("data/table.csv", a=RANDOM.normal(size=30), y=RANDOM.normal(size=30))
    result = jsonnx("init", "data/table.csv", "--target", "y", "-o", "specs/made.json")
    assert f"--data-root {Path('data').resolve()}" in result.stderr
    jsonnx("validate", "specs/made.json", "--data", "--data-root", "data")


def test_a_spec_is_overwritten_only_by_force() -> None:
    write_csv("table.csv", a=RANDOM.normal(size=30), y=RANDOM.normal(size=30))
    jsonnx("init", "table.csv", "--target", "y")
    before = Path("table.json").read_bytes()
    Path("table.json").write_text("{}")
    assert "error[file-exists]: 'table.json' exists" in jsonnx("init", "table.csv", "--target", "y", status=2).stderr
    jsonnx("init", "table.csv", "--target", "y", "--force")
    assert Path("table.json").read_bytes() == before
    assert jsonnx("init", "table.csv", "--target", "y", "-o", "-").stdout.encode() == before + b"\n" * (
        not before.endswith(b"\n")
    )
    assert "is-an-input" in jsonnx("init", "table.csv", "--target", "y", "-o", "table.csv", status=2).stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "the target is missing"),
        (("--target", "yy"), "there is no column 'yy' to predict"),
        (("--target", "same"), "has the same value in all rows"),
        (("--target", "gap"), "has no value in 1 of 30 rows"),
        (("--target", "a", "--task", "classification"), "has fractional numbers"),
        (("--target", "code", "--task", "classification"), "has real numbers as names of classes"),
        (("--target", "name", "--task", "regression"), "has texts, which are no numbers"),
    ],
)
def test_targets_that_cannot_be_predicted_are_errors(options: tuple[str, ...], message: str) -> None:
    gap = ["", *range(29)]
    write_csv("table.csv", a=RANDOM.normal(size=30), same=[1] * 30, gap=gap, name=["x", "y"] * 15, code=[1.0, 2.0] * 15)
    assert message in jsonnx("init", "table.csv", *options, status=2).stderr


def test_gaps_of_a_series_are_not_to_be_removed() -> None:
    days = [f"{1 + day}.3.2026" for day in range(20)]
    write_csv("shops.csv", shop=["a"] * 20 + ["b"] * 20, day=days * 2, sales=["", *range(39)])
    write_csv("one.csv", day=days, sales=["", *range(19)])
    write_csv("rows.csv", shop=["a", "b"] * 10, day=days[::-1], sales=["", *range(19)])
    error = jsonnx("init", "shops.csv", "--target", "sales", status=2).stderr
    assert '"windows": {"length": 28, "horizon": 7, "by": "shop", "time": "day"}' in error
    assert "remove" not in error
    assert '"horizon": 7, "time": "day"}' in jsonnx("init", "one.csv", "--target", "sales", status=2).stderr
    assert "remove these rows" in jsonnx("init", "rows.csv", "--target", "sales", status=2).stderr


def test_rows_without_labels_between_spaces_are_not_to_be_removed() -> None:
    write_csv("tags.csv", a=range(20), tags=["", "sport", "sport money", "money", "tech sport"] * 4)
    error = jsonnx("init", "tags.csv", "--target", "tags", status=2).stderr
    assert '"label_separator": " "' in error
    assert "remove" not in error


def test_data_without_anything_to_learn_from_are_errors() -> None:
    write_csv("table.csv", id=range(30), y=RANDOM.normal(size=30))
    assert "no column can predict 'y'" in jsonnx("init", "table.csv", "--target", "y", status=2).stderr
    write_csv("short.csv", a=range(3), y=range(3))
    assert "the data have 3 rows" in jsonnx("init", "short.csv", "--target", "y", status=2).stderr
    assert "missing.csv" in jsonnx("init", "missing.csv", "--target", "y", status=2).stderr
    Path("bad.csv").write_text("a,b\n1\n")
    assert "ragged-row" in jsonnx("init", "bad.csv", "--target", "b", status=1).stderr


@pytest.mark.parametrize(
    ("values", "task", "labels", "class_count"),
    [
        (["b", "a", "b"] * 10, "classification", ("a", "b"), 2),
        (["b", " a", "a "] * 10, "classification", ("a", "b"), 2),
        ([0, 1, 2] * 10, "classification", (), 3),
        ([1, 2] * 15, "classification", ("1", "2"), 2),
        ([True, False] * 15, "classification", (), 2),
        (list(range(30)), "regression", (), 0),
        ([0.5, 1.5] * 15, "regression", (), 0),
        ([0.0, 1.0] * 15, "classification", (), 2),
        ([1.0, 2.0] * 15, "regression", (), 0),
    ],
)
def test_the_task_follows_from_the_target(
    values: list[Any], task: str, labels: tuple[str, ...], class_count: int
) -> None:
    target = recognise_target("y", recognised(values), None, 0.2, True, {})
    assert (target.task, target.labels, target.class_count) == (task, labels, class_count)


def test_sorted_targets_are_noticed_and_random_ones_are_not() -> None:
    classes = np.sort(RANDOM.integers(0, 3, 150))
    numbers = np.sort(RANDOM.normal(size=150))
    for column in (classes, numbers):
        assert recognise_target("y", column, None, 0.2, True, {}).is_ordered
        for seed in range(20):
            shuffled = np.random.default_rng(seed).permutation(column)
            assert not recognise_target("y", shuffled, None, 0.2, True, {}).is_ordered


def test_integers_of_many_values_and_real_numbers_are_numbers() -> None:
    assert recognise("n", RANDOM.integers(0, 50, 200), True).kind == "number"
    assert recognise("n", RANDOM.integers(0, 5, 200), True).kind == "code"
    assert recognise("n", RANDOM.integers(0, 5, 20), True).kind == "number"
    assert recognise("customer_id", RANDOM.permutation(10_000)[:200] * 7, True).kind == "unused"
    assert recognise("income", RANDOM.permutation(10_000)[:200] * 7, True).kind == "number"
