"""Batch, layer, group, RMS and unit normalization."""

from . import Case

IMAGE = [(2, 3, 4)]
BATCH, LAYER = {"type": "BatchNormalization"}, {"type": "LayerNormalization"}
RENORM, BOUNDS = {**BATCH, "renorm": True}, {"rmin": 0.8, "rmax": 1.25, "dmax": 0.5}
GROUP = {"type": "GroupNormalization", "groups": 2}
RMS, UNIT = {"type": "RMSNormalization"}, {"type": "UnitNormalization"}

LOCAL = {"type": "LocalResponseNormalization"}

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
    # the correction is a constant for the gradient, but not for finite differences
    Case("batch-norm-renorm", RENORM, IMAGE, smooth=False),
    Case("batch-norm-renorm-plain", {**RENORM, "center": False, "scale": False}, [(4,)], smooth=False),
    Case("batch-norm-renorm-beta", {**RENORM, "scale": False, "renorm_momentum": 0.5}, IMAGE, smooth=False),
    Case("batch-norm-renorm-clipped", {**RENORM, "axis": 1, "renorm_clipping": BOUNDS}, [(4, 3)], smooth=False),
    Case("batch-norm-renorm-frozen", {**RENORM, "trainable": False}, IMAGE),
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
    Case("layer-norm-order", {**LAYER, "axis": [1, -1]}, IMAGE),
    Case("layer-norm-last-order", {**LAYER, "axis": [1, -1]}, [(2, 3)]),
    Case("layer-norm-rms-scaling", {**LAYER, "rms_scaling": True, "scale": False}, [(5,)]),
    Case("layer-norm-rms-scaling-axes", {**LAYER, "rms_scaling": True, "axis": [1, 2]}, IMAGE),
    Case("group-norm", GROUP, [(4,)]),
    Case("group-norm-image", GROUP, IMAGE),
    Case("group-norm-channels-first", {**GROUP, "axis": 1}, [(4, 2, 3)]),
    Case("group-norm-middle", {**GROUP, "axis": -2, "epsilon": 0.1}, [(2, 4, 3)]),
    Case("group-norm-instance", {**GROUP, "groups": -1, "center": False}, IMAGE),
    Case("group-norm-one", {**GROUP, "groups": 1, "scale": False}, IMAGE),
    Case("group-norm-plain", {**GROUP, "center": False, "scale": False}, IMAGE),
    Case("rms-norm", RMS, [(5,)]),
    Case("rms-norm-image", {**RMS, "epsilon": 0.1}, IMAGE),
    Case("rms-norm-last-axes", {**RMS, "axis": [-1, -2]}, IMAGE),
    Case("rms-norm-first-axis", {**RMS, "axis": 1}, [(3, 3)]),
    Case("rms-norm-one", {**RMS, "axis": [2]}, [(3, 1, 2)]),
    Case("unit-norm", UNIT, [(5,)]),
    Case("unit-norm-first", {**UNIT, "axis": 1}, IMAGE),
    Case("unit-norm-apart", {**UNIT, "axis": [1, -1]}, IMAGE),
    Case("local-response-norm", LOCAL, [(2, 2, 7)]),
    Case("local-response-norm-sequence", {**LOCAL, "depth_radius": 1, "alpha": 0.5, "bias": 2}, [(3, 5)]),
    Case("local-response-norm-volume", {**LOCAL, "depth_radius": 1, "beta": 0.75}, [(2, 1, 2, 4)]),
    Case("local-response-norm-channels-first", {**LOCAL, "axis": 1, "depth_radius": 2, "beta": 0.75}, [(6, 2, 3)]),
]
