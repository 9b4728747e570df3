"""`jsonnx fmt` as people and checks in a pipeline use it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from commands import SOURCE, jsonnx, process

SAMPLES = sorted((Path(__file__).parents[2] / "samples").glob("*.json"))

MESSY = """\ufeff{ "layers" : [{"units":1e1,"type":"Dense", "name":"a"},\r
  {"type": "Dense",  "unitz": 0.0010, "units":3, "activation":"softmax"}],
"inputs": {"x": {"dtype":"float32", "shape":[-0]}},"zzz":{"b":[1,2], "a" : "\\u00e9\\/\\u202e"}, "name":"messy"}"""

NEAT = """{
  "name": "messy",
  "inputs": {"x": {"shape": [-0], "dtype": "float32"}},
  "layers": [
    {"type": "Dense", "name": "a", "units": 1e1},
    {"type": "Dense", "units": 3, "activation": "softmax", "unitz": 0.0010}
  ],
  "zzz": {"b": [1, 2], "a": "é/\\u202e"}
}
"""


@pytest.fixture
def messy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "messy.json").write_text(MESSY, newline="")
    return tmp_path / "messy.json"


def test_the_samples_are_formatted() -> None:
    assert jsonnx("fmt", "--check", *map(str, SAMPLES)).output == ""
    assert len(SAMPLES) > 5


def test_a_file_is_formatted_where_it_stands(messy: Path) -> None:
    assert jsonnx("fmt", "messy.json").stderr == "wrote messy.json\n"
    assert messy.read_bytes() == NEAT.encode()
    before = messy.stat()
    assert jsonnx("fmt", "messy.json", "messy.json").output == ""
    assert messy.stat() == before  # not written again
    assert os.listdir(messy.parent) == ["messy.json"]


def test_check_writes_nothing_and_shows_what_would_change(messy: Path) -> None:
    Path("neat.json").write_text(NEAT)
    result = jsonnx("fmt", "--check", "neat.json", "messy.json", status=1)
    assert result.stderr == "would change messy.json\n"
    assert result.stdout.startswith("--- messy.json\n+++ messy.json (formatted)\n")
    assert '+    {"type": "Dense", "name": "a", "units": 1e1},' in result.stdout.splitlines()
    assert "neat" not in result.output
    assert messy.read_bytes() == MESSY.encode()
    jsonnx("fmt", "--check", "neat.json")


def test_a_byte_order_mark_alone_is_a_change(messy: Path) -> None:
    messy.write_text("\ufeff" + NEAT)
    assert "would change" in jsonnx("fmt", "--check", "messy.json", status=1).stderr
    messy.write_text(NEAT.replace("\n", "\r\n"), newline="")
    assert "would change" in jsonnx("fmt", "--check", "messy.json", status=1).stderr


def test_standard_input_goes_to_standard_output(messy: Path) -> None:
    assert jsonnx("fmt", "-", stdin=MESSY).stdout == NEAT
    assert jsonnx("fmt", "-", "--check", stdin=NEAT).output == ""
    assert jsonnx("fmt", "-", "--check", stdin=MESSY, status=1).stderr == "would change <stdin>\n"
    done = process("fmt", "-", input=MESSY)
    assert (done.returncode, done.stdout, done.stderr) == (0, NEAT, "")


def test_what_is_no_json_is_left_alone_and_the_others_are_formatted(messy: Path) -> None:
    Path("cut.json").write_text('{"inputs": ')
    Path("twice.json").write_text('{"a": 1, "a": 2}')
    result = jsonnx("fmt", "cut.json", "twice.json", "messy.json", status=1)
    assert "error[invalid-json]" in result.stderr
    assert "error[duplicate-key]" in result.stderr
    assert Path("cut.json").read_text() == '{"inputs": '
    assert messy.read_bytes() == NEAT.encode()
    assert "unreadable-file" in jsonnx("fmt", "nowhere.json", "cut.json", status=2).stderr
    assert "unreadable-file" in jsonnx("fmt", ".", status=2).stderr
    jsonnx("fmt", status=2)


def test_permissions_and_links_stay(messy: Path) -> None:
    messy.chmod(0o640)
    Path("link.json").symlink_to("messy.json")
    jsonnx("fmt", "link.json")
    assert Path("link.json").is_symlink()
    assert messy.read_bytes() == NEAT.encode()
    assert stat.S_IMODE(messy.stat().st_mode) == 0o640


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is closed to root")
def test_a_folder_that_cannot_be_written_is_told(messy: Path) -> None:
    messy.parent.chmod(0o500)
    try:
        assert "unwritable-file" in jsonnx("fmt", "messy.json", status=2).stderr
    finally:
        messy.parent.chmod(0o700)
    assert messy.read_bytes() == MESSY.encode()


def test_nothing_heavy_is_brought_in() -> None:
    code = """if True:
        import sys
        from jsonnx.cli import main
        try:
            main(["fmt", "--check", sys.argv[1]])
        except SystemExit as end:
            assert end.code == 0
        assert not {"numpy", "onnx", "onnxruntime", "rich"} & set(sys.modules)"""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    subprocess.run([sys.executable, "-c", code, str(SAMPLES[0])], env=environment, check=True)


def test_the_diff_of_a_hostile_file_does_not_reach_the_terminal(messy: Path) -> None:
    messy.write_text(json.dumps({"name": "\x1b[2J\u202e"}, ensure_ascii=False))
    shown = jsonnx("fmt", "--check", "messy.json", status=1).stdout
    assert "\x1b" not in shown
    assert "\u202e" not in shown
