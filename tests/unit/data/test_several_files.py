"""Several files as one set of samples: lists and patterns, and the files that they may name."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jsonnx
import pytest
from jsonnx.core.diagnostics import CompileError, UsageError
from jsonnx.core.files import file_patterns
from jsonnx.core.files.file_patterns import expand_pattern
from jsonnx.core.files.files import UnsafePath
from support.commands import jsonnx as command


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    (folder / "parts").mkdir(parents=True)
    monkeypatch.chdir(folder)
    for number in range(3):
        table(f"parts/part-{number}.csv", number)
    return folder


def table(path: str, *values: object, header: str = "x,y") -> None:
    Path(path).write_text(header + "\n" + "".join(f"{value},{value}\n" for value in values))


def spec(train: object, **data: object) -> str:
    document = {
        "inputs": {"x": {"shape": [1]}},
        "layers": [{"type": "Dense", "name": "y", "units": 1}],
        "training": {"loss": "mse", "data": {"train": train} | data},
    }
    Path("spec.json").write_text(json.dumps(document))
    return "spec.json"


def found(**options: object) -> list[tuple[str, str, str]]:
    return [(item.severity, item.code, item.path) for item in jsonnx.validate("spec.json", **options)]


@pytest.mark.parametrize(
    ("train", "count"),
    [
        ("parts/part-*.csv", 3),
        (["parts/part-2.csv", "parts/part-0.csv"], 2),
        (["parts/part-[01].csv", "parts/part-2.csv"], 3),
        ("**/part-?.csv", 3),
        ("*/part-1.csv", 1),
    ],
)
def test_a_list_or_a_pattern_names_several_files(train: object, count: int) -> None:
    spec(train)
    assert found() == found(data=True) == []
    assert f"samples {count:6}" in command("validate", "spec.json", "--data").stdout
    jsonnx.Trainer("spec.json").fit(epochs=1)


def test_the_files_of_a_pattern_are_sorted(work_folder: Path) -> None:
    table("parts/part-10.csv", 10)
    names = ["part-0.csv", "part-1.csv", "part-10.csv", "part-2.csv"]
    assert expand_pattern(work_folder, "parts/part-*") == [f"parts/{name}" for name in names]
    predicted = command("train", spec("parts/*.csv"), "-o", "run", "--quiet") and command(
        "predict", "run", "--data", "parts/*.csv", "--id", "x"
    )
    assert [line.split(",")[0] for line in predicted.stdout.splitlines()] == ["x", "0", "1", "10", "2"]


def test_a_file_may_be_called_like_a_pattern(work_folder: Path) -> None:
    table("parts/part-[1].csv", 7, 8)
    spec("parts/part-[1].csv")
    assert "samples      2" in command("validate", "spec.json", "--data").stdout


@pytest.mark.parametrize(
    ("train", "severity", "code", "path"),
    [
        ("none-*.csv", "warning", "unreadable-file", "train"),
        (["parts/part-0.csv", "none.csv"], "warning", "unreadable-file", "train[1]"),
        (["parts/part-0.csv", "../*.csv"], "error", "unsafe-path", "train[1]"),
        ("/etc/*", "error", "unsafe-path", "train"),
        ("links/*", "error", "unsafe-path", "train"),
        ("loop*/*", "error", "unsafe-path", "train"),
        ("parts/*", "error", "bad-data-file", "train"),
        ([], "error", "out-of-range", "train"),
    ],
)
def test_a_path_that_training_refuses_is_an_error(
    work_folder: Path, train: object, severity: str, code: str, path: str
) -> None:
    table("../outside.csv", 1)
    Path("links").mkdir()
    os.symlink("../../outside.csv", "links/a.csv")
    os.symlink(".", "loop")
    Path("parts/notes.doc").write_text("")
    spec(train)
    assert [(s, c) for s, c, p in found() if p == f"$.training.data.{path}"] == [(severity, code)], found()
    assert [(s, c) for s, c, p in found(data=True) if p.startswith("$.training.data")] == [("error", code)]
    with pytest.raises((CompileError, UsageError)):
        jsonnx.Trainer("spec.json").fit()


def test_the_file_with_a_error_is_named() -> None:
    table("parts/part-1.csv", 1, header="x,z")
    table("parts/part-2.csv", "word")
    spec("parts/*.csv")
    errors = jsonnx.validate("spec.json", data=True)
    assert [(error.file, error.code, error.line) for error in errors] == [
        ("parts/part-1.csv", "missing-column", 1),
        ("parts/part-2.csv", "bad-value", 2),
        ("parts/part-2.csv", "bad-value", 2),
    ]


def test_no_more_files_are_read_after_twenty_errors() -> None:
    for number in range(50):
        table(f"parts/part-{number}.csv", "word")
    spec("parts/*.csv")
    assert len(jsonnx.validate("spec.json", data=True)) == 20


def test_samples_of_all_files_have_one_shape() -> None:
    Path("a.jsonl").write_text('{"x": [[1], [2]], "y": 1}\n')
    Path("b.jsonl").write_text('{"x": [[1], [2], [3]], "y": 1}\n')
    document = {
        "inputs": {"x": {"shape": ["time", 1]}},
        "layers": [{"type": "LSTM", "units": 2}, {"type": "Dense", "name": "y", "units": 1}],
        "training": {"loss": "mse", "data": {"train": ["a.jsonl", "b.jsonl"]}},
    }
    (error,) = jsonnx.validate(document, data=True)
    assert (error.file, error.code) == ("b.jsonl", "data-shape")
    assert error.message == "samples of input 'x' have shape [3, 1], in 'a.jsonl' [2, 1]"


def test_data_roots_hold_patterns(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    table("../root/far-1.csv", 1, 2)
    for name in ("far-*.csv", str(tmp_path / "root" / "far-*.csv")):
        spec(name)
        assert [code for _, code, _ in found()] == ["unsafe-path" if os.path.isabs(name) else "unreadable-file"]
        assert found(data=True, data_roots=[tmp_path / "root"]) == []


def test_a_pattern_of_too_many_files_is_refused(work_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_patterns, "MAX_DATA_FILES", 2)
    with pytest.raises(CompileError, match="more than 2 files"):
        expand_pattern(work_folder, "parts/*.csv")


def test_hidden_files_match_no_star(work_folder: Path) -> None:
    table("parts/.part.csv", 1)
    (work_folder / ".hidden").mkdir()
    assert len(expand_pattern(work_folder, "**/*.csv")) == 3
    assert expand_pattern(work_folder, "parts/.p*") == ["parts/.part.csv"]
    with pytest.raises(UnsafePath):
        expand_pattern(work_folder, "../*")


def test_an_output_never_replaces_one_of_the_files() -> None:
    spec("parts/*.csv")
    before = Path("parts/part-1.csv").read_bytes()
    assert "is-an-input" in command("compile", "spec.json", "-o", "parts/part-1.csv", status=2).stderr
    assert Path("parts/part-1.csv").read_bytes() == before
