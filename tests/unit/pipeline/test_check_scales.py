"""`validate` checks a spec at every scale, each once, and reports what they share once."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jsonnx as library
import pytest
from jsonnx.pipeline.check import check_scales
from support.commands import jsonnx

SPEC: dict[str, Any] = {
    "inputs": {"x": {"shape": [8, 8, 3]}},
    "parameters": {"width": 4, "pool": 2},
    "layers": [
        {"type": "Conv2D", "filters": "${width}", "kernel_size": 3},
        {"type": "MaxPooling2D", "pool_size": "${pool}"},
        {"type": "Flatten"},
    ],
}


def with_scales(**scales: dict[str, Any]) -> dict[str, Any]:
    return SPEC | {"scales": scales}


def findings(spec: dict[str, Any], scale: str | None = None) -> list[tuple[str, list[str]]]:
    """The code of each diagnostic, and the notes that name scales."""
    diagnostics = library.validate(spec, scale=scale)
    return [(item.code, [note.message for note in item.notes if " scale" in note.message]) for item in diagnostics]


def test_a_spec_whose_scales_are_valid_has_no_diagnostics() -> None:
    assert findings(with_scales(small={"width": 2}, large={"width": 16, "pool": 3})) == []


def test_an_error_of_some_scales_names_them() -> None:
    spec = with_scales(fine={"width": 2}, bad={"pool": 9}, worse={"pool": 10})
    assert findings(spec)[0] == ("shape-mismatch", ["at the scales 'bad' and 'worse'"])


def test_an_error_that_all_scales_share_is_reported_once_without_them() -> None:
    spec = with_scales(small={"width": 2}, large={"width": 16})
    spec["layers"] = [*spec["layers"], {"type": "Dense", "unit": 3}]
    assert findings(spec) == [("unknown-key", [])]


def test_one_scale_is_checked_alone() -> None:
    spec = with_scales(bad={"pool": 9}, none={"width": 0})
    assert findings(spec, "bad")[0] == ("shape-mismatch", [])
    assert findings(spec, "none")[0] == ("out-of-range", ["changed by the scale 'none'"])


def test_a_parameter_that_does_not_exist_does_not_hide_the_errors_of_its_scale() -> None:
    codes = [code for code, _ in findings(with_scales(both={"widht": 1, "width": 0}))]
    assert {"unknown-name", "out-of-range"} <= set(codes)
    assert "unused-parameter" not in codes


def test_scales_with_the_same_parameters_are_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str | None] = []
    check_source = check_scales.check_source

    def recorded(source: Any, changes: Any = (), scale: str | None = None) -> Any:
        checked.append(scale)
        return check_source(source, changes=changes, scale=scale)

    monkeypatch.setattr(check_scales, "check_source", recorded)
    spec = with_scales(same={"width": 4}, first={"width": 8}, second={"width": 8, "pool": 2}, third={"pool": 3})
    assert library.validate(spec) == []
    assert checked == ["first", "third"]


def test_the_command_checks_all_scales_or_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("spec.json").write_text(json.dumps(with_scales(good={"width": 2}, bad={"pool": 9}), indent=1))
    assert "at the scale 'bad'" in jsonnx("validate", "spec.json", status=1).stderr
    assert "fine" in jsonnx("validate", "spec.json", "--scale", "good").stdout


def test_files_are_checked_at_every_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    training = {"loss": "mse", "data": {"train": "${file}"}}
    spec = with_scales(outside={"file": "../b.csv"}) | {"training": training}
    spec["parameters"] = SPEC["parameters"] | {"file": "a.csv"}
    assert findings(spec) == [("unreadable-file", []), ("unsafe-path", ["at the scale 'outside'"])]


def test_a_value_of_a_scale_with_an_error_is_reported_once() -> None:
    assert findings(with_scales(bad={"width": {"default": 3}})) == [("wrong-type", [])]


def test_thousands_of_scales_end_with_a_note_that_counts_the_rest() -> None:
    spec = with_scales(**{f"s{number}": {"width": number + 1} for number in range(3000)})
    start = time.process_time()
    *_, last = library.validate(spec)
    assert time.process_time() - start < 10
    assert (last.code, last.severity, last.path) == ("not-checked", "note", "$.scales")
    assert "more, since all scales together have too many layers" in last.message
