"""Operators that are emitted otherwise than their nodes say: those that depend on the number of samples or on the
element type of the file, and those that training and inference treat differently."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx

from ..core.types import BATCH, Dim, ShapeError, Size, product
from ..ir import Builder, Value
from ..ir.conditionals import emit_if
from ..ir.dtypes import dtype_name
from .batch_axis import batched_target
from .graph_emitter import EmitOperator, GraphEmitter, KnownValue
from .known_values import known_array
from .tensors import FLOAT_TYPES, attributes_of, constant_tensor
from .unreadable_graph import UNSUPPORTED, node_text

MIN_AXIS_END = 10**9
"""The least end of a slice that means the end of the axis, as TensorFlow writes it; PyTorch's is 2 ** 63 - 1."""

SPECIAL_OPERATORS: dict[str, EmitOperator] = {}


def _special(*operators: str) -> Callable[[EmitOperator], EmitOperator]:
    def register(emit: EmitOperator) -> EmitOperator:
        SPECIAL_OPERATORS.update(dict.fromkeys(operators, emit))
        return emit

    return register


@_special("Identity")
def _identity(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value]:
    return (e.value(node.input[0]),)


@_special("Constant")
def _constant(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value]:
    """A constant of a branch."""
    tensor = onnx.TensorProto()
    tensor.CopyFrom(constant_tensor(node))
    tensor.name = node.output[0]
    e.add_constants([tensor])
    return ()


@_special("Dropout")
def _dropout(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value]:
    """Inference: the value itself, and a mask that keeps all."""
    x = e.value(node.input[0])
    if len(node.output) < 2 or not node.output[1]:
        return (x,)
    return x, e.g.Equal(x, x)


@_special("BatchNormalization")
def _batch_normalization(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value]:
    """With the moving averages, also if the file was exported for training."""
    epsilon = attributes_of(node).get("epsilon", 1e-5)
    x = e.value(node.input[0])
    return (e.g.refine(e.g.BatchNormalization(x, *map(e.value, node.input[1:5]), epsilon=epsilon), x.shape),)


@_special("Gemm")
def _gemm(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value]:
    """alpha * A' B' + beta * C"""
    g, attributes = e.g, attributes_of(node)
    a, b = e.value(node.input[0]), e.value(node.input[1])
    y = g.MatMul(
        g.Transpose(a, perm=[1, 0]) if attributes.get("transA") else a,
        g.Transpose(b, perm=[1, 0]) if attributes.get("transB") else b,
    )
    if attributes.get("alpha", 1.0) != 1.0:
        y = g.Mul(y, attributes["alpha"])
    if len(node.input) < 3 or not node.input[2] or attributes.get("beta", 1.0) == 0.0:
        return (y,)
    c = e.value(node.input[2])
    return (g.Add(y, g.Mul(c, attributes["beta"]) if attributes.get("beta", 1.0) != 1.0 else c),)


@_special("Cast", "CastLike")
def _cast(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value]:
    """Numbers of any floating-point type become the builder's."""
    x = e.value(node.input[0])
    if node.op_type == "CastLike":
        return (e.g.cast(x, e.value(node.input[1]).dtype),)
    to = attributes_of(node)["to"]
    return (e.g.cast(x, e.g.float_dtype if to in FLOAT_TYPES else dtype_name(to)),)


@_special("If")
def _if(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value]:
    """The branch that a known condition selects; for another condition, a conditional with both branches."""
    condition, branches = e.known(node.input[0]), attributes_of(node)
    if condition is None or condition.size != 1:
        return _conditional(e, node, branches)
    branch = branches["then_branch" if condition.reshape(-1)[0] else "else_branch"]
    _emit_branch(e, branch)
    for outer, inner_value in zip(node.output, branch.output, strict=True):
        e.rename(inner_value.name, outer)
    return ()


def _emit_branch(e: GraphEmitter, branch: onnx.GraphProto) -> None:
    e.add_constants(branch.initializer)
    for node in branch.node:
        e.emit(node)


def _conditional(e: GraphEmitter, node: onnx.NodeProto, branches: Mapping[str, onnx.GraphProto]) -> Sequence[Value]:
    """A conditional whose branches return values of the same types. Raises ShapeError for others."""
    emitted = {}
    for name in ("then_branch", "else_branch"):
        inner = e.in_branch()
        _emit_branch(inner, branches[name])
        emitted[name] = inner.g.nodes, [inner.value(output.name) for output in branches[name].output]
    then, otherwise = ([value.type for value in results] for _, results in emitted.values())
    if then != otherwise:
        texts = (", ".join(map(str, types)) for types in (then, otherwise))
        message = f"cannot have {node_text(node.op_type, node.name)}: its branches return {' and '.join(texts)}"
        raise ShapeError(message, "export the model without the condition", code=UNSUPPORTED)
    return emit_if(e.g, e.value(node.input[0]), emitted)


@_special("Reshape")
def _reshape(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value]:
    """A target that the file fixes for its number of samples gets the symbolic batch."""
    g, x, known = e.g, e.value(node.input[0]), e.known(node.input[1])
    if known is None or (attributes_of(node).get("allowzero") and 0 in known.tolist()):
        return e.emit_node(node)
    target: list[Dim] = [x.shape[axis] if size == 0 else size for axis, size in enumerate(known)]
    is_inner = False
    if e.fixed_batch is not None:
        target, is_inner = batched_target(target, x.shape, e.fixed_batch, x in e.inner_batches)
    copied = [0 if axis < x.rank and x.shape[axis] == size else size for axis, size in enumerate(target)]
    for sizes in (target, copied):
        if sum(size == -1 or isinstance(size, Size) for size in sizes) <= 1:
            result = g.Reshape(x, [size if isinstance(size, int) else -1 for size in sizes])
            break
    else:
        result = g.Reshape(x, e.emitted(KnownValue(known_array(target), "int64")))
    y = g.refine(result, _resolved(target, x.shape, result.shape))
    if is_inner:
        e.inner_batches.add(y)
    return (y,)


@_special("Flatten")
def _flatten(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value]:
    x, axis = e.value(node.input[0]), attributes_of(node).get("axis", 1)
    axis = axis if axis >= 0 else axis + x.rank
    return (e.g.refine(e.emit_node(node)[0], [product(x.shape[:axis]), product(x.shape[axis:])]),)


def _resolved(target: list[Dim], shape: tuple[Dim, ...], inferred: tuple[Dim, ...]) -> list[Dim]:
    """The target with the size that -1 stands for, or that was inferred where it cannot be told."""
    if -1 not in target:
        return target
    axis = target.index(-1)
    rest = [*target[:axis], *target[axis + 1 :]]
    sizes = list(shape)
    for size in [size for size in rest if isinstance(size, Size) and size in sizes]:
        sizes.remove(size)
        rest.remove(size)
    divisor = product(rest)
    missing = product(sizes) // divisor if isinstance(divisor, int) and divisor else inferred[axis]
    return [*target[:axis], missing, *target[axis + 1 :]]


@_special("Expand")
def _expand(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value]:
    """A size that the file fixes for its number of samples stays that of the value."""
    x, known = e.value(node.input[0]), e.known(node.input[1])
    if known is None:
        return (e.g.Expand(x, e.value(node.input[1])),)
    rank = max(x.rank, known.size)
    own = (1,) * (rank - x.rank) + x.shape
    wanted = (1,) * (rank - known.size) + tuple(known)
    target = [1 if a == BATCH and b == e.fixed_batch else b for a, b in zip(own, wanted, strict=True)]
    result = e.g.Expand(x, e.emitted(KnownValue(known_array(target), "int64")))
    return (e.g.refine(result, [a if b == 1 else b for a, b in zip(own, target, strict=True)]),)


@_special("ConstantOfShape")
def _constant_of_shape(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value]:
    known, value = e.known(node.input[0]), attributes_of(node).get("value")
    number = 0.0 if value is None else onnx.numpy_helper.to_array(value).reshape(-1)[0].item()
    data_type = onnx.TensorProto.FLOAT if value is None else value.data_type
    dtype = e.g.float_dtype if data_type in FLOAT_TYPES else dtype_name(data_type)
    result = e.g.full(number, e.value(node.input[0]), dtype)
    return (result if known is None else e.g.refine(result, list(known)),)


@_special("Range")
def _range(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value]:
    start, limit, delta = map(e.known, node.input)
    (result,) = e.emit_node(node)
    if start is None or limit is None or delta is None or delta.item() != 1:
        return (result,)
    return (e.g.refine(result, [limit.item() - start.item()]),)


@_special("Slice")
def _slice(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value]:
    (result,) = e.emit_node(node)
    x = e.value(node.input[0])
    starts, ends = e.known(node.input[1]), e.known(node.input[2])
    axes = e.known(node.input[3]) if len(node.input) > 3 and node.input[3] else known_array(list(range(x.rank)))
    steps = e.known(node.input[4]) if len(node.input) > 4 and node.input[4] else None
    if axes is None:
        return (result,)
    shape = list(x.shape)
    for index, axis in enumerate(axes):
        start, end = (None if each is None else each[index] for each in (starts, ends))
        step = 1 if steps is None else steps[index]
        shape[axis] = _slice_size(x.shape[axis], start, end, step, result.shape[axis])
    return (e.g.refine(result, shape),)


def _slice_size(size: Dim, start: Dim | None, end: Dim | None, step: int, inferred: Dim) -> Dim:
    """The size of a slice of an axis; the inferred one where its bounds do not tell it."""
    if start is None or end is None:
        return inferred
    if isinstance(size, int) and isinstance(start, int) and isinstance(end, int):
        return len(range(*slice(start, end, step).indices(size)))
    from_first = isinstance(start, Size) or start >= 0
    if step != 1 or not from_first:
        return inferred
    if end == size or (isinstance(end, int) and end >= MIN_AXIS_END):
        return size - start
    return end - start if isinstance(end, Size) else inferred


@_special("Resize")
def _resize(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value]:
    """Sizes of the file's one number of samples become those of the batch."""
    attributes, x = attributes_of(node), e.value(node.input[0])
    sizes = e.known(node.input[3]) if len(node.input) > 3 and node.input[3] else None
    if sizes is None or sizes.size != x.rank or "axes" in attributes:
        return e.emit_node(node)
    target = [BATCH if axis == 0 and x.shape[0] == BATCH else size for axis, size in enumerate(sizes)]
    if attributes.get("mode") != "cubic" or list(x.shape[:-2]) != target[:-2]:
        return (_resized(e, x, target, attributes),)
    # onnxruntime moves a Transpose through a Resize to sizes that its cubic kernel lacks, but not through a Reshape
    planes = product(x.shape[:-2])
    y = _resized(e, e.g.reshape(x, (planes, 1, *x.shape[-2:])), [planes, 1, *target[-2:]], attributes)
    return (e.g.reshape(y, target, x),)


def _resized(e: GraphEmitter, x: Value, target: Sequence[Dim], attributes: Mapping[str, Any]) -> Value:
    operands = [x, None, None, e.emitted(KnownValue(known_array(target), "int64"))]
    (y,) = e.emit_operator("Resize", operands, attributes)
    return e.g.refine(y, target)


@_special("Concat")
def _concat(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value]:
    """A value that the file has once for its one sample, such as a class token, is repeated for the batch."""
    axis = attributes_of(node)["axis"]
    operands = [e.value(name) for name in node.input]
    batched = next((x for x in operands if x.rank and x.shape[0] == BATCH), None)
    if batched is not None and axis % batched.rank and e.fixed_batch is not None:
        operands = [_repeated(e.g, x, batched, 0) for x in operands]
    return e.emit_operator("Concat", operands, {"axis": axis})


@_special("LSTM", "GRU", "RNN")
def _recurrent(e: GraphEmitter, node: onnx.NodeProto) -> Sequence[Value]:
    """Initial states of the file's one sample are repeated for the batch."""
    operands = [e.value(name) if name else None for name in node.input]
    attributes = attributes_of(node)
    x = operands[0]
    if x is not None and x.shape[1] == BATCH and not attributes.get("layout"):
        operands[5:7] = [None if s is None else _repeated(e.g, s, x, 1) for s in operands[5:7]]
    return e.emit_operator(node.op_type, operands, attributes, len(node.output))


def _repeated(g: Builder, x: Value, batched: Value, axis: int) -> Value:
    """A value with one element on an axis, repeated for the batch; another value itself."""
    if x.rank <= axis or x.shape[axis] != 1:
        return x
    shape = [BATCH if i == axis else 1 for i in range(x.rank)]
    repeated = g.Expand(x, g.sizes(shape, batched))
    return g.refine(repeated, [BATCH if i == axis else size for i, size in enumerate(x.shape)])
