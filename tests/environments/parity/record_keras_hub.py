"""Records the results of KerasHub's layers for `test_keras_hub`: `sh tests/environments/parity/run.sh keras_hub`."""

from __future__ import annotations

import importlib
import json
from typing import Any

import keras_hub
import numpy as np
from keras_hub_cases import CASES, FIXTURE, HubCase

MODULES = {
    "LlamaAttention": "keras_hub.src.models.llama.llama_attention",
    "QwenAttention": "keras_hub.src.models.qwen.qwen_attention",
    "Qwen3Attention": "keras_hub.src.models.qwen3.qwen3_attention",
}
"""The modules of classes that are not among KerasHub's public layers."""

DECIMALS = 7
"""Decimals of a recorded number."""


def output(case: HubCase) -> np.ndarray:
    """The output of KerasHub's layer in inference."""
    arguments = dict(case.arguments)
    call_arguments: dict[str, Any] = {}
    start = arguments.pop("start_index", 0)
    x, *positions = case.inputs()
    if case.keras_class in MODULES:
        layer = getattr(importlib.import_module(MODULES[case.keras_class]), case.keras_class)(**arguments)
        time = case.shape[1]
        call_arguments["attention_mask"] = np.tril(np.ones((case.shape[0], time, time), bool))
    else:
        layer = getattr(keras_hub.layers, case.keras_class)(**arguments)
        call_arguments |= {"positions": positions[0]} if positions else {"start_index": start}
    layer.build(case.shape)
    layer.set_weights(list(case.drawn_weights().values()))
    return np.asarray(layer(x, **call_arguments))


def main() -> None:
    recorded = {}
    for case in CASES:
        rounded = np.round(output(case).astype(np.float64), DECIMALS)
        recorded[case.id] = {"of": case.fingerprint, "output": rounded.ravel().tolist()}
        print(case.id)
    lines = (f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in recorded.items())
    FIXTURE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
