"""Gradients of operators that rearrange, slice and pad, against finite differences in float64."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
from jsonnx.core.types import BATCH, Size, TensorType
from jsonnx.gradient import MissingRule
from jsonnx.ir import Builder, Graph
from support.harness import check_gradients, reference, run

TIME = Size.named("time")


class Rule(NamedTuple):
    """An operator applied to inputs of these shapes; symbolic sizes are 3 at run time."""

    id: str
    apply: Callable
    shapes: list[tuple]
    evaluate: Callable = reference

    def graph(self) -> Graph:
        g = Builder(float_dtype="float64")
        y = self.apply(
            g, *(g.input(f"x{index}", TensorType("float64", shape)) for index, shape in enumerate(self.shapes))
        )
        if not {*y.shape} <= {*range(99), BATCH, TIME}:  # the harness weights outputs whose sizes it can tell
            y = g.ReduceSum(g.Mul(y, y), keepdims=0)
        return g.graph({"y": y})

    def feeds(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        sizes = [tuple(size if isinstance(size, int) else 3 for size in shape) for shape in self.shapes]
        return {f"x{index}": rng.normal(size=shape) for index, shape in enumerate(sizes)}


def concat(g: Builder, *xs):
    return g.Concat(*xs, axis=1)


def last_of_split(g: Builder, x):
    return g.Split(x, [1, 3], axis=-1, outputs=2)[1]


def sum_of_split(g: Builder, x):
    a, b = g.Split(x, axis=1, num_outputs=2, outputs=2)
    return g.Add(g.Mul(a, 2.0), b)


def merged_twice(g: Builder, x):
    return g.reshape(x, (BATCH * TIME, 4))


def pad_with_elements(g: Builder, x, mode):
    return g.Pad(g.Pad(x, [0, 2, 0, 0, 1, 2], mode=mode), [2, 0], None, [2], mode=mode)


def nearest(g: Builder, x, **how):
    return g.Resize(x, None, g.const([1, 1, 2, 3], "float32"), mode="nearest", **how)


def resize(*scales: float, **how) -> Callable:
    return lambda g, x: g.Resize(x, None, g.const(scales, "float32"), **how)


RULES = [
    Rule("transpose", lambda g, x: g.Transpose(x, perm=[2, 0, 1]), [(2, 3, 4)]),
    Rule("transpose-reversed", lambda g, x: g.Transpose(x), [(2, 3, 4)]),
    Rule("reshape", lambda g, x: g.reshape(x, (BATCH, 12)), [(BATCH, 3, 4)]),
    Rule("reshape-two-symbolic", merged_twice, [(BATCH, TIME, 4)]),
    Rule("flatten", lambda g, x: g.Flatten(x, axis=2), [(2, 3, 4, 2)]),
    Rule("squeeze", lambda g, x: g.Squeeze(x, [1]), [(BATCH, 1, TIME)]),
    Rule("unsqueeze", lambda g, x: g.Unsqueeze(x, [0, 3]), [(BATCH, TIME)]),
    Rule("concat", concat, [(BATCH, 2, 3), (BATCH, 1, 3), (BATCH, 4, 3)]),
    Rule("concat-symbolic", concat, [(2, TIME), (2, BATCH)]),
    Rule("concat-one", concat, [(2, 3)]),
    Rule("split-part", last_of_split, [(BATCH, 4)]),
    Rule("split-all", sum_of_split, [(BATCH, 4)]),
    Rule("slice", lambda g, x: g.Slice(x, [1, 0], [3, -1], [1, 2]), [(BATCH, 4, 3)]),
    Rule("slice-whole", lambda g, x: g.Slice(x, [0], [99]), [(2, 3)]),
    Rule("slice-steps", lambda g, x: g.Slice(x, [1, 0], [99, 5], [1, 2], [3, 2]), [(2, 8, 6)]),
    Rule("slice-reversed", lambda g, x: g.Slice(x, [-1], [-99], [1], [-1]), [(2, 5)]),
    Rule("slice-back-in-steps", lambda g, x: g.Slice(x, [99], [0], [1], [-2]), [(2, 7)]),
    Rule("slice-back-from-inside", lambda g, x: g.Slice(x, [-2], [-99], [-1], [-3]), [(BATCH, 7)]),
    Rule("slice-symbolic", lambda g, x: g.Slice(x, [1], [99], [1]), [(2, TIME, 2)]),
    Rule("slice-symbolic-end", lambda g, x: g.Slice(x, [-2], [2**31], [1]), [(2, TIME, 2)]),
    Rule("slice-symbolic-reversed", lambda g, x: g.Slice(x, [2**62], [-(2**62)], [1], [-1]), [(BATCH, TIME)]),
    Rule("slice-symbolic-reversed-from-end", lambda g, x: g.Slice(x, [-1], [-99], [1], [-1]), [(BATCH, TIME, 2)]),
    Rule("pad", lambda g, x: g.Pad(x, [0, 1, 0, 0, 0, 2]), [(BATCH, 3, 2)]),
    Rule("pad-value-axes", lambda g, x: g.Pad(x, [1, 2], 7.0, [-1]), [(2, 3)]),
    Rule("pad-negative", lambda g, x: g.Pad(x, [0, -1, 0, 2]), [(BATCH, 4)], run),
    *(
        Rule(f"pad-{mode}-{shape[1]}", partial(pad_with_elements, mode=mode), [shape])
        for mode in ("reflect", "edge", "wrap")
        for shape in ((2, 4, 3), (BATCH, TIME, 4))
    ),
    Rule("expand", lambda g, x: g.Expand(x, [2, 4, 3]), [(4, 1)]),
    Rule("tile", lambda g, x: g.Tile(x, [1, 2, 3]), [(BATCH, 2, 3)]),
    Rule("tile-nothing", lambda g, x: g.Tile(x, [1, 1]), [(2, 3)]),
    Rule("trilu", lambda g, x: g.Trilu(x, upper=0), [(2, 3, 3)]),
    Rule("space-to-depth", lambda g, x: g.SpaceToDepth(x, blocksize=2), [(2, 2, 4, 2)]),
    Rule("depth-to-space", lambda g, x: g.DepthToSpace(x, blocksize=2), [(2, 8, 2, 1)]),
    Rule("depth-to-space-crd", lambda g, x: g.DepthToSpace(x, blocksize=2, mode="CRD"), [(2, 8, 2, 1)]),
    Rule("resize", nearest, [(2, 2, 2, 2)]),
    Rule(
        "resize-floor",
        lambda g, x: nearest(g, x, coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        [(1, 2, 2, 3)],
    ),
    Rule("resize-nearest-apart", resize(1, 1, 1.5, 0.5, mode="nearest"), [(2, 1, 4, 4)]),
    Rule("resize-linear", resize(1, 1, 2, 3, mode="linear"), [(2, 2, 3, 2)]),
    Rule("resize-linear-one-axis", resize(1, 1, 1, 2, mode="linear"), [(2, 2, 3, 1)]),
    Rule("resize-linear-sequence", resize(1, 1, 2, mode="linear"), [(2, 2, 4)]),
    Rule("resize-linear-volume", resize(1, 1, 2, 1, 3, mode="linear"), [(1, 2, 2, 2, 2)]),
    Rule("resize-linear-symbolic", resize(1, 1, 2, 2, mode="linear"), [(BATCH, 1, TIME, 2)]),
    Rule(
        "resize-linear-corners",
        resize(1, 1, 2, 0.5, mode="linear", coordinate_transformation_mode="align_corners"),
        [(1, 1, 3, 4)],
    ),
    Rule("resize-cubic", resize(1, 1, 2, 2.5, mode="cubic"), [(1, 2, 3, 4)]),
    Rule(
        "resize-cubic-inside", resize(1, 1, 3, 2, mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1), [(1, 2, 3, 2)]
    ),
    Rule("resize-to-sizes", lambda g, x: g.Resize(x, None, None, [1, 1, 5, 3], mode="linear"), [(1, 1, 3, 4)]),
]


@pytest.mark.parametrize("rule", RULES, ids=[rule.id for rule in RULES])
def test_gradient_equals_finite_differences(rule: Rule) -> None:
    feeds = rule.feeds(np.random.default_rng(0))
    assert check_gradients(rule.graph(), feeds, list(feeds), evaluate=rule.evaluate) < 1e-8


def test_a_resize_of_some_axes_has_no_gradient_rule() -> None:
    g = Builder(float_dtype="float64")
    x = g.input("x", TensorType("float64", (1, 1, 2, 2)))
    roi = g.const([0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.5, 0.5])
    how = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}
    y = g.Resize(x, roi, g.const([1, 1, 2, 2], "float32"), **how)
    with pytest.raises(MissingRule, match="Resize"):
        check_gradients(g.graph({"y": y}), {"x": np.ones((1, 1, 2, 2))}, ["x"])
