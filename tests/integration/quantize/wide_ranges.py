"""A trained depthwise network whose channels have ranges from 1 to 1000."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonnx
import numpy as np

DATA = Path("samples/data/digits_train.npz")
CHANNELS = 16


def depthwise_spec(learning_rate: float, **sections: Any) -> dict[str, Any]:
    convolution = {"kernel_size": 3, "padding": "same", "activation": "relu"}
    return {
        "inputs": {"image": {"shape": [8, 8, 1]}},
        "layers": [
            {"type": "Rescaling", "scale": 0.0625},
            {"type": "Conv2D", "name": "stem", "filters": CHANNELS, **convolution},
            {"type": "DepthwiseConv2D", "name": "depthwise", **convolution},
            {"type": "Conv2D", "name": "pointwise", "filters": 32, "kernel_size": 1, "activation": "relu"},
            {"type": "GlobalMaxPooling2D"},
            {"type": "Dense", "name": "digit", "units": 10, "activation": "softmax"},
        ],
        "training": {
            "loss": "sparse_categorical_crossentropy",
            "metrics": ["accuracy"],
            "optimizer": {"type": "adam", "learning_rate": learning_rate},
            "epochs": 12,
            "batch_size": 32,
            "data": {
                "train": str(DATA.resolve()),
                "test": str(DATA.with_name("digits_test.npz").resolve()),
                "x": "image",
                "y": "label",
            },
        },
        **sections,
    }


def train_with_wide_ranges(folder: Path, **sections: Any) -> Path:
    """Trains the network, and multiplies the channels of its depthwise layer by 1 to 1000, which the next layer takes
    back: the outputs stay the same. Returns the RUN folder."""
    trainer = jsonnx.Trainer(depthwise_spec(0.01), seed=0, data_roots=[DATA.parent])
    trainer.fit(run=folder / "trained")
    weights = {name: np.array(array) for name, array in trainer.weights().items()}
    factors = np.geomspace(1, 1000, CHANNELS).astype(np.float32)
    weights["depthwise/kernel"] *= factors.reshape(1, 1, -1, 1)
    weights["depthwise/bias"] *= factors
    weights["pointwise/kernel"] /= factors.reshape(1, 1, -1, 1)
    scaled = jsonnx.Trainer(depthwise_spec(1e-12, **sections), seed=0, data_roots=[DATA.parent])
    scaled.set_weights(weights)
    scaled.fit(run=folder / "wide", epochs=1)
    return folder / "wide"
