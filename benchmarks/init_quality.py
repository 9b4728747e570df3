"""Compares the specs of `jsonnx init` with default pipelines of scikit-learn, on data sets that need no download.

    pip install scikit-learn pandas vega_datasets
    python benchmarks/init_quality.py --jsonnx "python -m jsonnx"

Each data set is divided into 75% training and 25% test rows by three seeds. `jsonnx init`, `train` and `evaluate` run
with their defaults; scikit-learn's pipelines scale numbers (StandardScaler), encode texts (OneHotEncoder;
TfidfVectorizer for free text), and have estimators with default arguments. Prints a Markdown table of mean accuracies,
or of mean R2 for numbers.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from sklearn import datasets
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, SVR

SAMPLES = Path(__file__).parents[1] / "samples" / "data"
CLASSIFIERS = {
    "logistic": LogisticRegression,
    "k neighbors": KNeighborsClassifier,
    "SVM": SVC,
    "MLP": MLPClassifier,
}
REGRESSORS = {"ridge": Ridge, "k neighbors": KNeighborsRegressor, "SVM": SVR, "MLP": MLPRegressor}
SEEDS = (0, 1, 2)

Table = tuple[pd.DataFrame, str]
"""A data set and the name of its target."""


def bundled(name: str) -> Table:
    """A data set that comes with scikit-learn; the classes are names."""
    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    frame = bunch.frame.copy()
    if "target_names" in bunch and name != "digits":
        frame["target"] = [str(bunch.target_names[index]) for index in frame["target"]]
    return frame, "target"


def sample(name: str, target: str) -> Table:
    """A data set of the samples."""
    frames = [pd.read_csv(SAMPLES / f"{name}_{part}.csv", keep_default_na=False) for part in ("train", "test")]
    return pd.concat(frames, ignore_index=True), target


def generated(function: Callable[..., tuple[object, object]], **arguments: object) -> Table:
    x, y = function(random_state=0, **arguments)
    frame = pd.DataFrame(x).add_prefix("x")
    frame["target"] = y
    return frame, "target"


def vega(name: str, target: str) -> Table:
    from vega_datasets import local_data

    frame = getattr(local_data, name)().dropna()
    return frame, target


DATASETS: dict[str, Callable[[], Table]] = {
    "iris": lambda: bundled("iris"),
    "wine": lambda: bundled("wine"),
    "breast cancer": lambda: bundled("breast_cancer"),
    "digits": lambda: bundled("digits"),
    "penguins": lambda: sample("penguins", "species"),
    "reviews (text)": lambda: sample("reviews", "sentiment"),
    "weather in Seattle": lambda: vega("seattle_weather", "weather"),
    "two moons": lambda: generated(datasets.make_moons, n_samples=1000, noise=0.25),
    "20 features": lambda: generated(datasets.make_classification, n_samples=2000, n_informative=8, n_classes=3),
    "diabetes": lambda: bundled("diabetes"),
    "cars": lambda: vega("cars", "Miles_per_Gallon"),
    "Friedman 1": lambda: generated(datasets.make_friedman1, n_samples=1000, noise=1.0),
}


def scikit_learn_scores(train: pd.DataFrame, test: pd.DataFrame, target: str, is_class: bool) -> dict[str, float]:
    """The score of each pipeline."""
    columns = [name for name in train.columns if name != target and "date" not in str(train[name].dtype)]
    texts = [name for name in columns if not pd.api.types.is_numeric_dtype(train[name])]
    long = [name for name in texts if train[name].str.split().str.len().mean() > 3]
    texts = [name for name in texts if name not in long and train[name].nunique() * 2 <= len(train)]
    numbers = [name for name in columns if name not in (*texts, *long) and pd.api.types.is_numeric_dtype(train[name])]
    encoders = [
        ("numbers", StandardScaler(), numbers),
        ("texts", OneHotEncoder(handle_unknown="ignore"), texts),
        *((name, TfidfVectorizer(), name) for name in long),
    ]
    scores = {}
    for name, estimator in (CLASSIFIERS if is_class else REGRESSORS).items():
        options = {"random_state": 0} if "random_state" in estimator().get_params() else {}
        pipeline = Pipeline([("columns", ColumnTransformer(encoders)), ("estimator", estimator(**options))])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLPs that have not converged, as their defaults stop them
            pipeline.fit(train[columns], train[target])
        scores[name] = float(pipeline.score(test[columns], test[target]))
    return scores


def jsonnx_score(command: list[str], train: pd.DataFrame, test: pd.DataFrame, target: str, is_class: bool) -> float:
    """The score of a network that `jsonnx init` writes and `jsonnx train` trains."""
    with tempfile.TemporaryDirectory() as folder:
        train.to_csv(Path(folder, "train.csv"), index=False)
        test.to_csv(Path(folder, "test.csv"), index=False)

        def run(*arguments: str) -> str:
            done = subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"jsonnx {shlex.join(arguments)}\n{done.stderr}")
            return done.stdout

        run("init", "train.csv", "--target", target)
        run("train", "train.json", "-o", "run", "--quiet")
        metrics = json.loads(run("evaluate", "run", "--data", "test.csv", "--format", "json"))
    return float(metrics["accuracy" if is_class else "r2_score"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jsonnx", default="jsonnx", help="the command that runs jsonnx")
    parser.add_argument("--only", default="", help="parts of the names of the data sets to run, separated by commas")
    options = parser.parse_args()
    command = shlex.split(options.jsonnx)
    print("| data set | rows | jsonnx init | linear model | k neighbors | SVM | MLP |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, load in DATASETS.items():
        if not any(part in name for part in options.only.split(",")):
            continue
        frame, target = load()
        values = frame[target]
        is_class = not pd.api.types.is_numeric_dtype(values) or (
            pd.api.types.is_integer_dtype(values) and values.nunique() <= 20
        )
        totals: list[list[float]] = []
        for seed in SEEDS:
            stratify = values if is_class else None
            train, test = train_test_split(frame, test_size=0.25, random_state=seed, stratify=stratify)
            scores = scikit_learn_scores(train, test, target, is_class)
            totals.append([jsonnx_score(command, train, test, target, is_class), *scores.values()])
        means = [sum(column) / len(SEEDS) for column in zip(*totals, strict=True)]
        print(f"| {name} | {len(frame):,} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |", flush=True)


if __name__ == "__main__":
    main()
