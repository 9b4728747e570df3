"""Takes zeros that are put around an image into the operator whose windows move over it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from ...ir import Constant, Graph, Node, Value
from ..layout.permutation import permute

NON_NEGATIVE_OPS = {"Relu", "Sigmoid", "HardSigmoid", "Softplus", "Exp", "Abs", "Softmax"}


def fuse_pads(graph: Graph) -> Graph:
    """The same function with Pad in convolutions, and in pooling where the zeros there count as they do outside.

    A MaxPool's own padding is less than any number: it may take the zeros where nothing else is below them.
    """
    graph = _move_pads_after_transposes(graph)
    producers = graph.producers
    return graph.with_nodes((_fuse_pad(node, producers) for node in graph.nodes), {})


def _move_pads_after_transposes(graph: Graph) -> Graph:
    """Every Pad that only a Transpose reads changes places with it."""
    uses = Counter(x for node in graph.nodes for x in node.inputs if x is not None) + Counter(graph.roots)
    pads: dict[Value | None, Node] = {}
    nodes = []
    for node in graph.nodes:
        if node.op == "Pad" and uses[node.outputs[0]] == 1 and isinstance(node.inputs[1], Constant):
            pads[node.outputs[0]] = node
        pad = pads.get(node.inputs[0]) if node.op == "Transpose" else None
        if pad is None or pad.input(3) is not None:
            nodes.append(node)
            continue
        x, sizes = pad.inputs[0], pad.inputs[1]
        assert x is not None
        assert isinstance(sizes, Constant)
        perm = tuple(node.attribute("perm") or range(x.rank)[::-1])
        turned = Value(x.type.with_shape(permute(x.shape, perm)))
        sides = Constant(sizes.type, sizes.array.reshape(2, -1)[:, perm].ravel())
        nodes.append(replace(node, inputs=(x,), outputs=(turned,)))
        nodes.append(replace(pad, inputs=(turned, sides, *pad.inputs[2:]), outputs=node.outputs))
    return graph.with_nodes(nodes, {})


def _fuse_pad(node: Node, producers: dict[Value, Node]) -> Node:
    pad = producers.get(node.inputs[0]) if node.op in PAD_FUSERS and node.inputs[0] is not None else None
    if pad is None or pad.op != "Pad" or node.attribute("auto_pad", "NOTSET") != "NOTSET":
        return node
    x, sides = pad.inputs[0], _spatial_zero_pads(pad)
    if x is None or sides is None or node.attribute("ceil_mode", 0):
        return node
    rank = x.rank - 2
    own = node.attribute("pads") or [0] * (2 * rank)
    changed = PAD_FUSERS[node.op](node, x, [a + b for a, b in zip(own, sides, strict=True)], any(own), producers)
    if changed is None:
        return node
    return replace(node, inputs=(x, *node.inputs[1:]), attributes={**node.attributes, **changed})


def _spatial_zero_pads(pad: Node) -> list[int] | None:
    """How many zeros it adds in front of every spatial axis, then behind them; None where it does anything else."""
    pads, value = pad.input(1), pad.input(2)
    zero = value is None or (isinstance(value, Constant) and not value.array.any())
    constant = pad.attribute("mode", "constant") == "constant" and pad.input(3) is None
    if not (zero and constant and isinstance(pads, Constant)):
        return None
    sizes = [int(size) for size in pads.array]
    rank = len(sizes) // 2
    outer = [*sizes[:2], *sizes[rank : rank + 2]]
    return None if min(sizes) < 0 or any(outer) else sizes[2:rank] + sizes[rank + 2 :]


def _fuse_into_conv(node: Node, x: Value, pads: list[int], has_own_pads: bool, producers: Any) -> dict[str, Any] | None:
    return {"pads": pads}


def _fuse_into_average_pool(
    node: Node, x: Value, pads: list[int], has_own_pads: bool, producers: Any
) -> dict[str, Any] | None:
    within = _windows_reach_image(node, pads)
    return {"pads": pads, "count_include_pad": 1} if within and not has_own_pads else None


def _fuse_into_max_pool(
    node: Node, x: Value, pads: list[int], has_own_pads: bool, producers: Any
) -> dict[str, Any] | None:
    maker = producers.get(x)
    plain = maker is not None and len(node.outputs) == 1 and not has_own_pads and _windows_reach_image(node, pads)
    return {"pads": pads} if plain and _is_non_negative(maker) else None


def _windows_reach_image(node: Node, pads: list[int]) -> bool:
    """Whether every window has an element of the image, which ONNX asks of pooling."""
    sizes = node.attribute("kernel_shape")
    return max(node.attribute("dilations") or [1]) == 1 and all(
        pad < size for pad, size in zip(pads, [*sizes, *sizes], strict=True)
    )


def _is_non_negative(node: Node) -> bool:
    low = node.input(1) if node.op == "Clip" else None
    return node.op in NON_NEGATIVE_OPS or (isinstance(low, Constant) and bool((low.array >= 0).all()))


PAD_FUSERS = {"Conv": _fuse_into_conv, "AveragePool": _fuse_into_average_pool, "MaxPool": _fuse_into_max_pool}
