"""Layers that draw random numbers in training, or add a penalty."""

from . import Case

FIRST = {"data_format": "channels_first"}

CASES = [
    Case("dropout", {"type": "Dropout", "rate": 0.4}, [(3, 4)]),
    Case("dropout-none", {"type": "Dropout", "rate": 0}, [(4,)]),
    Case("dropout-all", {"type": "Dropout", "rate": 1, "seed": 7}, [(4,)]),
    Case("dropout-shared", {"type": "Dropout", "rate": 0.5, "noise_shape": [None, 1, 4]}, [(3, 4)]),
    Case("spatial-dropout-1d", {"type": "SpatialDropout1D", "rate": 0.5}, [(3, 4)]),
    Case("spatial-dropout-2d", {"type": "SpatialDropout2D", "rate": 0.5}, [(2, 3, 4)]),
    Case(
        "spatial-dropout-2d-first",
        {"type": "SpatialDropout2D", "rate": 0.5, **FIRST},
        [(2, 3, 4)],
    ),
    Case("spatial-dropout-3d", {"type": "SpatialDropout3D", "rate": 0.5}, [(2, 2, 3, 2)]),
    Case("gaussian-noise", {"type": "GaussianNoise", "stddev": 0.5}, [(3, 4)]),
    Case("gaussian-noise-none", {"type": "GaussianNoise", "stddev": 0}, [(4,)]),
    Case("gaussian-dropout", {"type": "GaussianDropout", "rate": 0.5}, [(3, 4)]),
    Case("alpha-dropout", {"type": "AlphaDropout", "rate": 0.3}, [(3, 4)]),
    Case("alpha-dropout-shared", {"type": "AlphaDropout", "rate": 0.3, "noise_shape": [None, 3, 1]}, [(3, 4)]),
    Case("activity-regularization", {"type": "ActivityRegularization", "l1": 0.1, "l2": 0.2}, [(3, 4)]),
    Case("add-loss", {"type": "AddLoss", "weight": 2.0}, [(3, 4)]),
    Case("add-loss-sum", {"type": "AddLoss", "reduction": "sum"}, [()]),
    Case("activity-regularization-none", {"type": "ActivityRegularization"}, [(4,)]),
]
