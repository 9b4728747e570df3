"""Layers that reshape, permute, repeat, crop, pad and upsample."""

from . import Case

FIRST = {"data_format": "channels_first"}


def up(spatial: int, **arguments) -> dict:
    return {"type": f"UpSampling{spatial}D", **arguments}


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
    Case("zero-padding-1d", {"type": "ZeroPadding1D"}, [(3, 2)]),
    Case("zero-padding-1d-sides", {"type": "ZeroPadding1D", "padding": [0, 2]}, [(3, 2)]),
    Case("zero-padding-1d-channels-first", {"type": "ZeroPadding1D", "padding": [1, 1], **FIRST}, [(3, 2)]),
    Case("zero-padding-3d", {"type": "ZeroPadding3D"}, [(1, 2, 3, 2)]),
    Case("zero-padding-3d-sides", {"type": "ZeroPadding3D", "padding": [[1, 0], [0, 2], [0, 0]]}, [(1, 2, 3, 2)]),
    Case("zero-padding-3d-channels-first", {"type": "ZeroPadding3D", "padding": [1, 0, 2], **FIRST}, [(2, 1, 2, 1)]),
    Case("cropping-1d", {"type": "Cropping1D"}, [(4, 2)]),
    Case("cropping-1d-front", {"type": "Cropping1D", "cropping": [2, 0]}, [(3, 2)]),
    Case("cropping-1d-behind", {"type": "Cropping1D", "cropping": [0, 2]}, [(3, 2)]),
    Case("cropping-2d-none", {"type": "Cropping2D"}, [(2, 3, 2)]),
    Case("cropping-2d", {"type": "Cropping2D", "cropping": [1, 0]}, [(3, 2, 2)]),
    Case("cropping-2d-sides", {"type": "Cropping2D", "cropping": [[0, 1], [2, 1]]}, [(3, 4, 2)]),
    Case("cropping-2d-channels-first", {"type": "Cropping2D", "cropping": [[0, 1], [2, 0]], **FIRST}, [(2, 2, 4)]),
    Case("cropping-3d", {"type": "Cropping3D"}, [(3, 4, 3, 2)]),
    Case("cropping-3d-sides", {"type": "Cropping3D", "cropping": [[0, 1], [2, 0], [0, 0]]}, [(3, 3, 2, 2)]),
    Case("cropping-3d-channels-first", {"type": "Cropping3D", "cropping": [0, 1, [1, 2]], **FIRST}, [(2, 1, 3, 4)]),
    Case("repeat-vector", {"type": "RepeatVector", "n": 3}, [(4,)]),
    Case("repeat-vector-once", {"type": "RepeatVector", "n": 1}, [(1,)]),
    Case("up-sampling1d", up(1), [(3, 2)]),
    Case("up-sampling1d-thrice", up(1, size=3), [(1, 2)]),
    Case("up-sampling1d-once", up(1, size=1), [(3, 2)]),
    Case("up-sampling2d", up(2), [(2, 3, 2)]),
    Case("up-sampling2d-one-axis", up(2, size=[3, 1]), [(2, 3, 2)]),
    Case("up-sampling2d-first", up(2, size=[2, 3], **FIRST), [(2, 3, 2)]),
    Case("up-sampling2d-bilinear", up(2, interpolation="bilinear"), [(2, 3, 2)]),
    Case("up-sampling2d-bilinear-one-axis", up(2, size=[1, 3], interpolation="bilinear"), [(2, 3, 2)]),
    Case("up-sampling2d-bilinear-one-pixel", up(2, size=[2, 4], interpolation="bilinear"), [(1, 1, 2)]),
    Case("up-sampling2d-bilinear-first", up(2, size=3, interpolation="bilinear", **FIRST), [(2, 3, 2)]),
    Case("up-sampling2d-bicubic", up(2, interpolation="bicubic"), [(4, 5, 2)]),
    Case("up-sampling2d-bicubic-few-pixels", up(2, size=[3, 2], interpolation="bicubic"), [(1, 2, 2)]),
    Case("up-sampling2d-bicubic-first", up(2, size=[2, 3], interpolation="bicubic", **FIRST), [(2, 3, 2)]),
    Case("up-sampling3d", up(3), [(1, 2, 2, 2)]),
    Case("up-sampling3d-first", up(3, size=[1, 3, 2], **FIRST), [(2, 1, 2, 2)]),
]
