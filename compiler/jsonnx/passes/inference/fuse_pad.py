"""Fuses Pads with zeros into the convolution or pooling that reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...ir import Constant, Graph, Node, Value
from ..layout.permutation import permute
from ..rewrite import Match, RuleSet

NON_NEGATIVE_OPS = {"Relu", "Sigmoid", "HardSigmoid", "Softplus", "Exp", "Abs", "Softmax"}

motion = RuleSet(cleanup=None)
fusion = RuleSet(cleanup=None)


def fuse_pads(graph: Graph) -> Graph:
    """Fuses Pads into convolutions, and into poolings that treat their own padding like these zeros.

    An AveragePool can count its padding as zeros. A MaxPool's padding is less than any number, which gives the same
    only if no element is negative.
    """
    return fusion.apply(motion.apply(graph))


@motion("Transpose")
def move_pad_after_transpose(m: Match) -> Node | None:
    """Transpose(Pad(x)) -> Pad(Transpose(x)), if nothing else reads the Pad"""
    pad = m.original_producer(m.node.inputs[0])
    if pad is None or pad.op != "Pad" or m.use_counts[pad.outputs[0]] != 1 or pad.input(3) is not None:
        return None
    x, pads = pad.inputs[0], pad.inputs[1]
    if x is None or not isinstance(pads, Constant):
        return None
    perm = tuple(m.node.attribute("perm") or range(x.rank)[::-1])
    transposed = Value(x.type.with_shape(permute(x.shape, perm)))
    transposed_pads = Constant(pads.type, pads.array.reshape(2, -1)[:, perm].ravel())
    m.g.nodes.append(replace(m.node, inputs=(x,), outputs=(transposed,)))
    return replace(pad, inputs=(transposed, transposed_pads, *pad.inputs[2:]), outputs=m.node.outputs)


@fusion("Conv")
def fuse_pad_into_conv(m: Match) -> Node | None:
    """Conv(Pad(x)) -> Conv(x)"""
    padding = _fusable_padding(m)
    return None if padding is None else _with_padding(m.node, *padding)


@fusion("AveragePool")
def fuse_pad_into_average_pool(m: Match) -> Node | None:
    """AveragePool(Pad(x)) -> AveragePool(x, count_include_pad=1)"""
    padding = _fusable_padding(m)
    if padding is None or _has_own_pads(m.node) or not _windows_reach_image(m.node, padding[1]):
        return None
    return _with_padding(m.node, *padding, count_include_pad=1)


@fusion("MaxPool")
def fuse_pad_into_max_pool(m: Match) -> Node | None:
    """MaxPool(Pad(x)) -> MaxPool(x), if x is not negative"""
    padding = _fusable_padding(m)
    if padding is None or _has_own_pads(m.node) or not _windows_reach_image(m.node, padding[1]):
        return None
    source = m.producer(padding[0])
    if len(m.node.outputs) > 1 or source is None or not _is_non_negative(source):
        return None
    return _with_padding(m.node, *padding)


def _fusable_padding(m: Match) -> tuple[Value, list[int]] | None:
    """The operand of a Pad that the node reads, and the sum of its padding and the node's own."""
    pad = m.producer(m.node.inputs[0])
    if pad is None or pad.op != "Pad" or m.node.attribute("auto_pad", "NOTSET") != "NOTSET":
        return None
    x, sides = pad.inputs[0], _spatial_zero_pads(pad)
    if x is None or sides is None or m.node.attribute("ceil_mode", 0):
        return None
    own_sides = m.node.attribute("pads") or [0] * len(sides)
    return x, [own + side for own, side in zip(own_sides, sides, strict=True)]


def _with_padding(node: Node, x: Value, pads: list[int], **attributes: int) -> Node:
    return replace(node, inputs=(x, *node.inputs[1:]), attributes={**node.attributes, "pads": pads, **attributes})


def _has_own_pads(node: Node) -> bool:
    return any(node.attribute("pads") or [0])


def _spatial_zero_pads(pad: Node) -> list[int] | None:
    """The zeros that a Pad adds before each spatial axis, then after each; None if it adds anything else."""
    pads, value = pad.input(1), pad.input(2)
    is_zero = value is None or (isinstance(value, Constant) and not value.array.any())
    is_constant = pad.attribute("mode", "constant") == "constant" and pad.input(3) is None
    if not (is_zero and is_constant and isinstance(pads, Constant)):
        return None
    sizes = [int(size) for size in pads.array]
    rank = len(sizes) // 2
    outer = [*sizes[:2], *sizes[rank : rank + 2]]
    return None if min(sizes) < 0 or any(outer) else sizes[2:rank] + sizes[rank + 2 :]


def _windows_reach_image(node: Node, pads: Sequence[int]) -> bool:
    """Whether every window has an element of the image, as ONNX requires of pooling."""
    sizes = node.attribute("kernel_shape")
    return max(node.attribute("dilations") or [1]) == 1 and all(
        pad < size for pad, size in zip(pads, [*sizes, *sizes], strict=True)
    )


def _is_non_negative(node: Node) -> bool:
    low = node.input(1) if node.op == "Clip" else None
    return node.op in NON_NEGATIVE_OPS or (isinstance(low, Constant) and bool((low.array >= 0).all()))
