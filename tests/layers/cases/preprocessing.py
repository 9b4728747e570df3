"""Rescaling and Normalization."""

from . import Case

NORMALIZATION = {"type": "Normalization"}

CASES = [
    Case("rescaling", {"type": "Rescaling", "scale": 1 / 127.5, "offset": -1}, [(3, 4)]),
    Case("rescaling-one", {"type": "Rescaling", "scale": 1}, [(3,)]),
    Case("rescaling-lists", {"type": "Rescaling", "scale": [1, 2, 3], "offset": [[0.5], [1]]}, [(2, 3)]),
    Case("rescaling-integers", {"type": "Rescaling", "scale": 0.5}, [(3, 4)], integers=255),
    Case("normalization", {**NORMALIZATION, "mean": [1, 2, 3], "variance": [1, 4, 0]}, [(2, 3)]),
    Case("normalization-number", {**NORMALIZATION, "mean": 1, "variance": 2}, [(2, 3)]),
    Case("normalization-one", {**NORMALIZATION, "axis": None, "mean": 1, "variance": 2}, [(2, 3)]),
    Case("normalization-axis", {**NORMALIZATION, "axis": 1, "mean": [1, 2], "variance": [1, 4]}, [(2, 3)]),
    Case("normalization-axes", {**NORMALIZATION, "axis": [1, 2], "mean": [1, 2, 3], "variance": [1, 4, 9]}, [(2, 3)]),
    Case(
        "normalization-matrix", {**NORMALIZATION, "axis": [-1, 1], "mean": [[1], [2]], "variance": [[1], [2]]}, [(2, 3)]
    ),
    Case("normalization-invert", {**NORMALIZATION, "mean": [1, 2, 3], "variance": [1, 4, 9], "invert": True}, [(2, 3)]),
    Case("normalization-adapted", NORMALIZATION, [(2, 3)]),
    Case("normalization-adapted-one", {**NORMALIZATION, "axis": None}, [(2, 3)]),
    Case("normalization-adapted-axes", {**NORMALIZATION, "axis": [3, 1]}, [(2, 1, 3)]),
    Case("normalization-integers", NORMALIZATION, [(3,)], integers=255),
]
