"""Layers of keras.applications."""

from . import Case

CASES = [
    Case("layer-scale", {"type": "LayerScale", "init_values": 0.1, "projection_dim": 3}, [(2, 2, 3)]),
    Case("stochastic-depth", {"type": "StochasticDepth", "drop_path_rate": 0.4}, [(2, 2, 3)]),
    Case("custom-scale-layer", {"type": "CustomScaleLayer", "scale": 0.17}, [(2, 2, 3), (2, 2, 3)]),
]
