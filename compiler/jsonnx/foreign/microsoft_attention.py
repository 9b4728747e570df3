"""Attention operators of onnxruntime's own domain without a cache, in terms of ONNX' operators."""

from __future__ import annotations

from math import sqrt

from ..core.types import Dim
from ..ir import Builder, Value
from .operand_reader import Operands

MASK_FILTER_VALUE = -1e4


def attention(g: Builder, node: Operands) -> Value:
    """Self-attention with one product for queries, keys and values."""
    _refuse(node, {4: "past"}, ("do_rotary",))
    x, heads = node[0], node.attribute("num_heads")
    total = node[1].type.static_size(1)
    sizes = node.attribute("qkv_hidden_sizes") or [total // 3] * 3
    product = g.MatMul(x, node[1])
    product = g.Add(product, node[2]) if node.has(2) else product
    q, k, v = g.emit("Split", product, list(sizes), outputs=3, axis=2)
    mask = _padding_bias(g, node, 3, q, k)
    return _heads_attention(g, node, q, k, v, (heads, heads), mask, node[5] if node.has(5) else None)


def multi_head_attention(g: Builder, node: Operands) -> Value:
    """Attention of projected queries, keys and values, [batch, steps, hidden]."""
    _refuse(node, {6: "past_key", 7: "past_value"}, ())
    if not (node.has(1) and node.has(2)) or any(node[index].rank != 3 for index in range(3)):
        raise node.unsupported("its queries, keys and values are not three tensors [batch, steps, hidden]")
    heads = node.attribute("num_heads")
    q, k, v = node[0], node[1], node[2]
    if node.has(3):
        sizes = [x.type.static_size(2) for x in (q, k, v)]
        biases = g.emit("Split", node[3], sizes, outputs=3, axis=0)
        q, k, v = (g.Add(x, bias) for x, bias in zip((q, k, v), biases, strict=True))
    mask = _padding_bias(g, node, 4, q, k)
    return _heads_attention(g, node, q, k, v, (heads, heads), mask, node[5] if node.has(5) else None)


def group_query_attention(g: Builder, node: Operands) -> list[Value | None]:
    """Causal attention whose keys and values have fewer heads. Lengths of samples matter in their padding alone, at the
    end, whose results nothing reads."""
    _refuse(node, {3: "past_key", 4: "past_value", 11: "head_sink"}, ("smooth_softmax",))
    if node.attribute("local_window_size", -1) != -1 or node.attribute("softcap", 0.0):
        raise node.unsupported("it has a local window or a soft cap")
    heads, key_heads = node.attribute("num_heads"), node.attribute("kv_num_heads")
    if node.has(1):
        q, k, v = node[0], node[1], node[2]
    else:
        size = node[0].type.static_size(2) // (heads + 2 * key_heads)
        q, k, v = g.emit("Split", node[0], [heads * size, key_heads * size, key_heads * size], outputs=3, axis=2)
    if node.attribute("do_rotary", 0):
        positions = node[9] if node.has(9) else _positions(g, q)
        interleaved = bool(node.attribute("rotary_interleaved", 0))
        q, k = (
            _merged(g, _rotated(g, _split_heads(g, x, count), positions, node[7], node[8], interleaved))
            for x, count in ((q, heads), (k, key_heads))
        )
    bias = node[10] if node.has(10) else None
    y = _heads_attention(g, node, q, k, v, (heads, key_heads), None, bias, is_causal=True)
    return [y, _split_heads(g, k, key_heads), _split_heads(g, v, key_heads)]


def rotary_embedding(g: Builder, node: Operands) -> Value:
    """Queries or keys rotated by the angles of their positions."""
    x, cos, sin = node[0], node[2], node[3]
    heads = node.attribute("num_heads", 0)
    if x.rank == 3:
        count = heads or x.type.static_size(2) // (2 * cos.type.static_size(1))
        by_head = _split_heads(g, x, count)
    else:
        by_head = x
    positions = node[1]
    if positions.rank == 1:  # the position of the first step
        steps = g.Squeeze(g.Shape(by_head, start=2, end=3), [0])
        counted = g.Range(g.const(0, "int64"), steps, g.const(1, "int64"))
        positions = g.refine(g.Unsqueeze(g.Add(counted, positions), [0]), (1, by_head.shape[2]))
    result = _rotated(g, by_head, positions, cos, sin, bool(node.attribute("interleaved", 0)))
    return _merged(g, result) if x.rank == 3 else result


def _refuse(node: Operands, operands: dict[int, str], attributes: tuple[str, ...]) -> None:
    """Raises ShapeError for operands and attributes that have no expansion."""
    names = [name for index, name in operands.items() if node.has(index)]
    names += [name for name in attributes if node.attribute(name, 0)]
    if names:
        raise node.unsupported(f"its {names[0]} is not supported")


def _split_heads(g: Builder, x: Value, heads: int) -> Value:
    """[batch, steps, heads * size] -> [batch, heads, steps, size]"""
    size = x.type.static_size(2)
    if heads < 1 or size % heads:
        raise ValueError(f"{size} features have no {heads} heads")
    shape = (*x.shape[:2], heads, size // heads)
    return g.transpose(g.reshape(x, shape, x), [0, 2, 1, 3])


def _merged(g: Builder, x: Value) -> Value:
    """[batch, heads, steps, size] -> [batch, steps, heads * size]"""
    moved = g.transpose(x, [0, 2, 1, 3])
    return g.reshape(moved, (*moved.shape[:2], moved.type.static_size(2) * moved.type.static_size(3)), moved)


def _positions(g: Builder, x: Value) -> Value:
    """The positions of the steps of [batch, steps, ...], [1, steps]."""
    steps = g.Squeeze(g.Shape(x, start=1, end=2), [0])
    counted = g.Range(g.const(0, "int64"), steps, g.const(1, "int64"))
    return g.refine(g.Unsqueeze(counted, [0]), (1, x.shape[1]))


def _rotated(g: Builder, x: Value, positions: Value, cos: Value, sin: Value, interleaved: bool) -> Value:
    """X [batch, heads, steps, size] with its halves, or its pairs, turned by the angles of the positions. Features
    beyond twice the number of angles stay as they are."""
    half, size = cos.type.static_size(1), x.type.static_size(3)
    if 2 * half < size:
        turned, rest = g.emit("Split", x, [2 * half, size - 2 * half], outputs=2, axis=3)
        turned = _rotated(g, turned, positions, cos, sin, interleaved)
        return g.refine(g.Concat(turned, rest, axis=3), x.shape)
    tables = [g.Unsqueeze(g.Gather(table, positions, axis=0), [1]) for table in (cos, sin)]
    c, s = (g.refine(table, (positions.shape[0], 1, positions.shape[1], half)) for table in tables)
    if interleaved:
        pairs = g.reshape(x, (*x.shape[:3], half, 2), x)
        a, b = (g.Squeeze(part, [4]) for part in g.emit("Split", pairs, [1, 1], outputs=2, axis=4))
    else:
        a, b = g.emit("Split", x, [half, half], outputs=2, axis=3)
    first, second = g.Sub(g.Mul(a, c), g.Mul(b, s)), g.Add(g.Mul(a, s), g.Mul(b, c))
    if not interleaved:
        return g.refine(g.Concat(first, second, axis=3), x.shape)
    return g.reshape(g.Concat(g.Unsqueeze(first, [4]), g.Unsqueeze(second, [4]), axis=4), x.shape, x)


def _padding_bias(g: Builder, node: Operands, index: int, q: Value, k: Value) -> Value | None:
    """What is added to scores for a mask of keys: 1 or true for keys that count, by sample, or by sample and step, or
    numbers of keys by sample."""
    if not node.has(index):
        return None
    mask, batch, keys = node[index], q.shape[0], k.shape[1]
    if mask.rank == 1:
        if mask.shape[0] != batch:
            raise node.unsupported("its mask has start and end positions")
        counted = g.cast(_positions(g, k), mask.dtype)
        counts = g.Less(counted, g.Unsqueeze(mask, [1]))
    elif mask.rank in (2, 3):
        counts = g.Greater(mask, 0) if mask.dtype != "bool" else mask
    else:
        raise node.unsupported("its mask has more than three axes")
    shape: tuple[Dim, ...] = (batch, keys) if mask.rank < 3 else (batch, *mask.shape[1:])
    counts = g.Unsqueeze(g.refine(counts, shape), [1, 2] if mask.rank < 3 else [1])
    filter_value = node.attribute("mask_filter_value", MASK_FILTER_VALUE)
    return g.Where(counts, g.const(0.0), g.const(filter_value))


def _heads_attention(
    g: Builder,
    node: Operands,
    q: Value,
    k: Value,
    v: Value,
    heads: tuple[int, int],
    mask: Value | None,
    bias: Value | None,
    is_causal: bool = False,
) -> Value:
    """Attention by heads of [batch, steps, hidden], [batch, steps, hidden]."""
    query, key, value = _split_heads(g, q, heads[0]), _split_heads(g, k, heads[1]), _split_heads(g, v, heads[1])
    if heads[0] % heads[1]:
        raise ValueError(f"{heads[0]} heads are no multiple of {heads[1]}")
    if heads[0] != heads[1]:
        key, value = (_repeated_heads(g, x, heads[0] // heads[1]) for x in (key, value))
    scale = node.attribute("scale", 0.0) or 1 / sqrt(query.type.static_size(3))
    scores = g.Mul(g.MatMul(query, g.transpose(key, [0, 1, 3, 2])), scale)
    if is_causal or node.attribute("unidirectional", 0):
        rows, columns = (g.Unsqueeze(g.Squeeze(_positions(g, x), [0]), [axis]) for x, axis in ((q, 1), (k, 0)))
        scores = g.Where(g.Greater(columns, rows), g.const(MASK_FILTER_VALUE), scores)
    for each in (mask, bias):
        scores = scores if each is None else g.Add(scores, each)
    return _merged(g, g.MatMul(g.Softmax(scores, axis=-1), value))


def _repeated_heads(g: Builder, x: Value, times: int) -> Value:
    """[batch, heads, ...] with each head `times` in a row."""
    indices = [head for head in range(x.type.static_size(1)) for _ in range(times)]
    return g.refine(g.Gather(x, indices, axis=1), (x.shape[0], len(indices), *x.shape[2:]))
