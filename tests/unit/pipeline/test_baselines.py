"""Networks beside baselines that need no scikit-learn: `evaluate --baseline`, `report --baseline`."""

from __future__ import annotations

import csv
import json
from datetime import datetime, timedelta
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx.core.diagnostics import UsageError
from jsonnx.core.time_step import TimeStep
from jsonnx.pipeline.baselines import compare_baselines, encoders
from jsonnx.pipeline.baselines.bootstrap import draws_of, interval
from jsonnx.pipeline.baselines.constant_baselines import _quantiles
from jsonnx.pipeline.baselines.encoders import CategoryEncoder, NumberEncoder, date_parts, reduced, sequence_summary
from jsonnx.pipeline.baselines.season import _seasons_of
from jsonnx.pipeline.baselines.target_change import TargetChange
from jsonnx.pipeline.baselines.verdict import verdict
from jsonnx.pipeline.check.check import check_spec
from support.commands import jsonnx

SAMPLES = Path(__file__).parents[3] / "samples"
ADAM = {"type": "adam", "learning_rate": 0.01}


@pytest.fixture(autouse=True)
def _no_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same results wherever scikit-learn is installed: tests/environments/parity tests the fitted baselines."""

    def missing(module: str, extra: str, purpose: str) -> Any:
        raise UsageError("missing-package", f"{purpose} needs {module}", f"pip install {extra}")

    monkeypatch.setattr(compare_baselines, "require_package", missing)


def trained(folder: Path, spec: dict[str, Any], *options: str) -> Path:
    (folder / "spec.json").write_text(json.dumps(spec))
    jsonnx("train", str(folder / "spec.json"), "-o", str(folder / "run"), *options)
    return folder / "run"


def compared(run: Path, *options: str) -> dict[str, Any]:
    """The document of `evaluate --baseline`, whose comparisons are by output."""
    document = json.loads(jsonnx("evaluate", str(run), "--baseline", "--format", "json", *options).stdout)
    return document | {"outputs": {values["output"]: values for values in document["baselines"]}}


def figures(values: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {model["model"]: model["figures"] for model in values["models"]}


def write_csv(path: Path, columns: dict[str, Any]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def test_classes_are_compared_with_their_frequencies(tmp_path: Path) -> None:
    run = tmp_path / "run"
    jsonnx("train", str(SAMPLES / "penguins.json"), "-o", str(run))
    document = compared(run)
    values = document["outputs"]["species"]
    own = figures(values)
    assert list(own) == ["network", "majority class"]
    assert own["network"] == pytest.approx({name: document[name] for name in ("loss", "accuracy")}, rel=1e-4)
    rows = {
        part: [row["species"] for row in csv.DictReader((SAMPLES / "data" / f"penguins_{part}.csv").open())]
        for part in ("train", "test")
    }
    shares = {name: rows["train"].count(name) / len(rows["train"]) for name in set(rows["train"])}
    majority = max(shares, key=shares.__getitem__)
    assert own["majority class"]["accuracy"] == pytest.approx(rows["test"].count(majority) / len(rows["test"]))
    expected_loss = -np.mean([log(shares[name]) for name in rows["test"]])
    assert own["majority class"]["loss"] == pytest.approx(expected_loss, rel=1e-5)
    assert (values["metric"], values["result"], values["best_baseline"]) == ("accuracy", "better", "majority class")
    low, high = values["models"][1]["difference_interval"]
    assert 0.3 < low < values["models"][1]["difference"] < high < 0.8
    text = jsonnx("evaluate", str(run), "--baseline").stdout
    assert "beside baselines, fitted on 260 training samples, on 82 samples:" in text
    assert (
        "the network is better than the best baseline, but only constants were compared "
        "(pip install baseline adds regression and gradient boosting): accuracy 1 (1 to 1), majority class"
    ) in text


def test_numbers_are_compared_with_mean_and_median_of_weighted_samples(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=400), rng.uniform(0, 3, 400)
    y = np.exp(x) + rng.normal(size=400) / 10
    for part, rows in (("train", slice(300)), ("test", slice(300, None))):
        write_csv(tmp_path / f"{part}.csv", {"x": x[rows], "y": y[rows], "w": w[rows]})
    run = trained(
        tmp_path,
        {
            "inputs": {"x": {"shape": [1]}},
            "layers": [{"type": "Dense", "units": 8, "activation": "relu"}, {"type": "Dense", "units": 1, "name": "y"}],
            "training": {
                "data": {"train": "train.csv", "test": "test.csv", "sample_weight": "w"},
                "loss": "mse",
                "metrics": ["mae"],
                "weighted_metrics": ["mse"],
                "optimizer": ADAM,
                "epochs": 3,
            },
        },
    )
    document = compared(run)
    own = figures(document["outputs"]["y"])
    mean = np.average(y[:300], weights=w[:300])
    assert own["mean"]["mae"] == pytest.approx(np.abs(y[300:] - mean).mean(), rel=1e-5)
    assert own["mean"]["mse"] == pytest.approx(np.average((y[300:] - mean) ** 2, weights=w[300:]), rel=1e-5)
    order = np.argsort(y[:300])
    median = y[:300][order][np.searchsorted(np.cumsum(w[:300][order]), w[:300].sum() / 2)]
    assert own["median"]["mae"] == pytest.approx(np.abs(y[300:] - median).mean(), rel=1e-5)
    for name in ("loss", "mae", "mse"):
        assert own["network"][name] == pytest.approx(document[name], rel=1e-5)


def test_quantiles_are_compared_with_those_of_the_training_data(tmp_path: Path) -> None:
    y = np.random.default_rng(1).gamma(2.0, size=300)
    write_csv(tmp_path / "train.csv", {"x": np.ones(200), "y": y[:200]})
    write_csv(tmp_path / "test.csv", {"x": np.ones(100), "y": y[200:]})
    run = trained(
        tmp_path,
        {
            "inputs": {"x": {"shape": [1]}},
            "layers": [{"type": "Dense", "units": 3, "name": "y"}],
            "training": {
                "data": {"train": "train.csv", "test": "test.csv"},
                "loss": "quantile",
                "optimizer": ADAM,
                "epochs": 1,
            },
        },
    )
    own = figures(compared(run)["outputs"]["y"])
    levels = np.array([0.1, 0.5, 0.9])
    constants = np.array([_quantiles(y[:200, None], np.ones(200), level)[0] for level in levels])
    error = y[200:, None] - constants
    expected = np.maximum(levels * error, (levels - 1) * error).mean()
    assert own["quantiles of the training data"]["loss"] == pytest.approx(expected, rel=1e-5)


SERIES_ROWS = 400


def series_spec(**windows: Any) -> dict[str, Any]:
    return {
        "inputs": {"past": {"shape": [14]}},
        "layers": [{"type": "Dense", "units": 3, "name": "sales"}],
        "training": {
            "data": {
                "train": "sales.csv",
                "x": {"past": "sales"},
                "y": "sales",
                "split": {"validation": 0.1, "test": 0.2},
                "windows": {"length": 14, "horizon": 3, "by": "shop", **windows},
            },
            "loss": "mae",
            "optimizer": ADAM,
            "epochs": 1,
        },
    }


def write_sales(folder: Path) -> np.ndarray:
    """Two shops whose sales have a season of a week, in the order of the days; returns the sales [shop, day]."""
    rng = np.random.default_rng(2)
    week = rng.normal(size=7)
    sales = np.array([level + scale * (week[np.arange(SERIES_ROWS) % 7] + rng.normal(size=SERIES_ROWS) / 5)
                      for level, scale in ((10, 1), (100, 20))])  # fmt: skip
    days = [(datetime(2020, 1, 1) + timedelta(days=day)).strftime("%Y-%m-%d") for day in range(SERIES_ROWS)]
    shops = ["north"] * SERIES_ROWS + ["south"] * SERIES_ROWS
    write_csv(folder / "sales.csv", {"shop": shops, "day": days * 2, "sales": sales.ravel()})
    return sales


@pytest.mark.parametrize(("options", "season"), [((), 7), (("--season", "3"), 3)])
def test_forecasts_are_compared_with_the_last_season(options: tuple[str, ...], season: int, tmp_path: Path) -> None:
    sales = write_sales(tmp_path)
    values = compared(trained(tmp_path, series_spec(time="day")), *options)["outputs"]["sales"]
    own = figures(values)
    assert list(own) == ["network", "mean", "median", "last value", "seasonal naive"]
    assert values["season"] == season
    first_test = round(0.8 * SERIES_ROWS)
    starts = np.arange(first_test, SERIES_ROWS - 14 - 3 + 1)
    last = starts + 13
    steps = np.arange(1, 4)
    true = sales[:, last[:, None] + steps]
    naive = sales[:, last[:, None] + steps - season * -(-steps // season)]
    assert values["samples"] == 2 * len(starts)
    assert own["seasonal naive"]["loss"] == pytest.approx(np.abs(true - naive).mean(), rel=1e-5)
    assert own["last value"]["loss"] == pytest.approx(np.abs(true - sales[:, last[:, None]]).mean(), rel=1e-5)
    in_sample = sales[:, : round(0.7 * SERIES_ROWS)]
    scales = np.abs(in_sample[:, season:] - in_sample[:, :-season]).mean(1)
    expected = (np.abs(true - naive).mean((1, 2)) / scales).mean()
    assert own["seasonal naive"]["mase"] == pytest.approx(expected, rel=1e-5)
    origin = "as given" if options else "rows are 1d apart; --season changes it"
    assert values["notes"][0] == f"season: {season} steps ({origin})"


def test_a_season_is_recognised_without_times(tmp_path: Path) -> None:
    write_sales(tmp_path)
    values = compared(trained(tmp_path, series_spec()))["outputs"]["sales"]
    assert values["season"] == 7
    assert "the common season that fits the training data best" in values["notes"][0]


@pytest.mark.parametrize("gaps", ["skip", "fill"])
def test_values_that_the_data_lack_are_neither_repeated_nor_compared(gaps: str, tmp_path: Path) -> None:
    sales = np.random.default_rng(7).normal(size=SERIES_ROWS)
    days = np.array([(datetime(2020, 1, 1) + timedelta(days=day)).strftime("%Y-%m-%d") for day in range(SERIES_ROWS)])
    is_known = np.arange(SERIES_ROWS) % 5 < 3
    texts = np.where(is_known, sales.astype(str), "")
    kept = np.arange(SERIES_ROWS) if gaps == "skip" else np.flatnonzero(is_known)
    write_csv(tmp_path / "sales.csv", {"day": days[kept], "x": np.ones(len(kept)), "sales": texts[kept]})
    spec = series_spec(time="day", gaps=gaps)
    spec["inputs"] = {"past": {"shape": [4]}}
    data = spec["training"]["data"] | {"x": {"past": "x"}, "missing": "drop", "split": {"validation": 0.25}}
    data["windows"] = {"length": 4, "horizon": 1, "time": "day", "gaps": gaps}
    spec["layers"] = [{"type": "Dense", "units": 1, "name": "sales"}]
    spec["training"]["data"] = data
    values = compared(trained(tmp_path, spec), "--season", "2")["outputs"]["sales"]
    first = round(0.75 * len(kept)) if gaps == "skip" else kept[round(0.75 * len(kept))]
    targets = np.array([row for row in range(first + 4, SERIES_ROWS) if is_known[row]])
    last = np.array([max(row for row in range(target) if is_known[row]) for target in targets])
    naive = np.where(is_known[targets - 2], sales[targets - 2], sales[last])
    own = figures(values)
    assert values["samples"] == len(targets)
    assert own["last value"]["loss"] == pytest.approx(np.abs(sales[targets] - sales[last]).mean(), rel=1e-5)
    assert own["seasonal naive"]["loss"] == pytest.approx(np.abs(sales[targets] - naive).mean(), rel=1e-5)
    in_sample = np.where(is_known, sales, np.nan)[1:first]  # no training window has the first row
    scale = np.nanmean(np.abs(in_sample[2:] - in_sample[:-2]))
    assert own["seasonal naive"]["mase"] == pytest.approx(np.abs(sales[targets] - naive).mean() / scale, rel=1e-5)


@pytest.mark.parametrize(
    ("step", "seasons"),
    [
        ("1h", [24]),
        ("15min", [96, 4]),
        ("1d", [7]),
        ("1w", [52]),
        ("1mo", [12]),
        ("3mo", [4]),
        ("1y", []),
        ("7min", []),
    ],
)
def test_seasons_by_the_spacing_of_times(step: str, seasons: list[int]) -> None:
    parsed = TimeStep.of(step)
    assert parsed is not None
    assert [*_seasons_of(parsed)] == seasons


@pytest.mark.parametrize(
    "training", [{"threshold": {"maximize": "f1"}}, {"threshold": 0.01}, {"class_weight": {"0": 1.0, "1": 99.0}}]
)
def test_the_most_frequent_class_is_predicted_whatever_is_set(training: dict[str, Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=600)
    y = (x + rng.normal(size=600) > 1.5).astype(int)
    write_csv(tmp_path / "train.csv", {"x": x[:500], "y": y[:500]})
    write_csv(tmp_path / "test.csv", {"x": x[500:], "y": y[500:]})
    run = trained(
        tmp_path,
        {
            "inputs": {"x": {"shape": [1]}},
            "layers": [{"type": "Dense", "units": 1, "activation": "sigmoid", "name": "y"}],
            "training": {
                "data": {"train": "train.csv", "test": "test.csv", "validation_split": 0.3},
                "loss": "binary_crossentropy",
                "metrics": ["accuracy", "recall"],
                "optimizer": ADAM,
                "epochs": 2,
                **training,
            },
        },
    )
    values = compared(run)["outputs"]["y"]
    majority = figures(values)["majority class"]
    assert majority["recall"] == 0
    assert majority["accuracy"] == pytest.approx(1 - y[500:].mean())
    assert values["metric"] == "recall"  # accuracy comes last where a threshold or weights of classes are set


def test_several_outputs_and_outputs_without_a_baseline(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    x, mask = rng.normal(size=(80, 4, 4, 1)), rng.integers(0, 2, (80, 4, 4))
    tags = rng.integers(0, 2, (80, 3))
    np.savez(tmp_path / "data.npz", x=x.astype(np.float32), mask=mask, tags=tags)
    run = trained(
        tmp_path,
        {
            "inputs": {"x": {"shape": [4, 4, 1]}},
            "layers": [
                {"type": "Dense", "units": 2, "activation": "softmax", "name": "mask"},
                {"type": "Flatten", "from": "x"},
                {"type": "Dense", "units": 3, "activation": "sigmoid", "name": "tags"},
            ],
            "outputs": ["mask", "tags"],
            "training": {
                "data": {"train": "data.npz", "validation_split": 0.25},
                "loss": {"mask": "sparse_categorical_crossentropy", "tags": "binary_crossentropy"},
                "metrics": {"mask": ["accuracy"], "tags": ["binary_accuracy"]},
                "optimizer": ADAM,
                "epochs": 1,
            },
        },
    )
    document = compared(run)
    mask_values, tags_values = document["outputs"]["mask"], document["outputs"]["tags"]
    majority = int(mask[:60].mean() > 0.5)
    assert figures(mask_values)["majority class"]["mask_accuracy"] == pytest.approx((mask[60:] == majority).mean())
    assert mask_values["notes"] == [
        "no regression and no gradient boosting: the output has several positions, each with a target"
    ]
    expected = ((tags[:60].mean(0) > 0.5) == tags[60:]).mean()
    assert figures(tags_values)["majority class"]["tags_binary_accuracy"] == pytest.approx(expected)
    assert figures(tags_values)["network"]["tags_loss"] == pytest.approx(document["tags_loss"], rel=1e-5)


def test_folds_are_compared_on_all_their_validation_data(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=120)
    write_csv(tmp_path / "train.csv", {"x": x, "y": x + rng.normal(size=120)})
    run = trained(
        tmp_path,
        {
            "inputs": {"x": {"shape": [1]}},
            "layers": [{"type": "Dense", "units": 1, "name": "y"}],
            "training": {
                "data": {"train": "train.csv", "split": {"folds": 3}},
                "loss": "mse",
                "metrics": ["mae"],
                "optimizer": ADAM,
                "epochs": 1,
            },
        },
        "--fold",
        "all",
    )
    document = compared(run)
    values = document["outputs"]["y"]
    assert values["samples"] == 120
    assert figures(values)["network"]["mae"] == pytest.approx(document["out_of_fold"]["mae"], rel=1e-5)
    assert "beside baselines" in jsonnx("evaluate", str(run), "--baseline").stdout


def test_a_report_shows_baselines(tmp_path: Path) -> None:
    run = tmp_path / "run"
    jsonnx("train", str(SAMPLES / "penguins.json"), "-o", str(run), "--set", "training.epochs=1")
    jsonnx("report", str(run), "--baseline", "-o", str(tmp_path / "report.html"))
    assert '"baselines":[{"output":"species","samples":82' in (tmp_path / "report.html").read_text()


def test_options_without_effect_and_models_without_training_data(tmp_path: Path) -> None:
    run = tmp_path / "run"
    jsonnx("train", str(SAMPLES / "penguins.json"), "-o", str(run), "--set", "training.epochs=1")
    assert "--season has no effect without --baseline" in jsonnx("evaluate", str(run), "--season", "7", status=2).stderr
    data = str(SAMPLES / "data" / "penguins_test.csv")
    result = jsonnx("evaluate", str(run / "model.onnx"), "--data", data, "--baseline", status=2)
    assert "error" in result.stderr


# -- parts -------------------------------------------------------------------------------------------------------------


def test_an_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(6).normal(size=400)
    bounds = interval(draws_of(400) @ values / 400)
    assert bounds is not None
    deviation = values.std() / 20
    assert bounds == pytest.approx((values.mean() - 1.96 * deviation, values.mean() + 1.96 * deviation), abs=0.02)
    assert interval(np.array([1.0, np.nan])) is None


@pytest.mark.parametrize(
    ("bounds", "higher_is_better", "result"),
    [
        ((0.1, 0.3), True, "better"),
        ((0.1, 0.3), False, "worse"),
        ((-0.3, -0.1), False, "better"),
        ((-0.1, 0.1), True, "indistinguishable"),
    ],
)
def test_verdicts(bounds: tuple[float, float], higher_is_better: bool, result: str) -> None:
    network = {"model": "network", "figures": {"m": 1.0}, "interval": None}
    other = {"model": "mean", "figures": {"m": 0.8}, "interval": None}
    other |= {"difference": 0.2, "difference_interval": bounds}
    assert verdict([network, other], "m", higher_is_better)["result"] == result


def test_numbers_are_imputed_and_standardized() -> None:
    values = np.array([[1.0, 2.0], [3.0, np.nan], [5.0, 4.0]])
    encoder = NumberEncoder(values, reduced)
    encoded = encoder.linear(values)
    assert encoded[:, 0] == pytest.approx((values[:, 0] - 3) / values[:, 0].std())
    assert encoded[1, 1] == pytest.approx(0)
    assert encoded[:, 2].tolist() == [0, 1, 0]
    assert np.isnan(encoder.trees(values)[1, 1])


def test_rare_and_unknown_categories_share_a_number() -> None:
    encoder = CategoryEncoder(np.array(["a"] * 6 + ["b"] * 5 + ["c"], object))
    encoded = encoder.linear(np.array(["a", "b", "c", "d"], object))
    assert encoded.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]


def test_dates_and_sequences_by_their_parts() -> None:
    parts = date_parts(np.array(["1970-01-02 06:00", "nothing"], object), ["%Y-%m-%d"], False)
    assert parts[0].tolist() == [4, 6, 1970, 1, 2, 1.25]
    assert np.isnan(parts[1]).all()
    summary = sequence_summary(np.array([[[1.0], [3.0], [0.0]], [[2.0], [2.0], [5.0]]]), 0)
    assert summary.tolist() == [[2, 2, 1, 1, 3, 1, 3], [3, 3, pytest.approx(2**0.5), 2, 5, 2, 5]]


def test_large_arrays_are_averaged_over_neighbours() -> None:
    images = np.arange(2 * 8 * 8 * 3, dtype=np.float64).reshape(2, 8, 8, 3)
    small = reduced(images, 48)
    assert small.shape == (2, 4 * 4 * 3)
    assert small[0, 0] == images[0, :2, :2, 0].mean()
    assert encoders.MAX_TREE_VALUES < encoders.MAX_LINEAR_VALUES


def test_a_constant_column_has_its_value_as_quantile() -> None:
    assert _quantiles(np.full((5, 1), 3.0), np.ones(5), 0.9).tolist() == [3.0]


@pytest.mark.parametrize(
    ("target", "statistics", "expected"),
    [
        ({"transform": "log"}, {}, np.log([[1.0], [20.0]])),
        ({"transform": "log1p", "normalize": True}, {"mean": 2.0, "variance": 4.0}, (np.log([[2.0], [21.0]]) - 2) / 2),
        ({"transform": "yeo_johnson"}, {"lambda": 0.5}, (np.sqrt([[2.0], [21.0]]) - 1) / 0.5),
        ({"normalize": True}, {"mean": 3.0, "variance": 4.0}, np.array([[-1.0], [8.5]])),
    ],
)
@pytest.mark.parametrize(
    ("loss", "units", "size"), [("mse", 1, (1,)), ({"type": "quantile", "quantiles": [0.1, 0.9]}, 2, ())]
)
def test_fitted_baselines_predict_changed_targets(
    target: dict[str, Any],
    statistics: dict[str, float],
    expected: np.ndarray,
    loss: Any,
    units: int,
    size: tuple[int, ...],
) -> None:
    training = {"loss": loss, "target": target}
    layers = [{"type": "Dense", "name": "y", "units": units}]
    typed = check_spec({"inputs": {"x": {"shape": [1]}}, "layers": layers, "training": training}).require()
    change = TargetChange.of(typed, "y", {name: np.full(size, value) for name, value in statistics.items()})
    assert change is not None
    np.testing.assert_allclose(change.changed(np.array([[1.0], [20.0]])), expected, rtol=1e-5)
    restored = change.restored(expected.repeat(units, 1))
    np.testing.assert_allclose(restored, np.repeat([[1.0], [20.0]], units, 1), rtol=1e-5)
