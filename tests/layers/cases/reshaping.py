"""Flatten, Reshape, Permute, ZeroPadding2D."""

from . import Case

CASES = [
    Case("flatten", {"type": "Flatten"}, [(2, 3, 4)]),
    Case("flatten-vector", {"type": "Flatten"}, [(5,)]),
    Case("flatten-scalar", {"type": "Flatten"}, [()]),
    Case("flatten-channels-first", {"type": "Flatten", "data_format": "channels_first"}, [(2, 3, 4)]),
    Case("flatten-channels-first-vector", {"type": "Flatten", "data_format": "channels_first"}, [(4,)]),
    Case("reshape", {"type": "Reshape", "target_shape": [4, 3]}, [(12,)]),
    Case("reshape-inferred", {"type": "Reshape", "target_shape": [-1, 2]}, [(3, 4)]),
    Case("reshape-to-scalar", {"type": "Reshape", "target_shape": []}, [(1, 1)]),
    Case("permute", {"type": "Permute", "dims": [3, 1, 2]}, [(2, 3, 4)]),
    Case("permute-nothing", {"type": "Permute", "dims": [1]}, [(4,)]),
    Case("zero-padding-2d", {"type": "ZeroPadding2D"}, [(2, 3, 2)]),
    Case("zero-padding-2d-none", {"type": "ZeroPadding2D", "padding": 0}, [(2, 3, 2)]),
    Case("zero-padding-2d-pair", {"type": "ZeroPadding2D", "padding": [2, 1]}, [(2, 3, 2)]),
    Case("zero-padding-2d-sides", {"type": "ZeroPadding2D", "padding": [[1, 0], [0, 2]]}, [(2, 3, 2)]),
    Case(
        "zero-padding-2d-channels-first",
        {"type": "ZeroPadding2D", "padding": [1, [0, 3]], "data_format": "channels_first"},
        [(2, 3, 2)],
    ),
]
