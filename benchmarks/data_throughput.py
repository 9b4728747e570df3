"""Rows per second of reading data files on one core: `python -m benchmarks.data_throughput --rows 200000`.

jsonnx is measured beside pandas, pyarrow, NumPy and PyTorch's DataLoader, as far as these are installed, on the same
files. Each reader makes batches of float32 arrays; jsonnx also validates every value before the first batch, and that
time counts. Columns of its table: format, reader, rows per second.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import numpy as np

FEATURES, BATCH = 16, 256
COLUMNS = [f"x{index}" for index in range(FEATURES)]


def write_files(folder: Path, rows: int) -> None:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    x = np.random.default_rng(0).random((rows, FEATURES), np.float32)
    table = pa.table({name: x[:, index] for index, name in enumerate(COLUMNS)})
    np.save(folder / "x.npy", x)
    pyarrow.csv.write_csv(table, folder / "x.csv")
    pyarrow.parquet.write_table(table, folder / "x.parquet", row_group_size=1 << 14)


def jsonnx_batches(path: Path, memory: str) -> Iterator[np.ndarray]:
    from jsonnx.core.types import BATCH as BATCH_AXIS
    from jsonnx.core.types import TensorType
    from jsonnx.runtime.data_spec import DataSpec
    from jsonnx.runtime.dataset_files import from_file
    from jsonnx.training.section import DataSection

    columns = ("x",) if path.suffix == ".npy" else tuple(COLUMNS)
    section = DataSection(train=path.name, x=columns, memory=memory)
    spec = DataSpec({"x": TensorType("float32", (BATCH_AXIS, FEATURES))}, {})
    samples = from_file(path, section, spec, targets=False)
    order = samples.order(0, 0)
    for start in range(0, len(samples), BATCH):
        yield samples.take(order[start : start + BATCH])["x"]


def shuffled(x: np.ndarray) -> Iterator[np.ndarray]:
    order = np.random.default_rng(0).permutation(len(x))
    return (x[order[start : start + BATCH]] for start in range(0, len(x), BATCH))


def pandas_batches(path: Path) -> Iterator[np.ndarray]:
    import pandas as pd

    frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    return shuffled(frame.to_numpy(np.float32))


def pyarrow_batches(path: Path) -> Iterator[np.ndarray]:
    import pyarrow.csv
    import pyarrow.parquet

    options = pyarrow.csv.ReadOptions(use_threads=False)
    is_csv = path.suffix == ".csv"
    table = pyarrow.csv.read_csv(path, options) if is_csv else pyarrow.parquet.read_table(path, use_threads=False)
    return shuffled(np.column_stack([column.to_numpy() for column in table.columns]).astype(np.float32, copy=False))


def torch_batches(path: Path) -> Iterator[np.ndarray]:
    import torch

    data = torch.utils.data.TensorDataset(torch.from_numpy(np.load(path)))
    return (batch[0].numpy() for batch in torch.utils.data.DataLoader(data, BATCH, shuffle=True))


READERS: list[tuple[str, str, str, Callable[[Path], Iterator[np.ndarray]]]] = [
    *((format, "jsonnx, loaded", "jsonnx", lambda path: jsonnx_batches(path, "load")) for format in ("npy", "parquet")),
    *(
        (format, "jsonnx, streamed", "jsonnx", lambda path: jsonnx_batches(path, "stream"))
        for format in ("npy", "parquet")
    ),
    ("csv", "jsonnx, loaded", "jsonnx", lambda path: jsonnx_batches(path, "load")),
    *((format, "pandas", "pandas", pandas_batches) for format in ("csv", "parquet")),
    *((format, "pyarrow", "pyarrow", pyarrow_batches) for format in ("csv", "parquet")),
    ("npy", "NumPy", "numpy", lambda path: shuffled(np.load(path))),
    ("npy", "PyTorch DataLoader", "torch", torch_batches),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    rows = parser.parse_args().rows
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_files(folder, rows)
        for format, reader, package, read in sorted(READERS, key=lambda entry: entry[:2]):
            if find_spec(package) is None:
                continue
            start = perf_counter()
            count = sum(len(batch) for batch in read(folder / f"x.{format}"))
            assert count == rows
            print(f"{format:8}  {reader:20}  {rows / (perf_counter() - start):12,.0f}", flush=True)


if __name__ == "__main__":
    main()
