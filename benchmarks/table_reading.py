"""Time and memory from opening a table to arrays of its inputs and targets: `python -m benchmarks.table_reading`.

jsonnx is measured beside pandas and pyarrow, as far as these are installed, on the same files: ten columns of numbers
and one of classes, as integers or as texts. Each reading is a process of its own, which has imported the packages and
read a small table before; the readers take turns. jsonnx also validates every value, and all readers turn texts into
class indices. Columns of the table: file, reader, medians of seconds and of seconds of processor time, and the greatest
peak of memory above the arrays in MB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import numpy as np

NAMES = [f"x{index}" for index in range(10)]
CLASSES = ["ash", "birch", "cedar", "elm", "oak"]
FILES = ("integers.csv", "texts.csv", "integers.parquet")
Arrays = tuple[np.ndarray, np.ndarray]


def write_files(folder: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    x, classes = rng.normal(size=(rows, len(NAMES))), rng.integers(len(CLASSES), size=rows).tolist()
    with open(folder / FILES[0], "w") as integers, open(folder / FILES[1], "w") as texts:
        for file in (integers, texts):
            file.write(",".join([*NAMES, "y"]) + "\n")
        for row, number in zip(x.tolist(), classes, strict=True):
            numbers = ",".join(f"{value:.6f}" for value in row)
            integers.write(f"{numbers},{number}\n")
            texts.write(f"{numbers},{CLASSES[number]}\n")
    if find_spec("pyarrow"):
        import pyarrow as pa
        import pyarrow.parquet

        columns = {name: x[:, index] for index, name in enumerate(NAMES)} | {"y": np.array(classes)}
        pyarrow.parquet.write_table(pa.table(columns), folder / FILES[2], row_group_size=1 << 16)


def read_with_jsonnx(path: Path) -> Arrays:
    from jsonnx.core.types import BATCH, TensorType
    from jsonnx.data.files.dataset_files import from_file
    from jsonnx.data.samples.data_spec import DataSpec
    from jsonnx.sections.data_section import DataSection

    section = DataSection(train=path.name, x={"x": NAMES}, y="y", memory="load")
    inputs, targets = {"x": TensorType("float32", (BATCH, len(NAMES)))}, {"y": TensorType("int64", (BATCH,))}
    samples = from_file(path, section, DataSpec(inputs, targets, learns_labels=True, class_counts={"y": len(CLASSES)}))
    return np.asarray(samples.inputs["x"]), np.asarray(samples.targets["y"])


def read_with_pandas(path: Path) -> Arrays:
    import pandas as pd

    frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    has_texts = path.name == FILES[1]
    return frame[NAMES].to_numpy(), pd.factorize(frame["y"], sort=True)[0] if has_texts else frame["y"].to_numpy()


def read_with_pyarrow(path: Path) -> Arrays:
    import pyarrow.csv
    import pyarrow.parquet

    table = pyarrow.csv.read_csv(path) if path.suffix == ".csv" else pyarrow.parquet.read_table(path)
    x = np.column_stack([table.column(name).to_numpy() for name in NAMES])
    y = table.column("y").combine_chunks()
    return x, (y.dictionary_encode().indices if path.name == FILES[1] else y).to_numpy()


READERS: dict[str, Callable[[Path], Arrays]] = {
    "jsonnx": read_with_jsonnx,
    "pandas": read_with_pandas,
    "pyarrow": read_with_pyarrow,
}


def _resident_bytes(field: str) -> int:
    """The current (VmRSS) or the greatest (VmHWM) memory of this process."""
    status = Path("/proc/self/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith(field))


def measure(reader: str, path: Path) -> None:
    """Prints the seconds, the seconds of processor time and the bytes of memory above the arrays, as JSON."""
    READERS[reader](path.parent / "small" / path.name)
    before, start, start_of_process = _resident_bytes("VmRSS"), perf_counter(), process_time()
    arrays = READERS[reader](path)
    seconds, processor_seconds = perf_counter() - start, process_time() - start_of_process
    memory = _resident_bytes("VmHWM") - before - sum(array.nbytes for array in arrays)
    print(json.dumps([seconds, processor_seconds, memory]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", nargs=2, metavar=("READER", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure[0], Path(options.measure[1]))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "small").mkdir()
        write_files(folder, options.rows)
        write_files(folder / "small", 1000)
        results: dict[tuple[str, str], list[list[float]]] = {}
        for _ in range(options.rounds):
            for file in FILES:
                for reader in READERS:
                    if find_spec(reader) and (folder / file).exists():
                        command = [sys.executable, "-m", __spec__.name, "--measure", reader, str(folder / file)]
                        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                        results.setdefault((file, reader), []).append(json.loads(output))
    for (file, reader), metrics in results.items():
        seconds, processor_seconds, memory = zip(*metrics, strict=True)
        print(f"{file:17} {reader:8} {median(seconds):6.2f} {median(processor_seconds):6.2f} {max(memory) / 1e6:6.0f}")


if __name__ == "__main__":
    main()
