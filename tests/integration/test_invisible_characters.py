"""No command and no page shows a control or bidirectional character of a spec, of data or of the name of a file."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonnx.cli import main
from support.commands import IN_PROCESS

HOSTILE = "\x1b[2J\x1b]0;a\x07\x9b31m\u202e\u2066\rz"
"""Clears a screen, names a window, colors what follows, turns it around and begins the line again."""
STYLE = re.compile("\x1b\\[[0-9;]*m")
SPEC = {
    "description": HOSTILE,
    "inputs": {"x": {"shape": [2]}},
    "layers": [{"type": "Dense", "name": "y", "units": 2, "activation": "softmax"}],
    "labels": [f"p{HOSTILE}", f"q{HOSTILE}"],
    "training": {
        "data": {"train": "", "x": [f"a{HOSTILE}", "b"], "y": f"y{HOSTILE}", "validation_split": 0.5},
        "loss": "sparse_categorical_crossentropy",
        "metrics": [
            {"type": "accuracy", "name": f"m{HOSTILE}"},
            {"type": "f1_score", "name": f"f{HOSTILE}"},
            {"type": "confusion_matrix", "name": f"c{HOSTILE}"},
            {"type": "accuracy", "name": "toString"},
        ],
        "class_weight": "balanced",
        "epochs": 2,
        "seed": 1,
    },
    "sweep": {"parameters": {"training.epochs": {"choice": [1, 2]}}, "metric": f"val_m{HOSTILE}", "trials": 2},
}
RUN, OTHER = f"r{HOSTILE}", "other"
TABLE = [
    {f"a{HOSTILE}": row % 7, "b": row / 9, f"y{HOSTILE}": SPEC["labels"][row % 2], f"unused{HOSTILE}": HOSTILE}
    for row in range(40)
]
DATA = f"d{HOSTILE}.jsonl"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("hostile")
    spec = json.loads(json.dumps(SPEC))
    spec["training"]["data"]["train"] = DATA
    (folder / "s.json").write_text(json.dumps(spec))
    wrong = spec | {"layers": [{"type": f"Dense{HOSTILE}", "units": 2}]}
    (folder / f"w{HOSTILE}.json").write_text(json.dumps(wrong, ensure_ascii=False))
    (folder / DATA).write_text("".join(json.dumps(row) + "\n" for row in TABLE))
    (folder / "bad.jsonl").write_text("".join(json.dumps(row | {"b": HOSTILE}) + "\n" for row in TABLE))
    before = Path.cwd()
    os.chdir(folder)
    assert_visible("train", "s.json", "-o", RUN, "--report")
    assert_visible("train", "s.json", "-o", OTHER, "--set", "training.epochs=1")
    yield folder
    os.chdir(before)


def invisible(text: str) -> list[str]:
    """The control, bidirectional and other format characters of a text, besides ends of lines."""
    return [char for char in text if unicodedata.category(char) in ("Cc", "Cf") and char != "\n"]


def assert_visible(*arguments: str, status: int = 0) -> None:
    """Runs a command with and without colors."""
    for color in ("never", "always"):
        if color == "always" and arguments[0] in ("train", "sweep"):
            continue
        result = IN_PROCESS.invoke(
            main, arguments, env={"FORCE_COLOR": "1" if color == "always" else "", "NO_COLOR": ""}
        )
        assert result.exit_code == status, (arguments, result.stdout, result.stderr, result.exception)
        for output in (result.stdout, result.stderr):
            shown = STYLE.sub("", output) if color == "always" else output
            assert invisible(shown) == [], (arguments, shown)
            assert "\x1b[2J" not in output
            assert "31m" not in STYLE.sub("", output) or "\\x9b31m" in output or "\\u009b31m" in output


COMMANDS = [
    ("validate", "s.json"),
    ("validate", "s.json", "--data"),
    ("lint", "s.json"),
    ("summary", "s.json"),
    ("data", "s.json"),
    ("data", "s.json", "--format", "json"),
    ("trace", "s.json"),
    ("profile", "s.json"),
    ("evaluate", RUN),
    ("runs", "."),
    ("compare", RUN, OTHER),
    ("report", RUN, OTHER, "-o", "both.html"),
    ("inspect", f"{RUN}/model.onnx"),
    ("predict", f"{RUN}/model.onnx", "--data", DATA, "-o", "p.csv"),
    ("diff", "s.json", f"{OTHER}/spec.json"),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_a_command_prints_no_invisible_character(folder: Path, arguments: tuple[str, ...]) -> None:
    assert_visible(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("validate", f"w{HOSTILE}.json"),
        ("data", "s.json", "--data", "bad.jsonl"),
        ("train", "s.json", "--data", "bad.jsonl", "-o", "bad"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_errors_have_no_invisible_character(folder: Path, arguments: tuple[str, ...]) -> None:
    assert_visible(*arguments, status=1)


def test_a_sweep_and_its_page_have_no_invisible_character(folder: Path) -> None:
    assert_visible("sweep", "s.json", "-o", f"sweep{HOSTILE}")
    assert invisible(Path(f"sweep{HOSTILE}", "sweep.html").read_text()) == []


def test_the_texts_of_a_report_have_no_invisible_character(folder: Path) -> None:
    """Its scripts draw nothing but these texts and their own."""
    page = Path(RUN, "report.html").read_text()
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    assert invisible(page.partition("<script")[0]) == []
    texts: list[str] = []

    def collect(pairs: list[tuple[str, object]]) -> dict[str, object]:
        for key, value in pairs:
            texts.extend([key, *_texts(value)])
        return dict(pairs)

    json.loads(data[1], object_pairs_hook=collect)
    assert any("\\x1b[2J" in text for text in texts)
    assert {char for text in texts for char in invisible(text)} <= {"\t"}


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
