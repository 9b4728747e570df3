"""Predictions that are computed in parts: equal bytes, kills, other jobs, formats of input and output."""

from __future__ import annotations

import bz2
import gzip
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx import compile
from jsonnx.cli import main
from jsonnx.data.tables import table_chunks
from jsonnx.pipeline.predict import predict as predict_module
from jsonnx.pipeline.predict import predictor
from support.commands import jsonnx

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

ROWS = 5_000
PART_ROWS = 512


def spec() -> dict[str, Any]:
    return {
        "inputs": {"x": {"shape": [3]}},
        "layers": [
            {"type": "Dense", "units": 4, "activation": "tanh"},
            {"type": "Dense", "name": "risk", "units": 3, "activation": "softmax"},
        ],
        "labels": ["low", "middle", "high"],
        "training": {"data": {"train": "d.csv", "x": ["a", "b", "c"]}, "loss": "sparse_categorical_crossentropy"},
    }


def rows(count: int = ROWS) -> list[dict[str, Any]]:
    values = np.random.default_rng(0).standard_normal((count, 3)).round(4).tolist()
    return [{"key": f"row {number}", "a": a, "b": b, "c": c} for number, (a, b, c) in enumerate(values)]


def csv_text(some: list[dict[str, Any]], separator: str = ",", end: str = "\n") -> str:
    lines = [list(some[0]), *(list(map(str, row.values())) for row in some)]
    return "".join(separator.join(line) + end for line in lines)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    compile(spec()).save("m.onnx")
    Path("d.csv").write_text(csv_text(rows()))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of one batch, chunks of 10 kB."""
    monkeypatch.setattr(predictor, "MAX_PART_ROWS", PART_ROWS)
    monkeypatch.setattr(table_chunks, "CHUNK_BYTES", 10_000)


def predict(*options: str, status: int = 0) -> str:
    result = jsonnx("predict", "m.onnx", *options, status=status)
    return result.stderr


def whole(data: str, output: str, *options: str) -> bytes:
    """The output of one part with all rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictor, "MAX_PART_ROWS", 1 << 16)
        patch.setattr(table_chunks, "CHUNK_BYTES", 1 << 24)
        predict("--data", data, "-o", output, *options)
    return Path(output).read_bytes()


# -- equal bytes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_parts_join_to_the_bytes_of_a_single_one(suffix: str, small_parts: None) -> None:
    expected = whole("d.csv", f"whole.{suffix}", "--id", "key")
    predict("--data", "d.csv", "-o", f"parts.{suffix}", "--id", "key")
    assert Path(f"parts.{suffix}").read_bytes() == expected
    assert expected.count(b"\n") == ROWS + (suffix == "csv")
    assert not Path(f"parts.{suffix}.parts").exists()


def test_a_parquet_file_has_the_columns_of_the_csv_file(small_parts: None) -> None:
    predict("--data", "d.csv", "-o", "p.parquet", "--id", "key")
    expected = [row.split(",") for row in whole("d.csv", "whole.csv", "--id", "key").decode().splitlines()]
    table = parquet.read_table("p.parquet")
    assert table.column_names == expected[0] == ["key", "risk", "risk: low", "risk: middle", "risk: high"]
    assert table["key"].to_pylist() == [f"row {number}" for number in range(ROWS)]
    assert table["risk"].to_pylist() == [row[1] for row in expected[1:]]
    np.testing.assert_array_equal(table["risk: low"].to_numpy(), np.array([row[2] for row in expected[1:]], np.float32))
    assert parquet.ParquetFile("p.parquet").num_row_groups == -(-ROWS // PART_ROWS)


@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet"])
def test_a_folder_has_a_file_for_each_part(format: str, small_parts: None) -> None:
    predict("--data", "d.csv", "-o", "out/", "--output-format", format, "--id", "key")
    names = sorted(path.name for path in Path("out").iterdir())
    assert names == ["_job.json", *(f"part-{number:06d}.{format}" for number in range(10))]
    predict("--data", "d.csv", "-o", "whole.csv", "--id", "key")
    if format == "csv":
        parts = [path.read_text().splitlines() for path in sorted(Path("out").glob("part-*"))]
        assert [line for part in parts for line in part[1:]] == Path("whole.csv").read_text().splitlines()[1:]
    assert "is not empty" in predict("--data", "d.csv", "-o", "out/", status=2)


def test_types_that_differ_between_parts_become_one(small_parts: None) -> None:
    some = rows(3 * PART_ROWS)
    for number, row in enumerate(some):
        row["key"] = [None, 7, 0.5][number // PART_ROWS]
        row["other"] = [1, "text", None][number // PART_ROWS]
    Path("d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    predict("--data", "d.jsonl", "-o", "p.parquet", "--id", "key", "--id", "other")
    table = parquet.read_table("p.parquet")
    assert table["key"].to_pylist() == [None] * PART_ROWS + [7.0] * PART_ROWS + [0.5] * PART_ROWS
    assert table["other"].to_pylist() == ["1"] * PART_ROWS + ["text"] * PART_ROWS + [None] * PART_ROWS
    predict("--data", "d.jsonl", "-o", "out/", "--id", "key", "--id", "other")
    assert parquet.read_table("out")["other"].to_pylist() == table["other"].to_pylist()


# -- formats of the data -----------------------------------------------------------------------------------------------


def arrow_table() -> Any:
    return pa.Table.from_pylist(rows())


def write_ipc(path: str) -> None:
    with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, arrow_table().schema) as writer:
        writer.write_table(arrow_table(), max_chunksize=700)


JSON_LINES = "".join(json.dumps(row) + "\n" for row in rows()).encode()
CSV = csv_text(rows()).encode()
FORMATS = {
    "d.tsv": lambda: Path("d.tsv").write_text(csv_text(rows(), "\t")),
    "crlf.csv": lambda: Path("crlf.csv").write_bytes(csv_text(rows(), end="\r\n").encode()),
    "mark.csv": lambda: Path("mark.csv").write_bytes(b"\xef\xbb\xbf" + CSV + b"\n\n"),
    "quoted.csv": lambda: Path("quoted.csv").write_bytes(CSV.replace(b"row 7,", b'"row 7",')),
    "d.csv.gz": lambda: Path("d.csv.gz").write_bytes(gzip.compress(CSV)),
    "d.csv.bz2": lambda: Path("d.csv.bz2").write_bytes(bz2.compress(CSV)),
    "d.jsonl": lambda: Path("d.jsonl").write_bytes(JSON_LINES.replace(b"\n", b"\n\n", 3)),
    "d.jsonl.gz": lambda: Path("d.jsonl.gz").write_bytes(gzip.compress(JSON_LINES)),
    "d.parquet": lambda: parquet.write_table(arrow_table(), "d.parquet", row_group_size=1_300),
    "text.parquet": lambda: parquet.write_table(arrow_table(), "text.parquet", use_dictionary=False),
    "d.arrow": lambda: write_ipc("d.arrow"),
    "d.json": lambda: Path("d.json").write_text(json.dumps(rows())),
}


@pytest.mark.parametrize("data", FORMATS)
def test_all_formats_of_tables_give_the_same_predictions(data: str, small_parts: None) -> None:
    FORMATS[data]()
    expected = whole("d.csv", "whole.csv", "--id", "key")
    predict("--data", data, "-o", "p.csv", "--id", "key")
    assert Path("p.csv").read_bytes() == expected


def test_the_tables_of_a_folder_are_read_in_the_order_of_their_numbers(small_parts: None) -> None:
    expected = whole("d.csv", "whole.csv", "--id", "key")
    Path("tables").mkdir()
    for number, start in enumerate(range(0, ROWS, 450)):
        Path(f"tables/t-{number}.csv").write_text(csv_text(rows()[start : start + 450]))
    Path("tables/_SUCCESS.csv").write_text("")
    predict("--data", "tables", "-o", "p.csv", "--id", "key")
    assert Path("p.csv").read_bytes() == expected


def test_standard_input_is_predicted_in_parts(small_parts: None) -> None:
    expected = whole("d.csv", "whole.csv", "--id", "key")
    jsonnx("predict", "m.onnx", "--data", "-", "-o", "p.csv", "--id", "key", stdin=CSV.decode())
    assert Path("p.csv").read_bytes() == expected


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_an_error_far_behind_names_its_row(suffix: str, small_parts: None) -> None:
    some = rows()
    some[4_321]["b"] = None
    if suffix == "csv":
        Path("bad.csv").write_text(csv_text(some).replace("None", ""))
    elif suffix == "jsonl":
        Path("bad.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    else:
        parquet.write_table(pa.Table.from_pylist(some), "bad.parquet", row_group_size=900)
    error = predict("--data", f"bad.{suffix}", "-o", "p.csv", status=1)
    place = {"csv": "bad.csv:4323", "jsonl": "bad.jsonl:4322", "parquet": "row 4322, column 'b'"}[suffix]
    assert place in error
    assert not Path("p.csv").exists()


def test_a_damaged_compressed_table_is_an_error(small_parts: None) -> None:
    data = gzip.compress(CSV)
    Path("d.csv.gz").write_bytes(data[: len(data) // 2])
    assert "not a readable .gz file" in predict("--data", "d.csv.gz", "-o", "p.csv", status=1)


def test_a_quotation_mark_that_is_never_closed_is_an_error(small_parts: None) -> None:
    Path("open.csv").write_bytes(CSV.replace(b"row 3000", b'"row 3000'))
    assert "ends within quotation marks" in predict("--data", "open.csv", "-o", "p.csv", status=1)
    Path("header.csv").write_text("key,a,b,c\n")
    assert "no rows below its header" in predict("--data", "header.csv", "-o", "q.csv", status=1)


def test_columns_that_only_some_parts_have_are_an_error(small_parts: None) -> None:
    some = rows()
    some[-1]["note"] = "late"
    Path("d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    error = predict("--data", "d.jsonl", "-o", "p.csv", "--with-inputs", status=2)
    assert "error[data-shape]" in error
    assert "from row 4,609 on: rows before do not have 'note'" in error


def test_columns_are_in_the_order_of_the_first_row(small_parts: None) -> None:
    some = rows()
    text = "".join(
        json.dumps(dict(reversed(row.items())) if number > 900 else row) + "\n" for number, row in enumerate(some)
    )
    Path("d.jsonl").write_text(text)
    for output in ("p.csv", "p.jsonl"):
        assert whole("d.jsonl", output, "--with-inputs")
        expected = Path(output).read_bytes()
        predict("--data", "d.jsonl", "-o", output, "--with-inputs")
        assert Path(output).read_bytes() == expected
    assert Path("p.csv").read_text().startswith("key,a,b,c,risk,")
    assert jsonnx("predict", "m.onnx", "--data", "d.jsonl", "--with-inputs").stdout == Path("p.csv").read_text()


# -- interrupted predictions -------------------------------------------------------------------------------------------


class Stop(Exception):
    """Ends a prediction as a killed process does: nothing is tidied up."""


def stopped(*options: str, parts: int = 3) -> None:
    """Starts a prediction that ends when it has written some parts."""
    with pytest.MonkeyPatch.context() as patch:
        add = predict_module.PartsFolder.add

        def stop(self: Any, *arguments: Any) -> None:
            add(self, *arguments)
            if self.progress.parts >= parts:
                raise Stop

        patch.setattr(predict_module.PartsFolder, "add", stop)
        patch.setenv("JSONNX_DEBUG", "1")
        with pytest.raises(Stop):
            main(["predict", "m.onnx", *options], standalone_mode=False)


@pytest.mark.parametrize("data", ["d.csv", *FORMATS])
def test_an_interrupted_prediction_goes_on(data: str, small_parts: None) -> None:
    if data in FORMATS:
        FORMATS[data]()
    expected = whole("d.csv", "whole.csv", "--id", "key")
    options = ["--data", data, "-o", "p.csv", "--id", "key"]
    stopped(*options)
    assert not Path("p.csv").exists()
    progress = json.loads(Path("p.csv.parts/_progress.json").read_text())
    assert progress["rows"] == 3 * PART_ROWS
    first = Path("p.csv.parts/part-000000.csv")
    written = first.stat().st_mtime_ns
    stopped(*options, parts=6)
    assert first.stat().st_mtime_ns == written
    status = predict(*options)
    assert f"continues the prediction in 'p.csv.parts': {6 * PART_ROWS:,} rows are done" in status
    assert Path("p.csv").read_bytes() == expected
    assert not Path("p.csv.parts").exists()


def change_data() -> list[str]:
    Path("d.csv").write_text(csv_text(rows(ROWS + 1)))
    return []


def change_model() -> list[str]:
    compile(spec(), seed=7).save("m.onnx")
    return []


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (change_data, "another content of"),
        (change_model, "another model"),
        (lambda: ["--id", "a"], 'had ["key"] as keep'),
    ],
)
def test_another_job_does_not_take_the_parts(change: Any, difference: str, small_parts: None) -> None:
    options = ["--data", "d.csv", "-o", "p.csv", "--id", "key"]
    stopped(*options)
    options += change()
    error = predict(*options, status=2)
    assert "error[job-changed]" in error
    assert difference in error
    predict(*options, "--force")
    assert Path("p.csv").read_bytes() == whole("d.csv", "whole.csv", *options[4:])


def test_a_damaged_folder_of_parts_is_an_error(small_parts: None) -> None:
    options = ["--data", "d.csv", "-o", "p.csv"]
    stopped(*options)
    Path("p.csv.parts/part-000001.csv").unlink()
    assert "part-000001.csv' is missing" in predict(*options, status=2)
    Path("p.csv.parts/_progress.json").write_text("{")
    assert "cannot be read" in predict(*options, status=2)
    Path("p.csv.parts/_job.json").write_text('{"data": 3}')
    assert "job-changed" in predict(*options, status=2)
    predict(*options, "--force")
    Path("q.csv.parts").mkdir()
    Path("q.csv.parts/part-000000.csv").write_text("precious")
    assert "error[file-exists]" in predict("--data", "d.csv", "-o", "q.csv", "--force", status=2)
    assert Path("q.csv.parts/part-000000.csv").read_text() == "precious"


def test_only_one_process_writes_the_parts(small_parts: None) -> None:
    stopped("--data", "d.csv", "-o", "p.csv")
    with predict_module.PartsFolder(Path("p.csv"), predict_module.PART_FORMATS["csv"], False, {}).opened(force=True):
        error = predict("--data", "d.csv", "-o", "p.csv", status=2)
    assert "error[run-locked]" in error
    assert "is predicting in 'p.csv.parts'" in error


KILLED = """
import sys, time
from jsonnx.data.tables import table_chunks
from jsonnx.pipeline.predict import parts_folder, predictor
predictor.MAX_PART_ROWS, table_chunks.CHUNK_BYTES = 512, 10_000
write = parts_folder.write_atomically
def slow(*arguments, **options):
    time.sleep(0.01)
    write(*arguments, **options)
    time.sleep(0.01)
parts_folder.write_atomically = slow
from jsonnx.cli import main
print("ready", flush=True)
main(sys.argv[1:])
"""


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_prediction_that_is_killed_again_and_again_has_every_row_once(suffix: str, small_parts: None) -> None:
    predict("--data", "d.csv", "-o", f"whole.{suffix}", "--id", "key")
    expected = Path(f"whole.{suffix}").read_bytes()
    command = [sys.executable, "-c", KILLED, "predict", "m.onnx", "--data", "d.csv", "-o", f"p.{suffix}", "--id", "key"]
    rng, kills, status = random.Random(suffix), 0, None
    while status is None:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        try:
            _, error = process.communicate(timeout=rng.uniform(0.2, 0.5) + 0.05 * kills)
            status = process.returncode
        except subprocess.TimeoutExpired:
            assert not Path(f"p.{suffix}").exists() or Path(f"p.{suffix}").read_bytes() == expected
            process.kill()
            process.communicate()
            kills += 1
    assert (status, kills > 0) == (0, True), error
    assert not [path for path in Path().iterdir() if path.name.endswith((".tmp", ".parts"))]
    assert Path(f"p.{suffix}").read_bytes() == expected


def test_ctrl_c_says_how_to_go_on() -> None:
    command = [sys.executable, "-c", KILLED, "predict", "m.onnx", "--data", "d.csv", "-o", "p.csv"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not Path("p.csv.parts/part-000001.csv").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130
    assert "rows are finished in 'p.csv.parts'; the same command continues, --force starts anew" in error
