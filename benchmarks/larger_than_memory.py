"""Trains on a file of a given size, and prints the peak memory: `python -m benchmarks.larger_than_memory --gib 4`.

The file is written to a temporary folder of `--folder`, one part at a time, and removed afterwards.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

GIB = 1 << 30
FEATURES, CLASSES = 1024, 10
PART_ROWS, PARTS = 1 << 14, 7

TRAIN = """
import sys, time
import jsonnx
from benchmarks.load import peak_memory
trainer = jsonnx.Trainer(sys.argv[1])
start = time.monotonic()
trainer.fit(verbose=0)
seconds = time.monotonic() - start
print(f"{trainer.steps} steps in {seconds:.1f} s, loss {trainer.history.history['loss'][-1]:.4f}")
print(f"peak memory {peak_memory():,.0f} MB")
"""


def write_samples(folder: Path, format: str, rows: int) -> str:
    """Writes samples of random numbers, which repeat after some parts; the name of the file."""
    rng = np.random.default_rng(0)
    parts = [(rng.random((PART_ROWS, FEATURES), np.float32), rng.integers(0, CLASSES, PART_ROWS)) for _ in range(PARTS)]
    if format == "npz":
        return _write_npz(folder, rows)
    import pyarrow as pa
    import pyarrow.parquet

    schema = pa.schema({"x": pa.list_(pa.float32(), FEATURES), "classes": pa.int64()})
    path = folder / f"samples.{format}"
    is_parquet = format == "parquet"
    writer = pyarrow.parquet.ParquetWriter(path, schema) if is_parquet else pa.ipc.new_file(path, schema)
    with writer:
        for start in range(0, rows, PART_ROWS):
            x, classes = parts[start // PART_ROWS % PARTS]
            count = min(PART_ROWS, rows - start)
            arrays = [pa.FixedSizeListArray.from_arrays(pa.array(x[:count].reshape(-1)), FEATURES)]
            writer.write_table(pa.table([*arrays, pa.array(classes[:count])], schema=schema))
    return path.name


def _write_npz(folder: Path, rows: int) -> str:
    """An uncompressed archive, written through a memory-mapped .npy file."""
    import zipfile

    rng = np.random.default_rng(0)
    part = folder / "x.npy"
    x = np.lib.format.open_memmap(part, "w+", np.float32, (rows, FEATURES))
    for start in range(0, rows, PART_ROWS):
        x[start : start + PART_ROWS] = rng.random((min(PART_ROWS, rows - start), FEATURES), np.float32)
    del x
    np.save(folder / "classes.npy", rng.integers(0, CLASSES, rows))
    with zipfile.ZipFile(folder / "samples.npz", "w", zipfile.ZIP_STORED) as archive:
        for name in ("x.npy", "classes.npy"):
            archive.write(folder / name, name)
            (folder / name).unlink()
    return "samples.npz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=4.0, help="size of the inputs in GiB")
    parser.add_argument("--format", choices=("npz", "arrow", "parquet"), default="npz")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    rows = int(options.gib * GIB) // (FEATURES * 4)
    needed = (2.2 if options.format == "npz" else 1.1) * options.gib * GIB  # an .npz is copied from an .npy
    if shutil.disk_usage(options.folder).free < needed:
        sys.exit(f"{options.folder} has less than {needed / GIB:.0f} GiB free")
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder = Path(temporary)
        spec = {
            "inputs": {"x": {"shape": [FEATURES]}},
            "layers": [{"type": "Dense", "name": "classes", "units": CLASSES, "activation": "softmax"}],
            "training": {
                "loss": "sparse_categorical_crossentropy",
                "batch_size": 256,
                "epochs": 1,
                "data": {"train": write_samples(folder, options.format, rows), "shuffle_buffer": 2 * PART_ROWS},
            },
        }
        (folder / "spec.json").write_text(json.dumps(spec))
        size = sum(path.stat().st_size for path in folder.iterdir()) / GIB
        print(f"{options.format}: {rows:,} samples, {size:.1f} GiB", flush=True)
        subprocess.run([sys.executable, "-c", TRAIN, folder / "spec.json"], check=True)


if __name__ == "__main__":
    main()
