"""`jsonnx fmt`: formatting in place, checks, standard input, and failures."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import SOURCE, jsonnx, process

SAMPLES = sorted((Path(__file__).parents[3] / "samples").glob("*.json"))

UNFORMATTED = """\ufeff{ "layers" : [{"units":1e1,"type":"Dense", "name":"a"},\r
  {"type": "Dense",  "unitz": 0.0010, "units":3, "activation":"softmax"}],
"inputs": {"x": {"dtype":"float32", "shape":[-0]}},"zzz":{"b":[1,2], "a" : "\\u00e9\\/\\u202e"}, "name":"net"}"""

FORMATTED = """{
  "name": "net",
  "inputs": {"x": {"shape": [-0], "dtype": "float32"}},
  "layers": [
    {"type": "Dense", "name": "a", "units": 1e1},
    {"type": "Dense", "units": 3, "activation": "softmax", "unitz": 0.0010}
  ],
  "zzz": {"b": [1, 2], "a": "é/\\u202e"}
}
"""


@pytest.fixture
def unformatted_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unformatted_file.json").write_text(UNFORMATTED, newline="")
    return tmp_path / "unformatted_file.json"


def test_the_samples_are_formatted() -> None:
    assert jsonnx("fmt", "--check", *map(str, SAMPLES)).output == ""
    assert len(SAMPLES) > 5


def test_a_file_is_formatted_in_place(unformatted_file: Path) -> None:
    assert jsonnx("fmt", "unformatted_file.json").stderr == "wrote unformatted_file.json\n"
    assert unformatted_file.read_bytes() == FORMATTED.encode()
    before = unformatted_file.stat()
    assert jsonnx("fmt", "unformatted_file.json", "unformatted_file.json").output == ""
    assert unformatted_file.stat() == before  # not written again
    assert os.listdir(unformatted_file.parent) == ["unformatted_file.json"]


def test_check_shows_the_changes_and_writes_nothing(unformatted_file: Path) -> None:
    Path("neat.json").write_text(FORMATTED)
    result = jsonnx("fmt", "--check", "neat.json", "unformatted_file.json", status=1)
    assert result.stderr == "would change unformatted_file.json\n"
    assert result.stdout.startswith("--- unformatted_file.json\n+++ unformatted_file.json (formatted)\n")
    assert '+    {"type": "Dense", "name": "a", "units": 1e1},' in result.stdout.splitlines()
    assert "neat" not in result.output
    assert unformatted_file.read_bytes() == UNFORMATTED.encode()
    jsonnx("fmt", "--check", "neat.json")


def test_a_byte_order_mark_or_crlf_is_a_change(unformatted_file: Path) -> None:
    unformatted_file.write_text("\ufeff" + FORMATTED)
    assert "would change" in jsonnx("fmt", "--check", "unformatted_file.json", status=1).stderr
    unformatted_file.write_text(FORMATTED.replace("\n", "\r\n"), newline="")
    assert "would change" in jsonnx("fmt", "--check", "unformatted_file.json", status=1).stderr


def test_standard_input_is_formatted_to_standard_output(unformatted_file: Path) -> None:
    assert jsonnx("fmt", "-", stdin=UNFORMATTED).stdout == FORMATTED
    assert jsonnx("fmt", "-", "--check", stdin=FORMATTED).output == ""
    assert jsonnx("fmt", "-", "--check", stdin=UNFORMATTED, status=1).stderr == "would change <stdin>\n"
    result = process("fmt", "-", input=UNFORMATTED)
    assert (result.returncode, result.stdout, result.stderr) == (0, FORMATTED, "")


def test_invalid_json_is_not_changed_and_other_files_are_formatted(unformatted_file: Path) -> None:
    Path("cut.json").write_text('{"inputs": ')
    Path("twice.json").write_text('{"a": 1, "a": 2}')
    result = jsonnx("fmt", "cut.json", "twice.json", "unformatted_file.json", status=1)
    assert "error[invalid-json]" in result.stderr
    assert "error[duplicate-key]" in result.stderr
    assert Path("cut.json").read_text() == '{"inputs": '
    assert unformatted_file.read_bytes() == FORMATTED.encode()
    assert "unreadable-file" in jsonnx("fmt", "nowhere.json", "cut.json", status=2).stderr
    assert "unreadable-file" in jsonnx("fmt", ".", status=2).stderr
    jsonnx("fmt", status=2)


def test_permissions_and_links_are_kept(unformatted_file: Path) -> None:
    unformatted_file.chmod(0o640)
    Path("link.json").symlink_to("unformatted_file.json")
    jsonnx("fmt", "link.json")
    assert Path("link.json").is_symlink()
    assert unformatted_file.read_bytes() == FORMATTED.encode()
    assert stat.S_IMODE(unformatted_file.stat().st_mode) == 0o640


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not apply to root")
def test_an_unwritable_folder_is_a_usage_error(unformatted_file: Path) -> None:
    unformatted_file.parent.chmod(0o500)
    try:
        assert "unwritable-file" in jsonnx("fmt", "unformatted_file.json", status=2).stderr
    finally:
        unformatted_file.parent.chmod(0o700)
    assert unformatted_file.read_bytes() == UNFORMATTED.encode()


def test_fmt_does_not_import_numpy_onnx_onnxruntime_or_rich() -> None:
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


def test_control_characters_are_escaped_in_the_diff(unformatted_file: Path) -> None:
    unformatted_file.write_text(json.dumps({"name": "\x1b[2J\u202e"}, ensure_ascii=False))
    output = jsonnx("fmt", "--check", "unformatted_file.json", status=1).stdout
    assert "\x1b" not in output
    assert "\u202e" not in output


def test_nulls_of_structured_output_are_dropped() -> None:
    answer = '{"inputs": {"x": {"shape": [null, 4.50]}}, "layers": [{"type": "Dense", "units": 3, "name": null}]}'
    assert '"name": null' in jsonnx("fmt", "-", stdin=answer).stdout
    formatted = jsonnx("fmt", "--drop-nulls", "-", stdin=answer).stdout
    assert '{"type": "Dense", "units": 3}' in formatted
    assert "[null, 4.50]" in formatted
