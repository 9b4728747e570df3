"""Records of a search and checkpoints of a run whose values were changed: an error or a resumed search, no crash."""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonnx.cli import main
from jsonnx.runtime.fit import checkpoint
from support.commands import IN_PROCESS, jsonnx

SPEC: dict[str, Any] = {
    "inputs": {"x": {"shape": [1]}},
    "layers": [{"type": "Dense", "name": "y", "units": 2, "activation": "softmax"}],
    "training": {
        "data": {"train": "d.csv", "x": "a", "y": "y", "validation_split": 0.5},
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy"],
        "early_stopping": {"patience": 3},
        "epochs": 2,
    },
}
VALUES = (None, -1, 0, 3, 1.5, "", "x", [], {}, [None], {"a": 1}, True, 1e308, 10**30, ["x"], [[1]])
CASES = 40
EPOCHS = ("progress", "history", "history")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    (folder / "d.csv").write_text("a,y\n" + "".join(f"{row},{row % 2}\n" for row in range(20)))
    (folder / "s.json").write_text(json.dumps(SPEC))
    sweep = {"parameters": {"training.batch_size": {"choice": [4, 8]}}, "trials": 3}
    (folder / "sweep.json").write_text(json.dumps(SPEC | {"sweep": sweep}))
    jsonnx("train", str(folder / "s.json"), "-o", str(folder / "run"), "--quiet")
    jsonnx("sweep", str(folder / "sweep.json"), "-o", str(folder / "search"), "--quiet")
    return folder


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values inside a JSON value."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from paths(item, (*path, key))


def changed(value: Any, path: tuple[Any, ...], *replacement: Any) -> Any:
    """A JSON value with another value at a path, or without the one there."""
    value = copy.deepcopy(value)
    parent = value
    for key in path[:-1]:
        parent = parent[key]
    if replacement:
        (parent[path[-1]],) = replacement
    else:
        del parent[path[-1]]
    return value


def random_changes(value: Any) -> Iterator[Any]:
    rng = random.Random(0)
    found = [*paths(value)]
    for _ in range(CASES):
        yield changed(value, rng.choice(found), *([rng.choice(VALUES)] if rng.random() < 0.8 else []))


def resumed_search(folder: Path, name: str, record: Any) -> tuple[int, str]:
    """The exit status and the errors of a search that is resumed with another record."""
    copied = folder / "damaged"
    shutil.rmtree(copied, ignore_errors=True)
    shutil.copytree(folder / "search", copied)
    (copied / "trials" / name).write_text(json.dumps(record))
    result = IN_PROCESS.invoke(main, ["sweep", str(folder / "sweep.json"), "--resume", "-o", str(copied)])
    return result.exit_code, result.stderr


def resumed_run(folder: Path, arrays: Any, state: Any) -> tuple[int, str]:
    """The exit status and the errors of a run that is resumed from a checkpoint with another state."""
    copied = folder / "damaged"
    shutil.rmtree(copied, ignore_errors=True)
    shutil.copytree(folder / "run", copied)
    for path in (copied / "checkpoints").glob("*.safetensors"):
        path.unlink()
    checkpoint.save(str(copied / "checkpoints" / newest(folder).name), arrays, state)
    arguments = ["train", str(folder / "s.json"), "-o", str(copied), "--resume", "--set", "training.epochs=3"]
    result = IN_PROCESS.invoke(main, arguments)
    return result.exit_code, result.stderr


def newest(folder: Path) -> Path:
    return max((folder / "run" / "checkpoints").glob("*.safetensors"))


def test_a_changed_record_of_a_trial_is_an_error_or_goes_unnoticed(folder: Path) -> None:
    record = json.loads((folder / "search" / "trials" / "0001.json").read_text())
    for value in random_changes(record):
        if isinstance(value, dict) and value.get("state") != record["state"]:
            continue  # such a trial may run again, which takes seconds
        status, errors = resumed_search(folder, "0001.json", value)
        assert status in (0, 1, 2), (value, errors)


@pytest.mark.parametrize(
    ("path", "value"),
    [(("runs",), []), (("runs", 0, "curve"), None), (("number",), 7), (("value",), None), (("told",), None)],
)
def test_a_damaged_record_of_a_trial_is_named(folder: Path, path: tuple[Any, ...], value: Any) -> None:
    record = json.loads((folder / "search" / "trials" / "0001.json").read_text())
    status, errors = resumed_search(folder, "0001.json", changed(record, path, value))
    assert (status, "error[damaged-file]" in errors, "0001.json" in errors) == (1, True, True)


def test_the_original_of_a_trial_must_be_there(folder: Path) -> None:
    record = json.loads((folder / "search" / "trials" / "0003.json").read_text())
    status, errors = resumed_search(folder, "0003.json", record | {"duplicate_of": 9})
    assert (status, "it repeats trial 9, which is missing" in errors) == (1, True)


def test_a_changed_state_of_a_checkpoint_is_an_error_or_goes_unnoticed(folder: Path) -> None:
    arrays, state = checkpoint.load(str(newest(folder)))
    del state["format"]
    for value in random_changes(state):
        status, errors = resumed_run(folder, arrays, value)
        assert status in (0, 1, 2), (value, errors)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((*EPOCHS, "loss"), [1.0]),
        ((*EPOCHS, "val_loss"), [1.0, 2.0, 3.0]),
        ((*EPOCHS, "val_accuracy"), [1.0]),
        (("progress", "history", "epoch"), [0]),
    ],
)
def test_a_history_of_unequal_lengths_is_a_damaged_checkpoint(folder: Path, path: tuple[Any, ...], value: Any) -> None:
    arrays, state = checkpoint.load(str(newest(folder)))
    del state["format"]
    status, errors = resumed_run(folder, arrays, changed(state, path, value))
    assert (status, "error[bad-checkpoint]" in errors, "malformed" in errors or "lacks values" in errors) == (
        1,
        True,
        True,
    )
