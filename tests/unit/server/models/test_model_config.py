from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jsonnx
from jsonnx.server.batching.batching import Batching
from jsonnx.server.models.model_config import model_config
from jsonnx.server.models.model_options import ModelOptions
from jsonnx.server.models.served_model import ServedModel

SPEC = {
    "inputs": {"x": {"shape": [3, 2]}, "word": {"shape": [], "dtype": "string"}},
    "layers": [
        {"type": "Flatten", "from": "x"},
        {"type": "Dense", "name": "y", "units": 4},
        {"type": "StringLookup", "name": "place", "from": "word", "vocabulary": ["a"]},
    ],
    "outputs": ["y", "place"],
}


def test_a_batched_model_has_dimensions_without_the_batch(tmp_path: Path) -> None:
    jsonnx.compile(SPEC).save(tmp_path / "m.onnx")
    served = ServedModel.open("m", "1", tmp_path / "m.onnx", ModelOptions())
    alone = model_config(replace(served, batching=Batching(False, "not proven")), "platform", 64)
    assert alone == {
        "name": "m",
        "platform": "platform",
        "max_batch_size": 0,
        "input": [
            {"name": "x", "data_type": "TYPE_FP32", "dims": [-1, 3, 2]},
            {"name": "word", "data_type": "TYPE_STRING", "dims": [-1]},
        ],
        "output": [
            {"name": "y", "data_type": "TYPE_FP32", "dims": [-1, 4]},
            {"name": "place", "data_type": "TYPE_INT64", "dims": [-1]},
        ],
    }
    assert model_config(replace(served, batching=Batching(True, "proven")), "platform", 64) == alone  # has scalars
    inputs = {**SPEC["inputs"], "word": {"shape": [5], "dtype": "string"}}
    jsonnx.compile(SPEC | {"inputs": inputs}).save(tmp_path / "m.onnx")
    batched = model_config(ServedModel.open("m", "1", tmp_path / "m.onnx", ModelOptions()), "platform", 64)
    assert batched["max_batch_size"] == 64
    assert [item["dims"] for item in (*batched["input"], *batched["output"])] == [[3, 2], [5], [4], [5]]
