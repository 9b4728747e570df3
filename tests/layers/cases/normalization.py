"""BatchNormalization and LayerNormalization."""

from . import Case

IMAGE = [(2, 3, 4)]
BATCH, LAYER = {"type": "BatchNormalization"}, {"type": "LayerNormalization"}

CASES = [
    Case("batch-norm", BATCH, [(4,)]),
    Case("batch-norm-sequence", BATCH, [(3, 4)]),
    Case("batch-norm-image", BATCH, IMAGE),
    Case("batch-norm-channels-first", {**BATCH, "axis": 1}, IMAGE),
    Case("batch-norm-middle", {**BATCH, "axis": -2, "epsilon": 0.1}, IMAGE),
    Case("batch-norm-plain", {**BATCH, "center": False, "scale": False, "momentum": 0.5}, [(4,)]),
    Case("batch-norm-gamma", {**BATCH, "center": False}, IMAGE),
    Case("batch-norm-beta", {**BATCH, "scale": False}, IMAGE),
    Case("batch-norm-frozen", {**BATCH, "trainable": False}, IMAGE),
    Case("batch-norm-frozen-plain", {**BATCH, "trainable": False, "center": False, "scale": False}, IMAGE),
    Case("layer-norm", LAYER, [(5,)]),
    Case("layer-norm-sequence", LAYER, [(3, 4)]),
    Case("layer-norm-last-axes", {**LAYER, "axis": [-1, -2], "epsilon": 0.1}, IMAGE),
    Case("layer-norm-all", {**LAYER, "axis": [1, 2, 3]}, IMAGE),
    Case("layer-norm-first", {**LAYER, "axis": 1}, IMAGE),
    Case("layer-norm-apart", {**LAYER, "axis": [3, 1]}, IMAGE),
    Case("layer-norm-plain", {**LAYER, "center": False, "scale": False}, [(5,)]),
    Case("layer-norm-gamma", {**LAYER, "center": False}, [(5,)]),
    Case("layer-norm-beta", {**LAYER, "scale": False}, [(5,)]),
    Case("layer-norm-apart-plain", {**LAYER, "axis": [1, -1], "center": False, "scale": False}, IMAGE),
]
