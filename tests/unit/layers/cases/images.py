"""Resizing, cropping and contrast."""

from . import Case

FIRST = {"data_format": "channels_first"}
SIZES = {"up": (9, 7), "down": (3, 2), "odd": (4, 8), "same": (5, 6)}
CLAHE = {"type": "ContrastLimitedAdaptiveHistogramEqualization"}


def resizing(size: str, **more: object) -> dict:
    height, width = SIZES[size]
    return {"type": "Resizing", "height": height, "width": width, **more}


CASES = [
    *(
        Case(f"resizing-{kind}-{size}{'-antialias' * antialias}", layer, [(5, 6, 2)])
        for kind in ("bilinear", "nearest", "bicubic")
        for size in SIZES
        for antialias in (False, True)
        for layer in [resizing(size, interpolation=kind, antialias=antialias)]
    ),
    Case("resizing-first", resizing("odd", **FIRST), [(2, 5, 6)]),
    Case("resizing-first-nearest", resizing("odd", interpolation="nearest", **FIRST), [(2, 5, 6)]),
    Case("resizing-first-antialias", resizing("down", antialias=True, **FIRST), [(2, 5, 6)]),
    Case("resizing-integers", resizing("odd"), [(5, 6, 2)], integers=255),
    Case("resizing-integers-cubic", resizing("down", interpolation="bicubic"), [(5, 6, 2)], integers=255),
    Case("resizing-integers-nearest", resizing("up", interpolation="nearest"), [(5, 6, 2)], integers=255),
    *(
        Case(
            f"resizing-{way}-{shape[0]}x{shape[1]}-{size}", resizing(size, **{f"{way}_to_aspect_ratio": True}), [shape]
        )
        for way in ("crop", "pad")
        for size in ("up", "down", "odd")
        for shape in [(5, 6, 1), (3, 11, 1), (10, 3, 2)]
    ),
    Case("resizing-crop-first", resizing("up", crop_to_aspect_ratio=True, **FIRST), [(2, 4, 9)]),
    Case("resizing-pad-first", resizing("up", pad_to_aspect_ratio=True, fill_value=3, **FIRST), [(2, 4, 9)]),
    Case("resizing-pad-integers", resizing("up", pad_to_aspect_ratio=True, fill_value=3.6), [(4, 9, 2)], integers=255),
    *(
        Case(f"center-crop-{h}x{w}", {"type": "CenterCrop", "height": h, "width": w}, [(5, 6, 2)])
        for h, w in [(3, 2), (4, 5), (5, 6), (7, 4), (3, 8), (9, 9), (1, 1)]
    ),
    Case("center-crop-first", {"type": "CenterCrop", "height": 3, "width": 4, **FIRST}, [(2, 5, 6)]),
    Case("center-crop-larger-first", {"type": "CenterCrop", "height": 7, "width": 4, **FIRST}, [(2, 5, 6)]),
    Case("auto-contrast", {"type": "AutoContrast", "value_range": [0, 1]}, [(4, 3, 2)]),
    Case("auto-contrast-range", {"type": "AutoContrast", "value_range": [2, -1]}, [(4, 3, 2)]),
    Case("auto-contrast-even", {"type": "AutoContrast"}, [(1, 1, 2)], integers=200),
    Case("auto-contrast-integers", {"type": "AutoContrast"}, [(4, 3, 2)], integers=200),
    Case("equalization", {"type": "Equalization", "value_range": [-2, 2]}, [(4, 3, 2)], smooth=False),
    Case("equalization-bins", {"type": "Equalization", "value_range": [-2, 2], "bins": 7}, [(5, 4, 1)], smooth=False),
    Case("equalization-default", {"type": "Equalization"}, [(4, 3, 2)], smooth=False),
    Case("equalization-integers", {"type": "Equalization"}, [(8, 8, 3)], integers=255, smooth=False),
    Case("equalization-first", {"type": "Equalization", "value_range": [-2, 2], **FIRST}, [(2, 4, 3)], smooth=False),
    Case("clahe", {**CLAHE, "value_range": [-2, 2]}, [(16, 9, 2)], smooth=False),
    Case("clahe-grid", {**CLAHE, "value_range": [-2, 2], "tile_grid_size": [2, 3]}, [(7, 11, 1)], smooth=False),
    Case("clahe-one-tile", {**CLAHE, "value_range": [2, -3], "tile_grid_size": [1, 1]}, [(5, 4, 3)], smooth=False),
    Case("clahe-limit", {**CLAHE, "value_range": [-2, 2], "clip_limit": 40}, [(24, 17, 1)], smooth=False),
    Case("clahe-low-limit", {**CLAHE, "value_range": [-2, 2], "clip_limit": 0.3}, [(9, 24, 1)], smooth=False),
    Case("clahe-no-limit", {**CLAHE, "value_range": [-2, 2], "clip_limit": 0}, [(9, 8, 2)], smooth=False),
    Case("clahe-integers", {**CLAHE, "tile_grid_size": [2, 2]}, [(12, 9, 2)], integers=255),
    Case("clahe-tiny", CLAHE, [(1, 1, 3)], integers=255),
    Case("clahe-first", {**CLAHE, "value_range": [-2, 2], **FIRST}, [(2, 9, 16)], smooth=False),
    Case("center-crop-integers", {"type": "CenterCrop", "height": 3, "width": 4}, [(5, 6, 2)], integers=255),
]
