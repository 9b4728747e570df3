"""Checkpoints: a resumed run equals the one that never stopped, and damage is detected."""

from __future__ import annotations

import copy
import hashlib
import mmap
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

import numpy as np
import onnx
import pytest
from jsonnx.backend import ModelWriter
from jsonnx.core.callback import Callback
from jsonnx.core.diagnostics import CompileError, UsageError
from jsonnx.core.system.mapped_pages import release_pages
from jsonnx.interop import safetensors_file
from jsonnx.pipeline.run_folder.checkpoint_manifest import read_manifest
from jsonnx.pipeline.run_folder.run_folder import RunFolder
from jsonnx.runtime.fit import checkpoint, kept_weights
from jsonnx.runtime.fit.trainer import Diverged, PlanTrainer
from jsonnx.runtime.providers.signals import StopOnSignal
from jsonnx.runtime.session.weight_files import read_weight_file

from .plans import classifier, fit, flowers, have_equal_variables

X, Y = flowers()
SPEC = {"epochs": 5, "batch_size": 16, "restore_best_weights": True, "early_stopping": {"patience": 3}}


def plan(**more):
    return classifier(SPEC, noise=0.2, **more)


class SaveAt(Callback):
    """Saves after a step of the run, and raises a signal to stop there."""

    def __init__(self, trainer, path, step, interrupt=True):
        super().__init__()
        self.trainer, self.path, self.step, self.interrupt = trainer, path, step, interrupt

    def on_train_batch_end(self, batch, logs=None):
        if self.trainer.steps == self.step:
            self.trainer.save_checkpoint(self.path)
            if self.interrupt:
                signal.raise_signal(signal.SIGTERM)


@pytest.fixture(scope="module")
def uninterrupted():
    trainer = PlanTrainer(plan())
    return trainer, fit(trainer, X, Y, validation_split=0.2)


@pytest.mark.costly(2)
@pytest.mark.parametrize("step", [1, 4, 5, 6, 13, 25])
def test_a_resumed_run_equals_the_run_that_never_stopped(tmp_path, uninterrupted, step):
    trainer, path = PlanTrainer(plan()), tmp_path / "c.safetensors"
    history = fit(trainer, X, Y, validation_split=0.2, callbacks=[SaveAt(trainer, path, step)])
    assert (trainer.steps, history.signal, history.interrupted) == (step, signal.SIGTERM, True)
    assert len(history.epoch) == (step - 1) // 5
    resumed = PlanTrainer(plan())
    resumed.step(X, Y)  # earlier steps do not matter
    assert resumed.load_checkpoint(path) == []
    assert resumed.epochs_done == (step - 1) // 5
    history = fit(resumed, X, Y, validation_split=0.2)
    assert history.history == uninterrupted[1].history
    assert (history.epoch, history.best_epoch) == (uninterrupted[1].epoch, uninterrupted[1].best_epoch)
    assert resumed.steps == uninterrupted[0].steps
    assert have_equal_variables(resumed, uninterrupted[0])


def test_a_checkpoint_at_an_epochs_end_resumes_with_the_next_epoch(tmp_path, uninterrupted):
    trainer = PlanTrainer(plan())

    class Save(Callback):
        def on_epoch_end(self, epoch, logs=None):
            trainer.save_checkpoint(tmp_path / f"{epoch}")

    fit(trainer, X, Y, validation_split=0.2, callbacks=[Save()])
    for epoch in (0, 4):
        resumed = PlanTrainer(plan())
        resumed.load_checkpoint(tmp_path / f"{epoch}")
        assert resumed.epochs_done == epoch + 1
        assert fit(resumed, X, Y, validation_split=0.2).history == uninterrupted[1].history
        assert have_equal_variables(resumed, uninterrupted[0])


def test_a_resumed_run_may_have_more_epochs(tmp_path):
    long, short = PlanTrainer(classifier()), PlanTrainer(classifier())
    expected = fit(long, X, Y, epochs=4).history
    fit(short, X, Y, epochs=2)
    short.save_checkpoint(tmp_path / "c")
    resumed = PlanTrainer(classifier())
    resumed.load_checkpoint(tmp_path / "c")
    assert fit(resumed, X, Y, epochs=4).history == expected


def test_a_checkpoint_outside_a_fit_keeps_the_slots(tmp_path):
    saved, resumed = PlanTrainer(classifier(noise=0.2)), PlanTrainer(classifier(noise=0.2))
    for _ in range(3):
        saved.step(X, Y)
    saved.save_checkpoint(tmp_path / "c")
    resumed.load_checkpoint(tmp_path / "c")
    assert resumed.step(X, Y) == saved.step(X, Y)
    assert have_equal_variables(saved, resumed)


def test_the_same_state_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        trainer = PlanTrainer(classifier())
        fit(trainer, X, Y, epochs=1)
        trainer.save_checkpoint(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "c.safetensors"
    trainer = PlanTrainer(classifier())
    fit(trainer, X, Y, epochs=1)
    trainer.save_checkpoint(path)
    return path


def refused(trainer, path, code="bad-checkpoint"):
    with pytest.raises(CompileError) as error:
        trainer.load_checkpoint(path)
    assert error.value.diagnostics[0].code == code
    return error.value.diagnostics


def test_any_flipped_bit_is_detected(saved, tmp_path):
    content = saved.read_bytes()
    trainer = PlanTrainer(classifier())
    weights = trainer.weights()
    path = tmp_path / "c"
    for place in [*range(0, 8), *range(8, len(content), 37), len(content) - 1]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        refused(trainer, path)
    assert all((array == weights[name]).all() for name, array in trainer.weights().items())


def test_a_truncated_file_is_detected(saved, tmp_path):
    content = saved.read_bytes()
    for length in (0, 1, 8, 100, len(content) // 2, len(content) - 1):
        (tmp_path / "c").write_bytes(content[:length])
        refused(PlanTrainer(classifier()), tmp_path / "c")


def places(value, path=()):
    """Every key and index in a JSON value."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*path, key)
        if isinstance(inner, (dict, list)):
            yield from places(inner, (*path, key))


@pytest.mark.costly(3)
@pytest.mark.parametrize("forged_value", ["gone", None, "x", -1, [1], {"a": 1}], ids=str)
def test_a_forged_checkpoint_is_refused_or_loaded_without_a_crash(tmp_path, forged_value):
    trainer = PlanTrainer(plan())
    fit(trainer, X, Y, epochs=2, validation_split=0.2, callbacks=[SaveAt(trainer, tmp_path / "c", 7)])
    arrays, state = checkpoint.load(tmp_path / "c")
    forged = PlanTrainer(plan())
    for path in places(state):
        changed = inside = copy.deepcopy(state)
        for step in path[:-1]:
            inside = inside[step]
        if forged_value == "gone":
            del inside[path[-1]]
        else:
            inside[path[-1]] = forged_value
        checkpoint.save(tmp_path / "d", arrays, changed)
        with suppress(CompileError):
            forged.load_checkpoint(tmp_path / "d")
            fit(forged, X, Y, epochs=3, validation_split=0.2)


def test_a_checkpoint_of_an_earlier_version_has_its_best_weights(tmp_path, uninterrupted):
    trainer = PlanTrainer(plan())
    fit(trainer, X, Y, validation_split=0.2, callbacks=[SaveAt(trainer, tmp_path / "c", 13)])
    arrays, state = checkpoint.load(tmp_path / "c")
    assert any(name.startswith("+best/") for name in arrays)
    checkpoint.save(tmp_path / "c", {name.removeprefix("+"): array for name, array in arrays.items()}, state)
    resumed = PlanTrainer(plan())
    resumed.load_checkpoint(tmp_path / "c")
    assert fit(resumed, X, Y, validation_split=0.2).history == uninterrupted[1].history
    assert have_equal_variables(resumed, uninterrupted[0])


def test_a_checkpoint_of_an_earlier_version_has_no_learning_rates(tmp_path, uninterrupted):
    trainer = PlanTrainer(plan())
    fit(trainer, X, Y, validation_split=0.2, callbacks=[SaveAt(trainer, tmp_path / "c", 13)])
    arrays, state = checkpoint.load(tmp_path / "c")
    epochs = len(state["progress"]["history"]["epoch"])
    del state["progress"]["history"]["history"]["learning_rate"]
    checkpoint.save(tmp_path / "c", arrays, state)
    resumed = PlanTrainer(plan())
    resumed.load_checkpoint(tmp_path / "c")
    history, whole = fit(resumed, X, Y, validation_split=0.2).history, uninterrupted[1].history
    assert epochs > 0
    assert np.isnan(history["learning_rate"][:epochs]).all()
    assert history["learning_rate"][epochs:] == whole["learning_rate"][epochs:]
    assert history["loss"] == whole["loss"]


def test_another_file_is_refused(tmp_path):
    from safetensors.numpy import save_file

    save_file({"a": np.ones(3)}, tmp_path / "weights.safetensors")
    refused(PlanTrainer(classifier()), tmp_path / "weights.safetensors")
    (tmp_path / "x").write_text("{}")
    refused(PlanTrainer(classifier()), tmp_path / "x")
    with pytest.raises(UsageError) as error:
        PlanTrainer(classifier()).load_checkpoint(tmp_path / "none")
    assert error.value.diagnostic.code == "unreadable-file"


@pytest.mark.parametrize(
    ("other_settings", "part"),
    [
        ({"seed": 9}, "seed 3, this run has seed 9"),
        ({"fingerprint": {"layers": "x"}}, "`layers` of the spec has changed"),
        ({"training": {"optimizer": "sgd"}}, "unknown array"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(saved, other_settings, part):
    errors = refused(PlanTrainer(classifier(**other_settings)), saved, "checkpoint-mismatch")
    assert part in errors[0].message


@pytest.mark.parametrize(
    ("changed", "part"),
    [({"batch_size": 7}, "batch_size changes from 32 to 7"), ({"shuffle": False}, "shuffle"), ({"x": X + 1}, "data")],
)
def test_a_run_cannot_be_resumed_with_other_settings(saved, changed, part):
    trainer = PlanTrainer(classifier())
    trainer.load_checkpoint(saved)
    with pytest.raises(CompileError, match=part):
        fit(trainer, **{"x": X, "y": Y, "epochs": 2, **changed})


def test_another_machine_is_a_warning(saved):
    (warning,) = PlanTrainer(classifier(), threads=7).load_checkpoint(saved)
    assert (warning.code, warning.severity) == ("not-exact", "warning")
    assert "threads" in warning.message


# -- interruption ----------------------------------------------------------------------------------------------------

PROGRAM = """
import sys
from unit.runtime.plans import classifier, fit, flowers
from jsonnx.core.callback import Callback
from jsonnx.runtime.fit.trainer import PlanTrainer

class Tell(Callback):
    def on_train_batch_end(self, batch, logs=None):
        print("step", flush=True)

trainer = PlanTrainer(classifier(noise=0.2))
history = fit(trainer, *flowers(), batch_size=8, epochs=1_000_000, callbacks=[Tell()])
trainer.save_checkpoint(sys.argv[1])
print(history.signal, trainer.steps, trainer.engine.variables()["optimizer/iterations"], flush=True)
"""


def started(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    program = [sys.executable, "-c", PROGRAM, str(tmp_path / "c")]
    child = subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "step\n"
    return child


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_the_step(tmp_path, number):
    child = started(tmp_path)
    child.send_signal(number)
    output, errors = child.communicate(timeout=300)
    reported_signal, steps, iterations = output.splitlines()[-1].split()
    assert (int(reported_signal), errors, child.returncode) == (number, "", 0)
    assert int(steps) == int(iterations) >= 1
    resumed = PlanTrainer(classifier(noise=0.2))
    assert resumed.load_checkpoint(tmp_path / "c") == []
    assert resumed.steps == int(steps)


def test_a_killed_run_leaves_its_checkpoint(tmp_path, uninterrupted):
    trainer = PlanTrainer(plan())
    fit(trainer, X, Y, validation_split=0.2, callbacks=[SaveAt(trainer, tmp_path / "c", 7, interrupt=False)])
    resumed = PlanTrainer(plan())
    resumed.load_checkpoint(tmp_path / "c")
    assert fit(resumed, X, Y, validation_split=0.2).history == uninterrupted[1].history
    assert have_equal_variables(resumed, uninterrupted[0])


def test_a_second_signal_acts_at_once_and_handlers_are_restored():
    before = signal.getsignal(signal.SIGINT)
    with StopOnSignal() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with StopOnSignal() as stop:
            signal.raise_signal(signal.SIGTERM)
        assert stop.signal is None
    finally:
        signal.signal(signal.SIGTERM, before)


def test_training_works_in_another_thread():
    histories = []
    thread = threading.Thread(target=lambda: histories.append(fit(PlanTrainer(classifier()), X, Y, epochs=1)))
    thread.start()
    thread.join()
    assert len(histories[0].epoch) == 1


# -- run folders -----------------------------------------------------------------------------------------------------


def test_a_run_folder_holds_the_files_of_a_run(tmp_path):
    trainer = PlanTrainer(classifier())
    with RunFolder(tmp_path / "a" / "run") as folder:
        folder.start_run(trainer, {folder.paths.spec: "{}", folder.paths.run_info: "{}"})
        folder.write_model(ModelWriter(onnx.ModelProto(), []))
        folder.write_weights(trainer.weights())
        folder.append_metrics(0, {"loss": 1.0, "val_loss": float("nan")})
        folder.append_metrics(1, {"loss": 0.5})
        path = folder.save_checkpoint(trainer)
    assert (
        folder.path / "metrics.jsonl"
    ).read_text() == '{"epoch": 0, "loss": 1.0, "val_loss": null}\n{"epoch": 1, "loss": 0.5}\n'
    assert path.parent == folder.path / "checkpoints"
    names = sorted(os.listdir(folder.path))
    assert names == [
        ".lock",
        "checkpoints",
        "metrics.jsonl",
        "model.onnx",
        "run.json",
        "spec.json",
        "steps.jsonl",
        "weights.safetensors",
    ]


def test_two_runs_cannot_share_a_folder(tmp_path):
    with RunFolder(tmp_path / "run"):
        with pytest.raises(UsageError) as error, RunFolder(tmp_path / "run"):
            pass
        assert error.value.diagnostic.code == "run-locked"
    with RunFolder(tmp_path / "run"):
        pass


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError) as error, RunFolder(tmp_path / "file"):
        pass
    assert error.value.diagnostic.code == "unwritable-file"


def test_old_checkpoints_are_removed_and_damaged_ones_are_skipped(tmp_path):
    trainer = PlanTrainer(classifier())
    with RunFolder(tmp_path) as folder:
        for _ in range(4):
            trainer.step(X, Y)
            folder.save_checkpoint(trainer)
        newest, older = folder.checkpoints()
        newest.write_bytes(newest.read_bytes()[:-1])
        resumed = PlanTrainer(classifier())
        loaded_path, (warning,) = folder.load_newest_checkpoint(resumed)
        assert (loaded_path, resumed.steps) == (older, 3)
        assert (warning.code, warning.severity, warning.file) == ("bad-checkpoint", "warning", str(newest))
        older.write_bytes(b"")
        with pytest.raises(CompileError):
            folder.load_newest_checkpoint(resumed)
        assert folder.checkpoints() == [newest, older]
    with RunFolder(tmp_path / "new") as folder:
        assert folder.load_newest_checkpoint(resumed) == (None, [])


@pytest.mark.parametrize("keep", [1, 2])
def test_a_damaged_checkpoint_is_none_of_those_that_are_kept(tmp_path, keep):
    trainer = PlanTrainer(classifier())
    with RunFolder(tmp_path) as folder:
        for _ in range(3):
            trainer.step(X, Y)
            folder.save_checkpoint(trainer)
        newest, older = folder.checkpoints()
        newest.write_bytes(newest.read_bytes()[:-1])
    resumed = PlanTrainer(classifier())
    with RunFolder(tmp_path) as folder:
        assert folder.load_newest_checkpoint(resumed)[0] == older
        folder.save_best_checkpoint(resumed)
        assert [*read_manifest(folder.paths.checkpoint_manifest)] == ["best.safetensors", older.name]
        folder.save_checkpoint(resumed, keep)  # of the same step
        assert folder.checkpoints() == [older]
        resumed.step(X, Y)
        folder.save_checkpoint(resumed, keep)
        assert folder.checkpoints() == [newest, older][:keep]
        assert folder.load_newest_checkpoint(PlanTrainer(classifier())) == (newest, [])


def test_a_manifest_has_the_hashes_of_all_checkpoints(tmp_path):
    trainer = PlanTrainer(classifier())
    with RunFolder(tmp_path) as folder:
        folder.start_run(trainer, {folder.paths.spec: "{}", folder.paths.run_info: "{}"})
        folder.save_best_checkpoint(trainer)
        trainer.step(X, Y)
        newest = folder.save_checkpoint(trainer)
    with RunFolder(tmp_path) as folder:  # another process
        trainer.step(X, Y)
        folder.save_checkpoint(trainer)
        digests = read_manifest(folder.paths.checkpoint_manifest)
        paths = folder.paths.checkpoint_folder.glob("*.safetensors")
        assert digests == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
        assert len(digests) == 3
        (tmp_path / "checkpoints" / newest.name).unlink()
        _, (warning,) = folder.load_newest_checkpoint(PlanTrainer(classifier()))
        assert f"the checkpoint {newest.name!r} is missing" in warning.message
        (tmp_path / "checkpoints" / "SHA256SUMS").write_bytes(b"\xff")
        _, (warning,) = folder.load_newest_checkpoint(PlanTrainer(classifier()))
        assert "the manifest is damaged" in warning.message
        folder.save_checkpoint(trainer)
        assert folder.load_newest_checkpoint(PlanTrainer(classifier()))[1] == []


def test_a_diverged_run_can_still_be_saved(tmp_path):
    trainer = PlanTrainer(classifier())
    fit(trainer, X, Y, epochs=1)
    bad = {name: np.full_like(array, np.inf) for name, array in trainer.weights().items()}
    trainer.set_weights(bad)
    with pytest.raises(Diverged, match="is no longer finite"):
        fit(trainer, X, Y, epochs=1)
    trainer.save_checkpoint(tmp_path / "c")
    assert trainer.epochs_done == 0


# -- large networks ----------------------------------------------------------------------------------------------------


@pytest.fixture
def every_file_is_large(monkeypatch):
    monkeypatch.setattr(safetensors_file, "MIN_MAPPED_BYTES", 1)
    monkeypatch.setattr(kept_weights, "MIN_MAPPED_BYTES", 1)


def is_mapped(array):
    while isinstance(array.base, np.ndarray):
        array = array.base
    return isinstance(getattr(array.base, "obj", array.base), mmap.mmap)


@pytest.mark.usefixtures("every_file_is_large")
@pytest.mark.parametrize("step", [4, 13])
def test_a_run_whose_best_weights_are_on_the_disk_is_resumed_bit_for_bit(tmp_path, uninterrupted, step):
    trainer, path, folder = PlanTrainer(plan()), tmp_path / "c.safetensors", tmp_path / "temporary"
    folder.mkdir()
    trainer.temporary_folder = folder
    fit(trainer, X, Y, validation_split=0.2, callbacks=[SaveAt(trainer, path, step)])
    resumed = PlanTrainer(plan())
    resumed.temporary_folder = folder
    assert resumed.load_checkpoint(path) == []
    assert fit(resumed, X, Y, validation_split=0.2).history == uninterrupted[1].history
    assert all(is_mapped(array) for array in resumed._progress.best_weights.values())
    assert have_equal_variables(resumed, uninterrupted[0])
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("every_file_is_large")
def test_best_weights_that_cannot_be_stored_end_the_fit_with_an_error(tmp_path):
    trainer = PlanTrainer(plan())
    trainer.temporary_folder = tmp_path / "gone"
    with pytest.raises(UsageError, match=r"cannot keep the weights of the best epoch in a temporary file in '.*gone'"):
        fit(trainer, X, Y, validation_split=0.2)


@pytest.mark.usefixtures("every_file_is_large")
def test_arrays_of_callbacks_can_be_changed_after_a_large_checkpoint_was_loaded(tmp_path):
    class Sums(Callback):
        sums = np.zeros(3)

        def state_dict(self):
            return {"sums": self.sums}

        def load_state_dict(self, state):
            self.sums = state["sums"]

        def on_epoch_end(self, epoch, logs=None):
            self.sums += 1

    trainer = PlanTrainer(classifier())
    fit(trainer, X, Y, epochs=1, callbacks=[Sums()])
    trainer.save_checkpoint(tmp_path / "c")
    resumed, sums = PlanTrainer(classifier()), Sums()
    resumed.load_checkpoint(tmp_path / "c")
    fit(resumed, X, Y, epochs=3, callbacks=[sums])
    assert sums.sums.tolist() == [3, 3, 3]


def test_a_checkpoint_is_the_bytes_of_the_variables_and_never_a_copy_of_them(tmp_path, monkeypatch):
    """The file has the variables' own memory, one part for each."""
    trainer, written = PlanTrainer(classifier()), []
    monkeypatch.setattr(checkpoint, "write_atomically", lambda path, parts: written.extend(parts))
    trainer.save_checkpoint(tmp_path / "c")
    variables = trainer.engine.state_dict()
    assert len(written) == 2 + len(variables)
    for part in written[2:]:
        assert any(np.shares_memory(np.frombuffer(part, np.uint8), array) for array in variables.values())


def test_views_of_variables_cannot_be_written(tmp_path):
    trainer = PlanTrainer(classifier())
    for array in trainer.current_weights().values():
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    snapshot = trainer.weights()
    trainer.step(X, Y)
    assert any((array != snapshot[name]).any() for name, array in trainer.current_weights().items())


def test_mapped_arrays_of_a_user_keep_their_changes(tmp_path):
    trainer = PlanTrainer(classifier())
    given = {}
    for name, array in trainer.weights().items():
        (tmp_path / "w").write_bytes(array.tobytes())
        given[name] = np.memmap(tmp_path / "w", array.dtype, "c", shape=array.shape)  # changes are not written
        given[name][...] = 3
        (tmp_path / "w").unlink()
    trainer.set_weights(given)
    for name, array in trainer.weights().items():
        assert (array == 3).all()
        assert (given[name] == 3).all()


def test_a_weight_that_is_released_is_read_again(tmp_path):
    arrays = {"a": np.arange(1 << 25, dtype=np.float32)}
    path = tmp_path / "w.safetensors"
    with open(path, "wb") as file:
        file.writelines(safetensors_file.weights_parts(arrays))
    read = read_weight_file(path)
    assert is_mapped(read["a"])
    release_pages(read["a"])
    assert (read["a"] == arrays["a"]).all()
