"""Training runs interrupted by signals, by a killed process or by a full disk.

The files of an interrupted run are complete, and a run continued with --resume ends with the same bytes as an
uninterrupted one.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from jsonnx import Session
from jsonnx.cli import main
from jsonnx.core.files import files
from jsonnx.core.files.run_layout import ADAPTER_FILES, RunPaths
from jsonnx.pipeline.run.run_folder_callback import RunFolderCallback
from jsonnx.pipeline.run_folder.run_folder import RunFolder
from safetensors.numpy import load_file
from support.commands import IN_PROCESS
from support.interrupts import accept_interrupts

SOURCE = Path(__file__).parents[3] / "compiler"
STEPS, EPOCHS = 6, 3
COMPARED_FILES = {path.name for path in RunPaths(Path()).results}
COMPARED_FILES -= {"execution.json", "metrics.csv", "report.html", "model.labels.json", *ADAPTER_FILES}

SPEC: dict[str, Any] = {
    "inputs": {"x": {"shape": [6]}},
    "layers": [
        {"type": "Dense", "units": 8, "activation": "relu"},
        {"type": "BatchNormalization"},
        {"type": "Dropout", "rate": 0.3},
        {"type": "Dense", "name": "y", "units": 3, "activation": "softmax"},
    ],
    "training": {
        "data": {"train": "data.npz", "validation_split": 0.25},
        "loss": "sparse_categorical_crossentropy",
        "optimizer": "adam",
        "metrics": ["accuracy"],
        "epochs": EPOCHS,
        "batch_size": 8,
        "restore_best_weights": True,
    },
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec, its data, and an uninterrupted run."""
    folder = tmp_path_factory.mktemp("home")
    x = np.random.default_rng(0).normal(size=(STEPS * 8 * 4 // 3, 6)).astype(np.float32)
    np.savez(folder / "data.npz", x=x, y=x[:, :3].argmax(1))
    (folder / "spec.json").write_text(json.dumps(SPEC))
    train(folder, "whole")
    return folder


@pytest.fixture(autouse=True)
def reset_sighup() -> Iterator[None]:
    """Resets SIGHUP, which the test suite ignores if it runs under nohup; a run keeps that setting."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(autouse=True)
def frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes a checkpoint after every epoch."""
    monkeypatch.setattr("jsonnx.pipeline.run.checkpoint_schedule.EPOCH_CHECKPOINT_SECONDS", 0.0)


def train(home: Path, run: str, *options: str, status: int = 0) -> Result:
    result = IN_PROCESS.invoke(main, ["train", str(home / "spec.json"), "-o", str(home / run), "--quiet", *options])
    assert result.exit_code == status, (result.exit_code, result.output, result.exception)
    return result


def assert_resumed_equals_whole(home: Path, run: str) -> None:
    train(home, run, *(["--resume"] if (home / run / "run.json").exists() else []))
    for name in COMPARED_FILES:
        assert (home / run / name).read_bytes() == (home / "whole" / name).read_bytes(), name
    assert not list((home / run).rglob("*.tmp"))


def assert_usable(folder: Path) -> None:
    """Asserts that the model runs and that all weights are stored."""
    (result,) = Session(folder / "model.onnx").run(np.zeros((2, 6), np.float32)).values()
    assert np.isfinite(result).all()
    assert set(load_file(folder / "weights.safetensors")) == set(load_file(folder.parent / "whole/weights.safetensors"))


def at_step(monkeypatch: pytest.MonkeyPatch, number: int, act: Any) -> None:
    """Calls `act` after the step of this number, counted over the whole run."""
    steps, record = iter(range(1, 1000)), RunFolderCallback.on_train_batch_end

    def end_step(self: RunFolderCallback, batch: int, logs: Any) -> None:
        record(self, batch, logs)
        if next(steps) == number:
            act()

    monkeypatch.setattr(RunFolderCallback, "on_train_batch_end", end_step)


# -- signals ----------------------------------------------------------------------------------------------------------


@pytest.mark.costly(2)
@pytest.mark.parametrize(
    ("number", "step"),
    [
        (signal.SIGINT, 1),
        (signal.SIGTERM, STEPS - 1),
        (signal.SIGINT, STEPS),
        (signal.SIGHUP, STEPS + 1),
        (signal.SIGTERM, STEPS * EPOCHS),
    ],
)
def test_a_signal_leaves_a_usable_run_that_can_be_resumed(
    home: Path, monkeypatch: pytest.MonkeyPatch, number: int, step: int
) -> None:
    run = f"signal-{number}-{step}"
    with monkeypatch.context() as patch:
        at_step(patch, step, lambda: signal.raise_signal(number))
        output = train(home, run, status=128 + number).stdout
    assert f"interrupted after {(step - 1) // STEPS} epochs; `--resume` continues from there" in output
    assert_usable(home / run)
    assert_resumed_equals_whole(home, run)


def test_a_second_signal_ends_the_run_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        at_step(patch, STEPS + 2, twice)
        assert "interrupted" in train(home, "twice", status=130).stderr
    assert not (home / "twice/model.onnx").exists()
    assert_resumed_equals_whole(home, "twice")


def test_a_signal_is_delayed_until_the_results_are_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = RunFolder.write_weights

    def interrupted(self: RunFolder, weights: Any) -> str:
        signal.raise_signal(signal.SIGTERM)
        return write(self, weights)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_weights", interrupted)
        train(home, "late", status=128 + signal.SIGTERM)
    assert_usable(home / "late")
    assert_resumed_equals_whole(home, "late")


def test_sigterm_interrupts_a_run_in_a_subprocess(home: Path) -> None:
    process = start_process(home, "heard", ["--set", "training.epochs=100000"])
    assert process.stderr is not None
    assert process.stderr.readline().startswith("epoch 1/100000")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGTERM
    assert "interrupted after" in output
    assert_usable(home / "heard")


def test_a_run_that_is_started_with_interrupts_ignored_goes_on(home: Path) -> None:
    """As a shell without job control starts a process in the background."""
    with_interrupts = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = start_process(home, "background", ["--set", "training.epochs=300"])
    finally:
        signal.signal(signal.SIGINT, with_interrupts)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("epoch 1/300")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=300)
    assert process.returncode == 0


def test_tests_in_the_background_accept_interrupts() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        accept_interrupts()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


# -- killed processes -------------------------------------------------------------------------------------------------

SELF_KILLING_SCRIPT = """
import os, signal, sys
import jsonnx.pipeline.run.checkpoint_schedule
from jsonnx.cli import main
from jsonnx.pipeline.run.run_folder_callback import RunFolderCallback
place, number = sys.argv[1], int(sys.argv[2])
jsonnx.pipeline.run.checkpoint_schedule.EPOCH_CHECKPOINT_SECONDS = 0.0
replace, record, calls = os.replace, RunFolderCallback.on_train_batch_end, iter(range(1, 10**9))

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def replaced(*arguments):
    last = next(calls) == number
    die() if last and place == "before" else replace(*arguments)
    die() if last and place == "after" else None

def stepped(self, batch, logs):
    record(self, batch, logs)
    die() if next(calls) == number else None

if place == "step":
    RunFolderCallback.on_train_batch_end = stepped
elif place in ("before", "after"):
    os.replace = replaced
main(sys.argv[3:], prog_name="jsonnx")
"""


def start_process(home: Path, run: str, options: list[str], place: str = "", number: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SELF_KILLING_SCRIPT, place, str(number), "train", "spec.json", "-o", run, *options]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=home, env=environment, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.costly(3)
@pytest.mark.parametrize(
    ("place", "number"),
    [
        ("step", STEPS + 3),
        ("before", 1),
        ("after", 1),
        ("after", 2),
        ("before", 6),
        ("after", 6),
        ("before", 9),
        ("after", 9),
    ],
)
def test_a_killed_run_can_be_resumed_without_loss(home: Path, place: str, number: int) -> None:
    """The order of writes: first checkpoint, three specs, execution.json, run.json, metrics, one checkpoint per epoch
    and one at the end, weights, model, execution.json, run.json."""
    process = start_process(home, f"{place}-{number}", [], place, number)
    process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL
    assert_resumed_equals_whole(home, f"{place}-{number}")


def test_a_damaged_checkpoint_is_replaced_by_an_older_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        at_step(patch, 2 * STEPS + 1, lambda: signal.raise_signal(signal.SIGINT))
        train(home, "damaged", status=130)
    newest = max((home / "damaged/checkpoints").glob("step-*"))
    newest.write_bytes(newest.read_bytes()[:-1])
    assert "an older checkpoint is used" in train(home, "damaged", "--resume").stderr
    assert_resumed_equals_whole(home, "damaged")


def test_a_locked_run_folder_is_refused(home: Path) -> None:
    train(home, "held", "--set", "training.epochs=1")
    before = snapshot(home / "held")
    with RunFolder(home / "held"):
        for option in ("--resume", "--force"):
            assert "run-locked" in train(home, "held", option, status=2).stderr
    assert snapshot(home / "held") == before


# -- a full disk ------------------------------------------------------------------------------------------------------


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A list with the number of files that can still be written; an empty list means no limit.

    The first file beyond the limit is truncated.
    """
    room: list[int] = []
    write = files._write_through

    def limited(path: Path, parts: Iterable[Any]) -> None:
        if room:
            room[0] -= 1
        if room and room[0] < 0:
            path.write_bytes(b"".join(parts)[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, parts)

    monkeypatch.setattr(files, "_write_through", limited)
    return room


@pytest.mark.costly(2)
@pytest.mark.parametrize("count", range(10))
def test_a_full_disk_is_reported_and_the_run_can_be_resumed(home: Path, writes: list[int], count: int) -> None:
    writes.append(count)
    errors = train(home, f"full-{count}", status=2).stderr
    assert "error[unwritable-file]" in errors
    assert "no space left on device" in errors
    assert not list((home / f"full-{count}").rglob("*.tmp"))
    writes.clear()
    assert_resumed_equals_whole(home, f"full-{count}")


def test_a_full_disk_leaves_earlier_results_unchanged(home: Path, writes: list[int]) -> None:
    train(home, "earlier", "--set", "training.epochs=1")
    before = snapshot(home / "earlier")
    writes.append(0)
    train(home, "earlier", "--force", status=2)
    assert snapshot(home / "earlier") == before
    compile = ["compile", str(home / "spec.json"), "-o", str(home / "earlier/model.onnx"), "--seed", "5"]
    result = IN_PROCESS.invoke(main, compile)
    assert (result.exit_code, "no space left" in result.stderr) == (2, True)
    assert snapshot(home / "earlier") == before


def test_a_limit_on_file_sizes_is_reported(home: Path) -> None:
    command = f'ulimit -f 1; "{sys.executable}" -m jsonnx compile spec.json -o limited.onnx'
    process = subprocess.run(
        ["bash", "-c", command], cwd=home, env={**os.environ, "PYTHONPATH": str(SOURCE)}, capture_output=True, text=True
    )
    assert (process.returncode, "unwritable-file" in process.stderr) == (2, True)
    assert not (home / "limited.onnx").exists()
