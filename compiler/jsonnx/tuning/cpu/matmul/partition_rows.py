"""Products by which every thread has the rows of a weight that it renews.

What an optimizer does to a weight, element by element, onnxruntime shares out by rows: of two threads the first has the
upper half. A product of matrices it shares out by columns where there are more of them than rows, and so each thread
reads half of what the other wrote. That takes little; but to write later what another processor has read last takes 3.5
times as long as to write what none has, and 18 times where the two are far apart (512 KB in 42 us, or in 220, not in
12: AMD EPYC). So such products are written as one for each thread, over rows of its own:

- The gradient of a weight with more columns than rows. With Adam's first mean, 512 x 784 numbers of one sample took 45
  us and not 116 (54 and not 397 far apart), of 32 samples 156 and not 177, of 128 as long.
- What few samples give, which is a sum over all rows: 784 x 512, renewed, took 52 us for one sample, and not 82, for 4
  as long and for 16 a fifteenth longer; 1,024 x 1,024 far apart took a third of the time for 4, and half for 16.
"""

from __future__ import annotations

from collections.abc import Mapping

from ....core.types import BATCH, TensorType
from ....ir import Builder, Graph, Node, Parameter, Value
from ....ir.cost import MICROSOFT_DOMAIN
from ....passes.canonicalize import canonicalize
from ..target import Target

MAX_SAMPLES = 16
"""Samples up to which a product may be a sum of the threads' own: of 64, it takes a seventh longer where processors are
near each other."""
MIN_WEIGHT_ELEMENTS = 1 << 15
"""Elements of a weight from which on this pays. What renews few of them is not shared out, or as a part of a vector
(`packing.SMALL`)."""


def has_partitionable_matmuls(graph: Graph, threads: int) -> bool:
    """Whether the form of a graph depends on how many samples it gets."""
    return threads > 1 and any(_is_partitionable_product(graph, node, threads) for node in graph.nodes)


def partition_rows(graph: Graph, target: Target) -> Graph:
    """A step in this form, for the threads and the expected batch of the target."""
    threads = target.threads
    if threads < 2:
        return graph
    few = target.expected_batch is not None and target.expected_batch <= MAX_SAMPLES
    producers = graph.producers
    g = Builder.extending(graph)
    g.nodes = []
    new: dict[Value, Value] = {}
    for node in graph.nodes:
        given = node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        with g.inherit(node):
            if few and _is_partitionable_product(graph, node, threads):
                result: Value | None = _partitioned_product(g, given, threads)
            else:
                result = _partitioned_weight_gradient(g, node, producers, new, threads)
        if result is None:
            g.nodes.append(given)
        else:
            new[node.outputs[0]] = result
    return canonicalize(graph.with_nodes(g.nodes, new)) if new else graph


def _is_partitionable_product(graph: Graph, node: Node, threads: int) -> bool:
    """Whether a node multiplies all samples by a large weight that the graph renews, and whose rows can be shared
    out."""
    if not _is_matrix_product(node):
        return False
    x, weight = node.inputs
    if x is None or x.shape[0] != BATCH or not isinstance(weight, Parameter) or weight.name not in graph.updates:
        return False
    return _is_large(weight) and weight.shape[0] % threads == 0


def _partitioned_product(g: Builder, node: Node, threads: int) -> Value:
    """The product as the sum of one for each thread, over rows of the weight."""
    x, weight = (operand for operand in node.inputs if operand is not None)
    samples, (rows, columns) = x.shape[0], weight.shape
    own = rows // threads
    parts = _batched_product(
        g,
        g.reshape(x, (samples, threads, own)),
        g.reshape(weight, (threads, own, columns)),
        x.type.with_shape((threads, samples, columns)),
    )
    return g.refine(g.ReduceSum(parts, g.const([0], "int64"), keepdims=0), (samples, columns))


def _partitioned_weight_gradient(
    g: Builder, node: Node, producers: Mapping[Value, Node], replacements: Mapping[Value, Value], threads: int
) -> Value | None:
    """The gradient of a weight in rows for each thread; None where a node gives none, or is shared out by rows."""
    if not _is_matrix_product(node) or not _is_large(node.outputs[0]):
        return None
    turned, dy = node.inputs
    source = None if turned is None else producers.get(turned)
    if source is None or source.op != "Transpose" or source.domain:
        return None
    x = source.inputs[0]
    rows, columns = node.outputs[0].shape
    if x is None or dy is None or columns <= rows or rows % threads:
        return None
    samples, own = x.shape[0], rows // threads
    made = _batched_product(
        g,
        g.reshape(replacements.get(x, x), (samples, threads, own)),
        g.reshape(replacements.get(dy, dy), (1, samples, columns)),
        x.type.with_shape((threads, own, columns)),
        transposed=True,
    )
    return g.reshape(made, (rows, columns))


def _is_matrix_product(node: Node) -> bool:
    """Whether it is one of two matrices."""
    matrices = all(x is not None and x.rank == 2 for x in node.inputs)
    return node.op == "MatMul" and not node.domain and matrices and node.outputs[0].dtype == "float32"


def _is_large(matrix: Value | None) -> bool:
    elements = 0 if matrix is None else matrix.type.elements
    return isinstance(elements, int) and elements >= MIN_WEIGHT_ELEMENTS


def _batched_product(g: Builder, x: Value, y: Value, type: TensorType, *, transposed: bool = False) -> Value:
    """What each thread's part of x [samples, threads, own] gives, turned round or not, with its part of y."""
    return g.custom_op("FusedMatMul", MICROSOFT_DOMAIN, [x, y], type, transBatchA=1, transA=int(transposed))
