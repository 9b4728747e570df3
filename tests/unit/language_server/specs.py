"""Specs for the tests of the language server."""

from __future__ import annotations

import json

DIGITS = """{
  "inputs": {"image": {"shape": [28, 28, 1]}},
  "parameters": {"width": 16},
  "blocks": {
    "residual": {
      "description": "A convolution and a shortcut.",
      "parameters": {"filters": {"required": true, "description": "Channels."}},
      "layers": [
        {"type": "Conv2D", "name": "conv", "filters": "${filters}", "kernel_size": 3, "padding": "same"},
        {"type": "Conv2D", "name": "short", "from": "input", "filters": "${filters}", "kernel_size": 1},
        {"type": "Add", "name": "sum", "from": ["conv", "short"]}
      ],
      "outputs": "sum"
    }
  },
  "layers": [
    {"type": "residual", "name": "stage1", "filters": 16},
    {"type": "residual", "name": "stage2", "filters": 8},
    {"type": "GlobalAveragePooling2D"},
    {"type": "Dense", "name": "hidden", "units": "${width}", "activation": "relu", "repeat": 2},
    {"type": "Dense", "name": "digit", "units": 10, "activation": "softmax"},
    {"type": "Dense", "name": "even", "from": "hidden", "units": 1, "activation": "sigmoid"}
  ],
  "outputs": ["digit", "even"],
  "labels": {"digit": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]},
  "training": {
    "loss": {"digit": "sparse_categorical_crossentropy", "even": "binary_crossentropy"},
    "metrics": {"digit": ["sparse_categorical_accuracy"], "even": ["binary_accuracy"]},
    "freeze": ["stage1_*"],
    "learning_rates": {"stage2_*": 0.1, "hidden*": 0.5},
    "early_stopping": {"monitor": "val_digit_loss"}
  },
  "lint": {"ignore": ["frozen-random-weights"]}
}
"""


SAME_WITHOUT_BIAS = {"padding": "same", "use_bias": False}


def residual_network(lines: int) -> str:
    """A valid spec of a number of lines, one layer in each."""
    layers = [{"type": "Conv2D", "name": "stem", "filters": 16, "kernel_size": 3, "padding": "same"}]
    previous = "stem"
    while len(layers) < lines - 8:
        number = len(layers) // 4
        layers += [
            {
                "type": "Conv2D",
                "name": f"conv_{number}",
                "filters": 16,
                "kernel_size": 3,
                "padding": "same",
                "use_bias": False,
            },
            {"type": "BatchNormalization", "name": f"norm_{number}"},
            {"type": "ReLU", "name": f"relu_{number}"},
            {"type": "Add", "name": f"sum_{number}", "from": [f"relu_{number}", previous]},
        ]
        previous = f"sum_{number}"
    layers += [{"type": "GlobalAveragePooling2D"}, {"type": "Dense", "name": "out", "units": 10}]
    entries = ",\n".join(f"    {json.dumps(layer)}" for layer in layers)
    return f'{{\n  "inputs": {{"image": {{"shape": [512, 512, 3]}}}},\n  "layers": [\n{entries}\n  ]\n}}\n'
