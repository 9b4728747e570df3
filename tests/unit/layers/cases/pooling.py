"""Pooling over windows, global pooling and adaptive pooling."""

from . import Case


def pool(kind: str, spatial: int = 2, **arguments) -> dict:
    return {"type": f"{kind}Pooling{spatial}D", **arguments}


FIRST = {"data_format": "channels_first"}

WINDOWS = [
    ("1d-tiles", {"pool_size": 2}, (6, 2)),
    ("1d-overlap-same", {"pool_size": [3], "strides": 2, "padding": "same"}, (6, 2)),
    ("1d-apart", {"pool_size": 1, "strides": 3}, (7, 2)),
    ("1d-channels-first", {"pool_size": 3, "strides": 1, "padding": "same", **FIRST}, (2, 4)),
    ("2d-tiles", {"pool_size": 2}, (4, 6, 2)),
    ("2d-rest", {"pool_size": [2, 3]}, (5, 8, 2)),
    ("2d-one", {"pool_size": 1}, (2, 3, 2)),
    ("2d-whole-image", {"pool_size": [3, 4]}, (3, 4, 2)),
    ("2d-same", {"pool_size": 2, "padding": "same"}, (5, 4, 2)),
    ("2d-same-above-image", {"pool_size": 4, "strides": 1, "padding": "same"}, (2, 3, 2)),
    ("2d-overlap", {"pool_size": 3, "strides": 2}, (6, 7, 2)),
    ("2d-overlap-same", {"pool_size": 3, "strides": [1, 2], "padding": "same"}, (4, 6, 2)),
    ("2d-apart", {"pool_size": [1, 2], "strides": 3}, (7, 6, 2)),
    ("2d-apart-same", {"pool_size": 2, "strides": 3, "padding": "same"}, (7, 5, 2)),
    ("2d-channels-first", {"pool_size": 2, "strides": [2, 1], **FIRST}, (2, 4, 5)),
    ("3d-tiles", {"pool_size": 2}, (2, 3, 4, 2)),
    ("3d-overlap-same", {"pool_size": [1, 2, 3], "strides": [1, 1, 2], "padding": "same"}, (2, 2, 4, 1)),
    ("3d-channels-first", {"pool_size": [2, 1, 2], "strides": 1, **FIRST}, (2, 3, 2, 2)),
]

SIZES = [
    ("1d", {"output_size": 3}, (7, 2)),
    ("1d-tiles", {"output_size": [2]}, (6, 2)),
    ("1d-same", {"output_size": 4}, (4, 2)),
    ("1d-more", {"output_size": 5}, (3, 2)),
    ("1d-first", {"output_size": 2, **FIRST}, (2, 5)),
    ("2d", {"output_size": [2, 3]}, (5, 4, 2)),
    ("2d-tiles", {"output_size": 2}, (4, 6, 2)),
    ("2d-tiles-one-axis", {"output_size": [2, 3]}, (6, 5, 2)),
    ("2d-one", {"output_size": 1}, (3, 4, 2)),
    ("2d-more", {"output_size": [4, 2]}, (3, 2, 2)),
    ("2d-first", {"output_size": [3, 2], **FIRST}, (2, 4, 5)),
    ("3d", {"output_size": [2, 1, 3]}, (3, 2, 4, 2)),
    ("3d-first", {"output_size": 2, **FIRST}, (2, 3, 2, 3)),
]

GLOBAL = [
    ("1d", {}, (5, 2)),
    ("1d-keepdims", {"keepdims": True}, (1, 2)),
    ("1d-first", FIRST, (2, 3)),
    ("2d", {}, (3, 4, 2)),
    ("2d-keepdims", {"keepdims": True}, (3, 1, 2)),
    ("2d-first", {"keepdims": True, **FIRST}, (2, 3, 4)),
    ("3d", {}, (2, 3, 2, 2)),
    ("3d-keepdims", {"keepdims": True}, (1, 1, 1, 2)),
    ("3d-first", FIRST, (2, 3, 1, 2)),
]


def spatial(name: str) -> int:
    return int(name[0])


CASES = [
    *(
        Case(f"{kind.lower()}-pooling{name}", pool(kind, spatial(name), **given), [shape])
        for kind in ("Max", "Average")
        for name, given, shape in WINDOWS
    ),
    Case("max-pooling1d-default", pool("Max", 1), [(5, 3)]),
    Case("max-pooling2d-default", pool("Max"), [(4, 4, 3)]),
    Case("max-pooling3d-default", pool("Max", 3), [(2, 2, 4, 2)]),
    *(
        Case(f"global-{kind.lower()}-pooling{name}", pool(f"Global{kind}", spatial(name), **given), [shape])
        for kind in ("Average", "Max")
        for name, given, shape in GLOBAL
    ),
    Case("global-average-pooling1d-mask", pool("GlobalAverage", 1), [(5, 3), (5,)], masks=(1,)),
    Case(
        "global-average-pooling1d-mask-first",
        pool("GlobalAverage", 1, data_format="channels_first", keepdims=True),
        [(3, 5), (5,)],
        masks=(1,),
    ),
    *(
        Case(f"adaptive-{kind.lower()}-pooling{name}", pool(f"Adaptive{kind}", spatial(name), **given), [shape])
        for kind in ("Average", "Max")
        for name, given, shape in SIZES
    ),
]
