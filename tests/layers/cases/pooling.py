"""Pooling over windows and over whole images."""

from . import Case


def pool(kind: str, **arguments) -> dict:
    return {"type": f"{kind}Pooling2D", **arguments}


WINDOWS = [
    ("tiles", {"pool_size": 2}, (4, 6, 2)),
    ("rest", {"pool_size": [2, 3]}, (5, 8, 2)),
    ("one", {"pool_size": 1}, (2, 3, 2)),
    ("whole-image", {"pool_size": [3, 4]}, (3, 4, 2)),
    ("same", {"pool_size": 2, "padding": "same"}, (5, 4, 2)),
    ("same-above-image", {"pool_size": 4, "strides": 1, "padding": "same"}, (2, 3, 2)),
    ("overlap", {"pool_size": 3, "strides": 2}, (6, 7, 2)),
    ("overlap-same", {"pool_size": 3, "strides": [1, 2], "padding": "same"}, (4, 6, 2)),
    ("apart", {"pool_size": [1, 2], "strides": 3}, (7, 6, 2)),
    ("apart-same", {"pool_size": 2, "strides": 3, "padding": "same"}, (7, 5, 2)),
    ("channels-first", {"pool_size": 2, "strides": [2, 1], "data_format": "channels_first"}, (2, 4, 5)),
]

CASES = [
    *(Case(f"max-pooling2d-{name}", pool("Max", **arguments), [shape]) for name, arguments, shape in WINDOWS),
    *(Case(f"average-pooling2d-{name}", pool("Average", **arguments), [shape]) for name, arguments, shape in WINDOWS),
    Case("max-pooling2d-default", pool("Max"), [(4, 4, 3)]),
    Case("global-average-pooling2d", pool("GlobalAverage"), [(3, 4, 2)]),
    Case("global-average-pooling2d-keepdims", pool("GlobalAverage", keepdims=True), [(1, 1, 2)]),
    Case("global-average-pooling2d-first", pool("GlobalAverage", data_format="channels_first"), [(2, 3, 4)]),
    Case("global-max-pooling2d", pool("GlobalMax"), [(3, 4, 2)]),
    Case("global-max-pooling2d-keepdims", pool("GlobalMax", keepdims=True), [(3, 1, 2)]),
    Case("global-max-pooling2d-first", pool("GlobalMax", data_format="channels_first", keepdims=True), [(2, 3, 4)]),
]
