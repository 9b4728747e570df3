"""Scenes of `jsonnx import`: configurations of Keras models that a spec does not express."""

from __future__ import annotations

from typing import Any

from ..markdown import spec_text
from .scene import Scene

_COMMAND = "jsonnx import model.json -o spec.json"
_INPUT = {"class_name": "InputLayer", "config": {"batch_shape": [None, 4], "dtype": "float32"}}


def _layer(class_name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": {"name": class_name.lower(), **config}}


def _scene(*layers: dict[str, Any], command: str = _COMMAND) -> Scene:
    model = {"class_name": "Sequential", "config": {"layers": [*layers]}}
    return Scene(command, {"model.json": spec_text(model)})


SCENES_OF_KERAS = {
    "is-an-input": _scene(_INPUT, _layer("Dense", units=8), command="jsonnx import model.json -o model.json"),
    "keras-wrong-form": Scene(_COMMAND, {"model.json": '{"layers": []}'}),
    "keras-no-shape": _scene(_layer("Dense", units=4)),
    "keras-unknown-class": _scene(_INPUT, _layer("MyScale", factor=2.0)),
    "keras-dtype": _scene(_INPUT, _layer("Dense", units=8, dtype="float16")),
    "keras-differs": _scene(_INPUT, {"class_name": "Dense", "config": {"name": "head/dense", "units": 8}}),
    "keras-no-weights": _scene(_INPUT, _layer("Dense", units=8), command=f"{_COMMAND} --weights model.safetensors"),
    "keras-outside-file": _scene(
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 1], "dtype": "string"}},
        _layer("StringLookup", vocabulary="words.txt"),
    ),
}
