"""Errors of the rows in requests, whose columns a program can rename."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import pytest
from jsonnx.server.models.served_model import ModelOptions, ServedModel
from jsonnx.server.protocol.errors import RequestError
from jsonnx.server.rows.predict_rows import rows_of

SPEC: dict[str, Any] = {
    "inputs": {"text": {"shape": [1]}},
    "layers": [{"type": "Dense", "name": "y", "units": 1}],
    "training": {"loss": "mse", "data": {"train": {"x": "x.npy", "y": "y.npy"}}},
}


@pytest.mark.parametrize(
    ("body", "media_type", "help"),
    [
        (json.dumps({"txt": 1}), "application/json", "write 'text' in place of 'txt'"),
        ("txt\n1\n", "text/csv", "write 'text' in place of 'txt'"),
        (json.dumps({"other": 1}), "application/json", "columns: 'other'"),
        (json.dumps({"text": ["1"]}), "application/json", "the texts are numbers: write them without quotes"),
    ],
)
def test_help_is_about_the_row_not_the_spec(body: str, media_type: str, help: str, tmp_path: Path) -> None:
    jsonnx.compile(SPEC).save(tmp_path / "m.onnx")
    served = ServedModel.open("m", "1", tmp_path / "m.onnx", ModelOptions())
    with pytest.raises(RequestError) as error:
        rows_of(served, body.encode(), media_type, max_rows=8)
    assert error.value.diagnostics[0].help == help
