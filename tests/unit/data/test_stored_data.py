"""Data that stay in their files give the same batches, errors and weights as data that are loaded."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.data.samples import mapped_samples, stored_arrays
from jsonnx.data.samples.mapped_samples import FileMapping, MappedSamples
from jsonnx.data.samples.sample_order import block_order
from jsonnx.data.samples.stored_arrays import StoredArray
from jsonnx.data.tables.array_tables import open_npz
from safetensors.numpy import load_file
from support.commands import SOURCE, process

ROWS = 150


def _samples(seed: int = 0, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, 3)).astype(np.float32), rng.integers(0, 4, rows)


def _spec(train: Any, memory: str, **data: Any) -> dict[str, Any]:
    return {
        "name": "classifier",
        "inputs": {"x": {"shape": [3]}},
        "layers": [
            {"type": "Normalization"},
            {"type": "Dense", "name": "classes", "units": 4, "activation": "softmax"},
        ],
        "training": {
            "loss": "sparse_categorical_crossentropy",
            "batch_size": 16,
            "epochs": 2,
            "data": {"train": train, "memory": memory, **data},
        },
    }


def _write(path: Path, x: np.ndarray, y: np.ndarray, row_group: int = 32) -> None:
    if path.suffix == ".npz":
        np.savez(path, x=x, classes=y)
        return
    pa = pytest.importorskip("pyarrow")
    columns = {"x": pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), 3), "classes": pa.array(y)}
    columns |= {f"x{index}": pa.array(x[:, index]) for index in range(3)}
    table = pa.table(columns)
    if path.suffix == ".parquet":
        import pyarrow.parquet

        pyarrow.parquet.write_table(table, path, row_group_size=row_group)
        return
    compression = "zstd" if "zstd" in path.name else None
    with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table, max_chunksize=row_group)


def _trainer(folder: Path, train: Any, memory: str, **data: Any) -> jsonnx.Trainer:
    path = folder / f"{memory}.json"
    path.write_text(json.dumps(_spec(train, memory, **data)))
    return jsonnx.Trainer(path)


def _weights(folder: Path, train: Any, memory: str, **data: Any) -> dict[str, np.ndarray]:
    trainer = _trainer(folder, train, memory, **data)
    trainer.fit()
    return trainer.weights()


FILES = ("samples.npz", "samples.arrow")


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("columns", [{}, {"x": ["x2", "x0", "x1"]}])
def test_samples_in_a_mapped_file_train_the_same_weights_as_loaded_ones(
    tmp_path: Path, file: str, columns: dict[str, Any]
) -> None:
    if columns and file.endswith("npz"):
        pytest.skip("several columns are those of a table")
    _write(tmp_path / file, *_samples())
    loaded = _weights(tmp_path, file, "load", **columns)
    streamed = _weights(tmp_path, file, "stream", **columns)
    for name, weight in loaded.items():
        assert np.array_equal(streamed[name], weight), name


def test_several_files_and_a_split_are_the_same_when_streamed(tmp_path: Path) -> None:
    for number in range(3):
        _write(tmp_path / f"part-{number}.arrow", *_samples(number, 40 + number))
    loaded = _weights(tmp_path, "part-*.arrow", "load", validation_split=0.3)
    streamed = _weights(tmp_path, "part-*.arrow", "stream", validation_split=0.3)
    assert all(np.array_equal(streamed[name], weight) for name, weight in loaded.items())


@pytest.mark.parametrize("file", ["samples.parquet", "samples.zstd.arrow"])
def test_blocks_are_evaluated_as_loaded_samples_are(tmp_path: Path, file: str) -> None:
    _write(tmp_path / file, *_samples())
    loaded, streamed = (_trainer(tmp_path, file, memory, test=file, shuffle_buffer=40) for memory in ("load", "stream"))
    assert loaded.evaluate() == streamed.evaluate()


def test_errors_of_samples_in_a_file_name_their_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_arrays, "CHUNK_BYTES", 256)
    x, y = _samples()
    x[100, 1] = np.nan
    for file, place in (("samples.npz", "sample 100, element [1]"), ("samples.parquet", "row 101")):
        _write(tmp_path / file, x, y)
        messages = []
        for memory in ("load", "stream"):
            with pytest.raises(jsonnx.CompileError) as caught:
                _trainer(tmp_path, file, memory).fit()
            messages.append([str(error) for error in caught.value.diagnostics])
        assert messages[0] == messages[1]
        assert place in messages[1][0]


def test_a_label_that_is_out_of_range_is_found_in_a_streamed_file(tmp_path: Path) -> None:
    x, y = _samples()
    y[-1] = 4
    _write(tmp_path / "samples.arrow", x, y)
    with pytest.raises(jsonnx.CompileError, match="row 150"):
        _trainer(tmp_path, "samples.arrow", "stream").fit()


@pytest.mark.parametrize("memory", ["load", "stream"])
def test_a_missing_number_in_a_row_group_is_a_error(tmp_path: Path, memory: str) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    columns = {f"x{index}": pa.array([*map(float, range(50)), None]) for index in range(3)}
    table = pa.table({**columns, "classes": pa.array([0] * 51)})
    pyarrow.parquet.write_table(table, tmp_path / "samples.parquet", row_group_size=20)
    with pytest.raises(jsonnx.CompileError, match="row 51, column 'x0'"):
        _trainer(tmp_path, "samples.parquet", memory, x=["x0", "x1", "x2"]).fit()


def test_a_run_goes_on_in_the_middle_of_an_epoch_in_the_other_mode(tmp_path: Path) -> None:
    _write(tmp_path / "samples.npz", *_samples())
    whole = _weights(tmp_path, "samples.npz", "load")

    class StopAfter(jsonnx.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 3:
                first.save_checkpoint(tmp_path / "checkpoint")
                first.stop()

    first = _trainer(tmp_path, "samples.npz", "load")
    first.fit(callbacks=[StopAfter()])
    second = _trainer(tmp_path, "samples.npz", "stream")
    second.load_checkpoint(tmp_path / "checkpoint")
    second.fit()
    assert all(np.array_equal(second.weights()[name], weight) for name, weight in whole.items())


@pytest.mark.parametrize("min_read_bytes", [1, 512])
def test_a_file_that_was_shortened_is_reported(
    tmp_path: Path, min_read_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped_samples, "MIN_READ_BYTES", min_read_bytes)
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((1000, 30)))
    with path.open("rb") as file:
        mapping = FileMapping(file, "x.npy")
    stored = StoredArray(MappedSamples(mapping, np.ndarray((1000, 30), "f8", mapping.buffer, 128)))
    assert stored.read(np.array([3, 1])).shape == (2, 30)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(jsonnx.UsageError, match="was shortened"):
        stored.read(np.array([999]))


@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize("dtype", [">f4", "<i2", "u1", "?"])
@pytest.mark.parametrize("min_read_bytes", [1, 512])
def test_arrays_of_every_layout_are_read_from_a_mapped_file(
    tmp_path: Path, layout: Any, dtype: str, min_read_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped_samples, "MIN_READ_BYTES", min_read_bytes)
    values = np.asarray(np.arange(120).reshape(20, 3, 2) % 7, dtype, order=layout)
    np.savez(tmp_path / "x.npz", x=values)
    with (tmp_path / "x.npz").open("rb") as file:
        stored = open_npz(file, "x.npz", lambda: FileMapping(file, "x.npz"))._read("x")
    assert isinstance(stored, StoredArray)
    assert np.array_equal(stored, values)
    assert np.array_equal(stored.read(np.array([7, 2])), values[[7, 2]])
    assert np.array_equal(stored.subset(slice(5, 12)).read(slice(2, 4)), values[7:9])
    assert np.array_equal(stored.reshape(20, 6).read(np.array([19])), values[19:].reshape(1, 6))


def test_images_are_decoded_for_each_batch(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for number in range(20):
        folder = tmp_path / "images" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        image.fromarray(rng.integers(0, 255, (5, 4, 3), np.uint8)).save(folder / f"{number}.png")
    weights = []
    for memory in ("load", "stream"):
        spec = {
            "inputs": {"image": {"shape": [5, 4, 3]}},
            "layers": [{"type": "Flatten"}, {"type": "Dense", "name": "label", "units": 2, "activation": "softmax"}],
            "training": {
                "loss": "sparse_categorical_crossentropy",
                "batch_size": 8,
                "data": {"train": "images", "memory": memory, "validation_split": 0.2},
            },
        }
        (tmp_path / "spec.json").write_text(json.dumps(spec))
        trainer = jsonnx.Trainer(tmp_path / "spec.json")
        trainer.fit(epochs=2)
        weights.append(trainer.weights())
    assert all(np.array_equal(weights[1][name], weight) for name, weight in weights[0].items())


def test_the_order_of_blocks_is_a_permutation_that_depends_on_seed_and_epoch_alone() -> None:
    starts = np.array([0, 30, 60, 61, 100])
    order = block_order(3, 5, starts, 50)
    assert np.array_equal(np.sort(order), np.arange(100))
    assert np.array_equal(order, block_order(3, 5, starts, 50))
    assert not np.array_equal(order, block_order(3, 6, starts, 50))
    assert not np.array_equal(order, block_order(4, 5, starts, 50))


def test_blocks_train_in_the_order_of_their_buffers(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    x, y = _samples()
    _write(tmp_path / "samples.parquet", x, y)
    streamed = _trainer(tmp_path, "samples.parquet", "stream", shuffle_buffer=40)
    streamed.fit(epochs=1)
    order = block_order(streamed.plan.seed, 0, np.array([0, 32, 64, 96, 128, 150]), 40)
    expected = _trainer(tmp_path, "samples.parquet", "load")
    expected.fit(x[order], y[order], epochs=1, shuffle=False)
    for name, weight in expected.weights().items():
        assert np.allclose(streamed.weights()[name], weight, atol=1e-6), name


def _with_gaps(path: Path) -> None:
    """Three columns, of which the first one has integers and no value in some rows."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    x, y = _samples()
    numbers = [None if row in (5, 70, 149) else row for row in range(ROWS)]
    columns = {"x0": pa.array(numbers), "x1": pa.array(x[:, 1]), "x2": pa.array(x[:, 2]), "classes": pa.array(y)}
    pyarrow.parquet.write_table(pa.table(columns), path, row_group_size=32)


@pytest.mark.parametrize("missing", ["drop", "error"])
def test_missing_values_are_dropped_or_filled_as_when_loaded(tmp_path: Path, missing: str) -> None:
    _with_gaps(tmp_path / "samples.parquet")
    weights = []
    for memory in ("load", "stream"):
        spec = _spec("samples.parquet", memory, x=["x*"], missing=missing)
        if missing == "error":
            spec["layers"].insert(0, {"type": "Imputation"})
        (tmp_path / "spec.json").write_text(json.dumps(spec))
        trainer = jsonnx.Trainer(tmp_path / "spec.json")
        trainer.fit(shuffle=False)
        weights.append(trainer.weights())
    for name, weight in weights[0].items():
        np.testing.assert_allclose(weights[1][name], weight, rtol=1e-6, err_msg=name)


KILLED_AT_STEP_15 = """
import os, signal, sys
import jsonnx.pipeline.run.training_run as run
from jsonnx.cli import main
end_step, steps = run.RunFolderCallback.on_train_batch_end, iter(range(1, 100))

def stepped(self, batch, logs):
    end_step(self, batch, logs)
    if next(steps) == 15:  # of 10 in each epoch; the last checkpoint is that of step 12
        os.kill(os.getpid(), signal.SIGKILL)

run.RunFolderCallback.on_train_batch_end = stepped
main(sys.argv[1:], prog_name="jsonnx")
"""


@pytest.mark.slow
@pytest.mark.parametrize("file", ["samples.csv", "samples.parquet"])
def test_a_killed_run_continues_in_the_middle_of_an_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.chdir(tmp_path)
    x, y = _samples()
    if file.endswith("csv"):
        rows = np.column_stack([x, y])
        np.savetxt(file, rows, "%.9g", ",", header="x0,x1,x2,classes", comments="")
    else:
        _write(tmp_path / file, x, y)
    spec = _spec(file, "stream", shuffle_buffer=40) | {"name": "run"}
    spec["training"]["data"]["x"] = ["x0", "x1", "x2"]
    spec["training"] |= {"epochs": 3, "checkpoint": {"every_steps": 4}}
    Path("run.json").write_text(json.dumps(spec))
    assert process("train", "run.json", "-o", "whole").returncode == 0
    command = [sys.executable, "-c", KILLED_AT_STEP_15, "train", "run.json", "-o", "killed"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    killed = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert "continues after step 12, in epoch 2" in process("train", "run.json", "-o", "killed", "--resume").stderr
    whole, resumed = (load_file(run / "weights.safetensors") for run in (Path("whole"), Path("killed")))
    assert all(np.array_equal(resumed[name], weight) for name, weight in whole.items())
