"""Rows per second of reading data files on one core: `python -m benchmarks.data_throughput --rows 200000`.

jsonnx is measured beside pandas, pyarrow, NumPy, Pillow and PyTorch's DataLoader, as far as these are installed, on the
same files. Each reader makes shuffled batches of float32 arrays; jsonnx also validates every value before the first
batch, and that time counts. The metrics are medians of rounds in which the readers take turns, in processor time, so
that other work on the machine disturbs them less. Columns of the table: format, reader, rows per second.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np

FEATURES, BATCH, IMAGES, IMAGE_PIXELS = 16, 256, 512, 160
COLUMNS = [f"x{index}" for index in range(FEATURES)]


def write_files(folder: Path, rows: int) -> None:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet
    from PIL import Image

    rng = np.random.default_rng(0)
    x = rng.random((rows, FEATURES), np.float32)
    table = pa.table({name: x[:, index] for index, name in enumerate(COLUMNS)})
    np.save(folder / "x.npy", x)
    pyarrow.csv.write_csv(table, folder / "x.csv")
    pyarrow.parquet.write_table(table, folder / "x.parquet", row_group_size=1 << 14)
    for number in range(IMAGES):
        path = folder / "x.images" / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        small = rng.integers(0, 255, (IMAGE_PIXELS // 8, IMAGE_PIXELS // 8, 3), np.uint8)
        Image.fromarray(small).resize((IMAGE_PIXELS, IMAGE_PIXELS)).save(path)


def jsonnx_batches(path: Path, memory: str) -> Iterator[np.ndarray]:
    from jsonnx.core.types import BATCH as BATCH_AXIS
    from jsonnx.core.types import TensorType
    from jsonnx.data.files.dataset_files import from_file
    from jsonnx.data.samples.data_spec import DataSpec
    from jsonnx.sections.data_section import DataSection

    columns: tuple[str, ...] = ("x",) if path.suffix == ".npy" else tuple(COLUMNS)
    shape: tuple[int, ...] = (FEATURES,)
    if path.is_dir():
        columns, shape = ("image",), (IMAGE_PIXELS, IMAGE_PIXELS, 3)
    section = DataSection(train=path.name, x=columns, memory=memory)
    spec = DataSpec({"x": TensorType("float32", (BATCH_AXIS, *shape))}, {})
    samples = from_file(path, section, spec, targets=False)
    order = samples.order(0, 0)
    buffer = np.empty((BATCH, *samples.sample_shape("x")), np.float32)  # as in training
    for start in range(0, len(samples), BATCH):
        rows = order[start : start + BATCH]
        samples.copy_into({"x": buffer[: len(rows)]}, rows)
        yield buffer[: len(rows)]


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

    torch.set_num_threads(1)
    data = torch.utils.data.TensorDataset(torch.from_numpy(np.load(path)))
    return (batch[0].numpy() for batch in torch.utils.data.DataLoader(data, BATCH, shuffle=True))


def torch_images(path: Path) -> Iterator[np.ndarray]:
    import torch
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import PILToTensor

    torch.set_num_threads(1)
    data = ImageFolder(str(path), PILToTensor())
    return (images.float().numpy() for images, _ in torch.utils.data.DataLoader(data, BATCH, shuffle=True))


def pillow_images(path: Path) -> Iterator[np.ndarray]:
    from PIL import Image

    files = sorted(path.rglob("*.jpg"))
    order = np.random.default_rng(0).permutation(len(files))
    for start in range(0, len(files), BATCH):
        images = [np.asarray(Image.open(files[index]).convert("RGB")) for index in order[start : start + BATCH]]
        yield np.stack(images).astype(np.float32)


def loaded(path: Path) -> Iterator[np.ndarray]:
    return jsonnx_batches(path, "load")


def streamed(path: Path) -> Iterator[np.ndarray]:
    return jsonnx_batches(path, "stream")


READERS: list[tuple[str, str, str, Callable[[Path], Iterator[np.ndarray]]]] = [
    *((format, "jsonnx, loaded", "jsonnx", loaded) for format in ("csv", "npy", "parquet", "images")),
    *((format, "jsonnx, streamed", "jsonnx", streamed) for format in ("csv", "npy", "parquet", "images")),
    *((format, "pandas", "pandas", pandas_batches) for format in ("csv", "parquet")),
    *((format, "pyarrow", "pyarrow", pyarrow_batches) for format in ("csv", "parquet")),
    ("npy", "NumPy", "numpy", lambda path: shuffled(np.load(path))),
    ("npy", "PyTorch DataLoader", "torch", torch_batches),
    ("images", "Pillow", "PIL", pillow_images),
    ("images", "PyTorch DataLoader", "torchvision", torch_images),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    readers = sorted((entry for entry in READERS if find_spec(entry[2])), key=lambda entry: entry[:2])
    speeds: dict[tuple[str, str], list[float]] = {entry[:2]: [] for entry in readers}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_files(folder, options.rows)
        for number in range(-1, options.rounds):  # the first round imports the packages
            for format, reader, _, read in readers:
                start = process_time()
                count = sum(len(batch) for batch in read(folder / f"x.{format}"))
                if number >= 0:
                    speeds[format, reader].append(count / (process_time() - start))
    for (format, reader), metrics in speeds.items():
        print(f"{format:8}  {reader:20}  {median(metrics):12,.0f}")


if __name__ == "__main__":
    main()
