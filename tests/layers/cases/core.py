"""Dense, Activation, Embedding."""

from . import Case

CASES = [
    Case("dense", {"type": "Dense", "units": 3}, [(5,)]),
    Case("dense-sequence", {"type": "Dense", "units": 3, "activation": "tanh"}, [(4, 5)]),
    Case("dense-no-bias", {"type": "Dense", "units": 3, "use_bias": False}, [(5,)]),
]
