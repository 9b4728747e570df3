"""Gives each thread the rows of a weight in products that it also has in the weight's update.

onnxruntime splits an optimizer's element-wise update of a weight across threads by rows: of two threads, the first
updates the upper half. It splits a matrix product by columns if there are more columns than rows, so each thread reads
half of what the other has written. Writing to a cache line that another core has read is much slower than writing to
one that no other core holds, above all if the cores are far apart. So two kinds of products become a batch of products,
one for each thread, over the rows of that thread:

- the gradient of a weight with more columns than rows;
- the product of few samples with a weight, which is then a sum over the threads.
"""

from __future__ import annotations

from ....core.types import BATCH, TensorType
from ....ir import Builder, Graph, Node, Parameter, Value
from ....ir.cost import MICROSOFT_DOMAIN
from ....passes.rewrite import Match, RuleSet
from ..target import Target

MAX_SAMPLES = 16
"""Maximum batch size of a product that is a sum over the threads. For more samples, the sum costs more than it
saves."""
MIN_WEIGHT_ELEMENTS = 1 << 15
"""Minimum size of a weight whose update is split across threads, in elements. Smaller weights are parts of packed
vectors (`pack_weights.MAX_SMALL_WEIGHT_ELEMENTS`)."""

partition = RuleSet()


def has_partitionable_matmuls(graph: Graph, threads: int) -> bool:
    """Whether `partition_rows` makes another graph for few samples than for many."""
    return threads > 1 and any(_is_partitionable_product(graph, node, threads) for node in graph.nodes)


def partition_rows(graph: Graph, target: Target) -> Graph:
    """Partitions products by the target's threads. Products over samples are partitioned only if the batch is small."""
    return partition.apply(graph, target) if target.threads > 1 else graph


@partition("MatMul")
def partition_product(m: Match) -> Value | None:
    """MatMul(x, w) -> ReduceSum(FusedMatMul(Reshape(x), Reshape(w))), the sum over threads"""
    target: Target = m.context
    is_small_batch = target.expected_batch is not None and target.expected_batch <= MAX_SAMPLES
    if not is_small_batch or not _is_partitionable_product(m.graph, m.node, target.threads):
        return None
    x, weight = (operand for operand in m.node.inputs if operand is not None)
    samples, (rows, columns) = x.shape[0], weight.shape
    thread_rows = rows // target.threads
    parts = _batched_product(
        m.g,
        m.g.reshape(x, (samples, target.threads, thread_rows)),
        m.g.reshape(weight, (target.threads, thread_rows, columns)),
        x.type.with_shape((target.threads, samples, columns)),
    )
    return m.g.refine(m.g.ReduceSum(parts, m.g.const([0], "int64"), keepdims=0), (samples, columns))


@partition("MatMul")
def partition_weight_gradient(m: Match) -> Value | None:
    """MatMul(Transpose(x), dy) -> Reshape(FusedMatMul(Reshape(x), Reshape(dy))), if dw has more columns than rows"""
    threads, dw = m.context.threads, m.node.outputs[0]
    transpose, dy = m.producer(m.node.inputs[0]), m.node.inputs[1]
    if not _is_matrix_product(m.node) or not _is_large(dw):
        return None
    if transpose is None or transpose.op != "Transpose" or transpose.domain:
        return None
    x = transpose.inputs[0]
    rows, columns = dw.shape
    if x is None or dy is None or columns <= rows or rows % threads:
        return None
    samples, thread_rows = x.shape[0], rows // threads
    parts = _batched_product(
        m.g,
        m.g.reshape(x, (samples, threads, thread_rows)),
        m.g.reshape(dy, (1, samples, columns)),
        x.type.with_shape((threads, thread_rows, columns)),
        transposed=True,
    )
    return m.g.reshape(parts, (rows, columns))


def _is_partitionable_product(graph: Graph, node: Node, threads: int) -> bool:
    """Whether a node multiplies the batch by a large weight that the graph updates and that has the same number of rows
    for each thread."""
    if not _is_matrix_product(node):
        return False
    x, weight = node.inputs
    if x is None or x.shape[0] != BATCH or not isinstance(weight, Parameter):
        return False
    if not graph.updates or not weight.trainable:
        return False
    return _is_large(weight) and weight.shape[0] % threads == 0


def _is_matrix_product(node: Node) -> bool:
    matrices = all(x is not None and x.rank == 2 for x in node.inputs)
    return node.op == "MatMul" and not node.domain and matrices and node.outputs[0].dtype == "float32"


def _is_large(matrix: Value) -> bool:
    elements = matrix.type.elements
    return isinstance(elements, int) and elements >= MIN_WEIGHT_ELEMENTS


def _batched_product(g: Builder, x: Value, y: Value, type: TensorType, *, transposed: bool = False) -> Value:
    """Multiplies x [samples, threads, rows], as [threads, samples, rows] or its transpose, by y for each thread."""
    return g.custom_op("FusedMatMul", MICROSOFT_DOMAIN, [x, y], type, transBatchA=1, transA=int(transposed))
