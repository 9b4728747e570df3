"""Scenes of commands: options, files, runs, models and providers."""

from __future__ import annotations

import json

from .scene import Scene, number_spec, rows

_AGES = rows("age,height", *(f"{20 + n},{1.5 + n / 100:.2f}" for n in range(20)))
_DATA = {"train": "people.csv", "x": "age", "y": "height"}
_FILES: dict[str, str] = {"people.csv": _AGES}
_SPEC = number_spec(_DATA)
_NET = {"inputs": {"x": {"shape": [4]}}, "layers": [{"type": "Dense", "units": 3}]}
_LOOKUP = {"type": "StringLookup", "max_tokens": 9, "pad_to_max_tokens": True, "output_mode": "one_hot"}
_BIGGER = json.dumps({**_NET, "layers": [{"type": "Dense", "units": 5}]})
_COMPILE = "jsonnx compile spec.json -o model.onnx"
_TRAIN = "jsonnx train spec.json -o runs/a --quiet"

SCENES_OF_SPECS = {
    "empty-document": Scene("jsonnx validate spec.json", {"spec.json": ""}),
    "too-deep": Scene("jsonnx validate spec.json", {"spec.json": "[" * 40 + "]" * 40}),
    "unsupported-version": Scene("jsonnx validate spec.json", spec={"version": 99, **_NET}),
    "not-listed": Scene(
        "jsonnx validate spec.json --all",
        spec={**_NET, "layers": [{"type": "Dense", "units": 3, f"a{n}": 0} for n in range(1200)]},
    ),
    "over-budget": Scene("jsonnx summary spec.json --max-parameters 10", spec=_NET),
    "unused-silence": Scene("jsonnx lint spec.json", spec={**_NET, "lint": {"ignore": ["dropout-rate"]}}),
    "missing-seed": Scene(
        "jsonnx lint spec.json --select missing-seed",
        {**_FILES, "jsonnx.lock": json.dumps({"specs": {"spec.json": {}}})},
        _SPEC,
    ),
}

SCENES_OF_OPTIONS = {
    "unknown-code": Scene("jsonnx explain E0404"),
    "unknown-rule": Scene("jsonnx lint spec.json --ignore dropped-pixel", spec=_NET),
    "bad-option": Scene("jsonnx train spec.json --set epochs", _FILES, _SPEC),
    "bad-configuration": Scene("jsonnx lint spec.json", {"jsonnx.toml": '[lint]\nignores = "dropped-pixels"\n'}, _NET),
    "unreadable-file": Scene("jsonnx validate sepc.json", spec=_NET),
    "unwritable-file": Scene("jsonnx compile spec.json -o absent/model.onnx", spec=_NET),
    "file-exists": Scene("jsonnx init people.csv --target height", {**_FILES, "people.json": json.dumps(_SPEC)}),
    "bad-target": Scene("jsonnx init people.csv --target hieght", _FILES),
    "other-format": Scene("jsonnx inspect spec.json", spec=_NET),
    "unsupported-model": Scene("jsonnx import model", {"model/config.json": '{\n  "model_type": "bart"\n}\n'}),
    "damaged-file": Scene("jsonnx compile spec.json --weights weights.npz -o model.onnx", {"weights.npz": "{}"}, _NET),
    "bad-revision": Scene("jsonnx diff spec.json --against git:", spec=_NET),
    "no-repository": Scene("jsonnx diff spec.json --against git:main", spec=_NET),
    "not-exportable": Scene(
        "jsonnx export --keras spec.json -o model.keras",
        spec={**_NET, "layers": [{"type": "LayerScale", "init_values": 0.1, "projection_dim": 4}]},
    ),
    "not-learned": Scene(
        "jsonnx compile spec.json -o model.onnx",
        spec={
            "inputs": {"x": {"shape": [], "dtype": "string"}},
            "layers": [_LOOKUP, {"type": "Dense", "units": 1}],
        },
    ),
}

SCENES_OF_RUNS = {
    "no-data": Scene("jsonnx train spec.json", spec=number_spec()),
    "no-sweep": Scene("jsonnx sweep spec.json", _FILES, _SPEC),
    "no-lock": Scene("jsonnx train spec.json --locked", _FILES, _SPEC),
    "no-checkpoint": Scene("jsonnx train spec.json -o data --resume", {**_FILES, "data/notes.txt": "none"}, _SPEC),
    "run-exists": Scene("jsonnx train spec.json -o runs/a", _FILES, _SPEC, (_TRAIN,)),
    "not-distributed": Scene("jsonnx train spec.json --distributed ray --workers 2 -o runs/a", _FILES, _SPEC),
    "diverged": Scene(
        "jsonnx train spec.json -o runs/a --quiet",
        _FILES,
        number_spec(_DATA, optimizer={"type": "sgd", "learning_rate": 1e6}, epochs=9),
    ),
    "required-figure": Scene(
        "jsonnx evaluate model.onnx --data people.csv --require 'loss<0.01'", _FILES, _SPEC, (_COMPILE,)
    ),
    "quantization-loss": Scene(
        "jsonnx quantize runs/a -o small.onnx --tolerance max_difference=0.000000001", _FILES, _SPEC, (_TRAIN,)
    ),
    "not-quantizable": Scene(
        "jsonnx quantize small.onnx -o smaller.onnx",
        _FILES,
        _SPEC,
        (_TRAIN, "jsonnx quantize runs/a -o small.onnx --tolerance loss=1000"),
    ),
    "no-data-statistics": Scene("jsonnx drift model.onnx --data people.csv", _FILES, _SPEC, (_COMPILE,)),
    "weights-mismatch": Scene(
        "jsonnx compile bigger.json --weights runs/a -o model.onnx",
        {**_FILES, "bigger.json": _BIGGER},
        _SPEC,
        (_TRAIN,),
    ),
}

SCENES_OF_PROVIDERS = {
    "unknown-provider": Scene("jsonnx train spec.json --provider gpu", _FILES, _SPEC),
    "bad-provider-option": Scene("jsonnx train spec.json --provider cpu --provider-option device=1", _FILES, _SPEC),
    "unsupported-precision": Scene(
        "jsonnx train spec.json --provider cpu --set training.precision=mixed_float16", _FILES, _SPEC
    ),
    "no-kernel-table": Scene("jsonnx providers spec.json --provider migraphx", spec=_NET),
    "missing-kernel": Scene(
        "jsonnx compile spec.json -o model.onnx --target webgpu",
        spec={"inputs": {"x": {"shape": [5, 4]}}, "layers": [{"type": "LSTM", "units": 8}]},
    ),
    "invalid-request-file": Scene(
        "jsonnx conform http://127.0.0.1:9 --request request.json",
        {"request.json": '{"inputs": [{"name": "x", "data": [1, 2]}]}'},
    ),
    "server-unreachable": Scene("jsonnx conform http://127.0.0.1:9"),
}

SCENES_OF_COMMANDS = {**SCENES_OF_SPECS, **SCENES_OF_OPTIONS, **SCENES_OF_RUNS, **SCENES_OF_PROVIDERS}
