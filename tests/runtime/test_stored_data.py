"""Data that stay in their files give the same batches, faults and weights as data that are loaded."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jsonnx
from jsonnx.core.diagnostics import CompileError, UsageError
from jsonnx.runtime import stored_arrays
from jsonnx.runtime.random import block_order
from jsonnx.runtime.stored_arrays import FileMapping, MappedSamples, StoredArray

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
def test_blocks_are_shuffled_within_a_buffer(tmp_path: Path, file: str) -> None:
    _write(tmp_path / file, *_samples())
    loaded, streamed = (_trainer(tmp_path, file, memory, test=file, shuffle_buffer=40) for memory in ("load", "stream"))
    assert loaded.evaluate() == streamed.evaluate()
