"""Products with weights of few bits, in onnxruntime's layout."""

from __future__ import annotations

from ..ir import Builder, Value
from .operand_reader import Operands

BITS_PER_BYTE = 8


def matmul_nbits(g: Builder, node: Operands) -> Value:
    """Y = x @ B^T + bias, where B [rows, columns] is stored in blocks of its rows, [rows, blocks, bytes].

    Each block has a scale and a zero point. The first of several numbers in a byte are its lowest bits.
    """
    rows, columns = node.attribute("N"), node.attribute("K")
    bits, block = node.attribute("bits", 4), node.attribute("block_size")
    if bits not in (2, 4, 8) or (node.has(4) and node[4].rank):
        raise node.unsupported("its weights are reordered, or have neither 2, 4 nor 8 bits")
    blocks = -(-columns // block)
    numbers = _unpacked(g, node[1], bits, (rows, blocks, block))
    scales = g.reshape(node[2], (rows, blocks, 1))
    if not node.has(3):
        zeros: Value = g.const(float(1 << (bits - 1)))
    elif node[3].dtype == "uint8":
        stored = -(-blocks * bits // BITS_PER_BYTE) * BITS_PER_BYTE // bits
        packed = g.reshape(node[3], (rows, stored * bits // BITS_PER_BYTE))
        zeros = g.Slice(_unpacked(g, packed, bits, (rows, stored)), [0], [blocks], [1])
        zeros = g.reshape(zeros, (rows, blocks, 1))
    else:
        zeros = g.reshape(node[3], (rows, blocks, 1))
    weights = g.reshape(g.Mul(g.Sub(numbers, zeros), scales), (rows, blocks * block))
    if blocks * block != columns:
        weights = g.Slice(weights, [0], [columns], [1])
    y: Value = g.MatMul(node[0], g.transpose(weights, [1, 0]))
    return g.Add(y, node[5]) if node.has(5) else y


def _unpacked(g: Builder, packed: Value, bits: int, shape: tuple[int, ...]) -> Value:
    """The numbers in the bytes of a tensor, as floating-point numbers of a shape."""
    if bits == BITS_PER_BYTE:
        return g.reshape(g.cast(packed, g.float_dtype), shape)
    parts, rest = [], g.cast(packed, "int32")
    for _ in range(BITS_PER_BYTE // bits):
        parts.append(g.Unsqueeze(g.Mod(rest, 1 << bits), [-1]))
        rest = g.Div(rest, 1 << bits)
    return g.reshape(g.cast(g.Concat(*parts, axis=-1), g.float_dtype), shape)
