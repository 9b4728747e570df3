"""The baselines of `evaluate --baseline` that scikit-learn fits, compared with scikit-learn's models and metrics."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from support.commands import jsonnx
from threadpoolctl import threadpool_limits

SAMPLES = Path(__file__).parents[3] / "samples"


def comparison(sample: str, folder: Path, *options: str) -> dict[str, Any]:
    """The only comparison of a sample that is trained for an epoch."""
    run = str(folder / "run")
    jsonnx("train", str(SAMPLES / f"{sample}.json"), "-o", run, "--set", "training.epochs=1", *options)
    texts = [jsonnx("evaluate", run, "--baseline", "--format", "json").stdout for _ in range(2)]
    assert texts[0] == texts[1]  # always the same numbers
    (values,) = json.loads(texts[0])["baselines"]
    return values | {"figures": {model["model"]: model["figures"] for model in values["models"]}}


def rows(sample: str, part: str) -> list[dict[str, str]]:
    return list(csv.DictReader((SAMPLES / "data" / f"{sample}_{part}.csv").open()))


def test_ridge_regression_of_numbers(tmp_path: Path) -> None:
    spec = json.loads((SAMPLES / "diabetes.json").read_text())
    data = spec["training"]["data"]
    train, test = (rows("diabetes", part) for part in ("train", "test"))
    train = train[: int(len(train) * (1 - data["validation_split"]))]
    x, x_test = (np.array([[float(row[name]) for name in data["x"]] for row in part]) for part in (train, test))
    y, y_test = (np.array([float(row[data["y"]]) for row in part]) for part in (train, test))
    scaler = StandardScaler().fit(x)
    ridge = RidgeCV(alphas=[10.0**power for power in range(-2, 5)]).fit(scaler.transform(x), y)
    expected = mean_absolute_error(y_test, ridge.predict(scaler.transform(x_test)))
    values = comparison("diabetes", tmp_path)
    assert values["figures"]["ridge regression"]["mae"] == pytest.approx(expected, rel=1e-4)
    assert values["figures"]["gradient boosting"]["mae"] < values["figures"]["mean"]["mae"]


def test_ridge_regression_of_transformed_targets(tmp_path: Path) -> None:
    """The losses of all models compare transformed and normalized numbers."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3)).astype(np.float32)
    y = np.exp(10 + x @ rng.normal(size=3) + rng.normal(size=400) / 5).astype(np.float32)
    np.savez(tmp_path / "train.npz", x=x[:300], y=y[:300, None])
    np.savez(tmp_path / "test.npz", x=x[300:], y=y[300:, None])
    spec = {
        "inputs": {"x": {"shape": [3]}},
        "layers": [{"type": "Dense", "units": 1, "name": "y"}],
        "training": {
            "data": {"train": "train.npz", "test": "test.npz"},
            "loss": "mse",
            "target": {"transform": "log", "normalize": True},
            "metrics": ["mae"],
            "optimizer": "adam",
            "epochs": 1,
        },
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    jsonnx("train", str(tmp_path / "spec.json"), "-o", str(tmp_path / "run"))
    document = json.loads(jsonnx("evaluate", str(tmp_path / "run"), "--baseline", "--format", "json").stdout)
    models = {model["model"]: model["figures"] for model in document["baselines"][0]["models"]}
    ridge = RidgeCV(alphas=[10.0**power for power in range(-2, 5)])
    target = make_pipeline(FunctionTransformer(np.log, np.exp, check_inverse=False), StandardScaler())
    model = TransformedTargetRegressor(make_pipeline(StandardScaler(), ridge), transformer=target).fit(x[:300], y[:300])
    predicted = model.predict(x[300:])
    errors = np.log(predicted / y[300:]) / np.log(y[:300]).std()
    expected = {"loss": np.mean(errors**2), "mae": mean_absolute_error(y[300:], predicted)}
    assert models["ridge regression"] == pytest.approx(expected, rel=1e-3)
    assert models["gradient boosting"]["loss"] < models["mean"]["loss"]


def test_logistic_regression_of_texts(tmp_path: Path) -> None:
    parts = [rows("reviews", part) for part in ("train", "test")]
    spec = json.loads((SAMPLES / "reviews.json").read_text())
    data = spec["training"]["data"]
    text = next(name for name in parts[0][0] if np.mean([len(row[name].split()) for row in parts[0]]) > 2)
    label = next(name for name in parts[0][0] if name != text)
    train = parts[0][: int(len(parts[0]) * (1 - data.get("validation_split", 0)))]
    words = TfidfVectorizer(max_features=20_000, sublinear_tf=True, token_pattern=r"(?u)\w+")
    x = words.fit_transform(["no words", *(row[text] for row in train)])[1:]
    model = LogisticRegression(max_iter=500, random_state=0).fit(x, [row[label] for row in train])
    probabilities = model.predict_proba(words.transform([row[text] for row in parts[1]]))
    true = [row[label] for row in parts[1]]
    expected = {
        "loss": log_loss(true, probabilities),
        "accuracy": accuracy_score(true, model.classes_[probabilities.argmax(1)]),
    }
    figures = comparison("reviews", tmp_path)["figures"]["logistic regression"]
    assert figures == pytest.approx(expected, rel=1e-4)


def test_gradient_boosting_of_images(tmp_path: Path) -> None:
    """The digits are 8x8 images, and so small that nothing is averaged."""
    with np.load(SAMPLES / "data" / "digits_train.npz") as train, np.load(SAMPLES / "data" / "digits_test.npz") as test:
        (x, y), (x_test, y_test) = ([part[name] for name in part.files] for part in (train, test))
    values = comparison("digits_residual", tmp_path)
    x, y = (array[: values["training_samples"]] for array in (x, y))
    with threadpool_limits(1):  # threads that wait for each other take minutes on a busy machine
        model = HistGradientBoostingClassifier(random_state=0).fit(x.reshape(len(x), -1), y)
        predicted = model.predict(x_test.reshape(len(x_test), -1))
    figures = values["figures"]["gradient boosting"]
    assert figures["accuracy"] == pytest.approx(accuracy_score(y_test, predicted), abs=0.01)
    assert values["result"] == "worse"  # after a single epoch


def test_categories_dates_and_missing_values(tmp_path: Path) -> None:
    values = comparison("flights", tmp_path)
    figures = values["figures"]
    assert figures["majority class"]["auc"] == pytest.approx(0.5)
    assert min(figures[name]["auc"] for name in ("logistic regression", "gradient boosting")) > 0.65
    fed = next(note for note in values["notes"] if note.startswith("regression and gradient boosting get"))
    assert "3 categorical columns" in fed
    assert "1 date column" in fed


def test_labels_of_which_several_hold(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 5)).astype(np.float32)
    y = (x @ rng.normal(size=(5, 3)) + rng.normal(size=(400, 3)) > 0).astype(np.int64)
    np.savez(tmp_path / "train.npz", x=x[:300], y=y[:300])
    np.savez(tmp_path / "test.npz", x=x[300:], y=y[300:])
    spec = {
        "inputs": {"x": {"shape": [5]}},
        "layers": [{"type": "Dense", "units": 3, "activation": "sigmoid", "name": "y"}],
        "training": {
            "data": {"train": "train.npz", "test": "test.npz"},
            "loss": "binary_crossentropy",
            "metrics": [{"type": "auc", "name": "roc_auc", "multi_label": True, "num_thresholds": None}],
            "optimizer": "adam",
            "epochs": 1,
        },
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    jsonnx("train", str(tmp_path / "spec.json"), "-o", str(tmp_path / "run"))
    document = json.loads(jsonnx("evaluate", str(tmp_path / "run"), "--baseline", "--format", "json").stdout)
    models = {model["model"]: model["figures"] for model in document["baselines"][0]["models"]}
    scaler = StandardScaler().fit(x[:300])
    scores = [
        LogisticRegression(max_iter=500).fit(scaler.transform(x[:300]), column).predict_proba(scaler.transform(x[300:]))
        for column in y[:300].T
    ]
    expected = roc_auc_score(y[300:], np.stack([score[:, 1] for score in scores], 1))
    assert models["logistic regression"]["roc_auc"] == pytest.approx(expected, abs=1e-4)
