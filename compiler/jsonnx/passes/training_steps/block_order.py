"""The order of a training step whose logits are computed by blocks: one block exists at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...ir import Builder, Graph, Node, Value, topologically_sorted
from ..canonicalize import prune, with_replaced_inputs
from .remat import HEAVY_OPS
from .row_blocks import Products


def order_by_block(step: Graph, groups: Sequence[Products]) -> Graph:
    """Moves what depends on a single block behind the product of that block, and sums of gradients behind the last
    block that they depend on.

    The last block comes first, since the backward pass begins with its gradient.
    """
    for products in groups:
        step = with_shapes_of_operands(step, products)
        order = _BlockOrder(step, products)
        releasing = step.releasing.union(*(node.outputs for node in step.nodes if order.releases(node)))
        step = replace(step, nodes=tuple(topologically_sorted(order.nodes())), releasing=releasing)
    return step


class _BlockOrder:
    """The order of a step in which one block follows the other."""

    def __init__(self, step: Graph, products: Products) -> None:
        self._step, self._count, self._classes = step, len(products), products[0].shape[-1]
        number_of = {value: number for number, value in enumerate(reversed(products))}
        self._last_block: dict[Value, int] = {}
        """By value: the last block that it depends on, in the new order."""
        for node in step.nodes:
            numbers = [self._last_block[x] for x in node.inputs if x is not None and x in self._last_block]
            last = number_of.get(node.outputs[0], max(numbers, default=None))
            if last is not None:
                self._last_block |= dict.fromkeys(node.outputs, last)

    def nodes(self) -> list[Node]:
        """The nodes before the first block, then those of each block. What depends on no block is to be moved forward
        by its first reader."""
        before: list[Node] = []
        stages: list[list[Node]] = [[] for _ in range(self._count)]
        for node in self._step.nodes:
            last = self._last_block.get(node.outputs[0])
            is_before = last is None and not any(stages)
            (before if is_before else stages[-1 if last is None else last]).append(node)
        return [*before, *(node for stage in stages for node in stage)]

    def releases(self, node: Node) -> bool:
        """Whether the node ends values for all classes of a block, or adds gradients of two blocks."""
        if node.outputs[0] not in self._last_block or node.op in HEAVY_OPS:
            return False
        if all(y.type.is_static() for y in node.outputs):
            return node.op == "Add" and all(x in self._last_block for x in node.inputs)
        reads_classes = any(x is not None and self._classes in x.shape for x in node.inputs)
        return reads_classes and not any(self._classes in y.shape for y in node.outputs)


def with_shapes_of_operands(step: Graph, products: Products) -> Graph:
    """Reads sizes from inputs of the graph and from the rows of blocks, not from results of other blocks."""
    sources: list[Value] = [x for x in step.inputs.values() if x.rank]
    sources += [x for y in products if (x := step.producers[y].inputs[0]) is not None]
    symbols = {size for x in sources for size in x.shape}
    g = Builder.extending(step)
    g.nodes = []
    dependent = set(products)
    replacements: dict[Value, Value] = {}
    for node in step.nodes:
        x = node.inputs[0] if node.inputs else None
        if node.op == "Shape" and x in dependent and x is not None:
            shape = x.shape[slice(node.attribute("start", 0), node.attribute("end"))]
            if all(isinstance(size, int) or size in symbols for size in shape):
                with g.inherit(node):
                    replacements[node.outputs[0]] = g.sizes(shape, *sources)
                continue
        if any(x in dependent for x in node.inputs):
            dependent.update(node.outputs)
        g.nodes.append(with_replaced_inputs(node, replacements))
    return prune(step.with_nodes(topologically_sorted(g.nodes), replacements))
