"""Matrix products."""

from __future__ import annotations

from string import ascii_letters

from ...core.types import Size
from ..registry import Builder, Node, Value, vjp


@vjp("MatMul")
def matmul(g: Builder, node: Node, dy: Value):
    """y = a @ b, so da = dy @ b^T and db = a^T @ dy.

    If b is a matrix, db is one product over all leading axes of a.
    """
    a, b = node.inputs
    if b.rank == 2 and a.rank > 2:
        rows = g.Reshape(a, g.sizes((-1, a.shape[-1]), a))
        da = g.MatMul(dy, transpose_last_axes(g, b))
        return da, g.MatMul(transpose_last_axes(g, rows), g.Reshape(dy, g.sizes((-1, dy.shape[-1]), dy)))
    return g.MatMul(dy, transpose_last_axes(g, b)), g.MatMul(transpose_last_axes(g, a), dy)


def transpose_last_axes(g: Builder, x: Value) -> Value:
    """x with the last two axes exchanged."""
    return g.Transpose(x, perm=[*range(x.rank - 2), x.rank - 1, x.rank - 2])


@vjp("Gemm")
def gemm(g: Builder, node: Node, dy: Value):
    """y = alpha * p @ q + beta * c, with p and q either a and b or their transposes.

    dp = alpha * dy @ q^T, dq = alpha * p^T @ dy, and dc = beta * dy.
    """
    (a, b), beta = node.inputs[:2], node.attribute("beta", 1.0)
    is_a_transposed, is_b_transposed = bool(node.attribute("transA", 0)), bool(node.attribute("transB", 0))
    dproduct = scaled(g, dy, node.attribute("alpha", 1.0))

    def factor(x: Value, is_transposed: bool) -> Value:
        return transpose_last_axes(g, x) if is_transposed else x

    if is_a_transposed:
        da = g.MatMul(factor(b, is_b_transposed), transpose_last_axes(g, dproduct))
    else:
        da = g.MatMul(dproduct, factor(b, not is_b_transposed))
    if is_b_transposed:
        db = g.MatMul(transpose_last_axes(g, dproduct), factor(a, is_a_transposed))
    else:
        db = g.MatMul(factor(a, not is_a_transposed), dproduct)
    return [da, db, scaled(g, dy, beta)][: len(node.inputs)]


def scaled(g: Builder, x: Value, number: float) -> Value:
    return x if number == 1 else g.Mul(x, number)


@vjp("Einsum")
def einsum(g: Builder, node: Node, dy: Value):
    """dx is an einsum of dy and the other operands, with the subscripts of x as the result.

    A subscript that only x has is repeated by a factor of ones. A subscript that x has twice selects a diagonal; a
    factor with the identity matrix puts the cotangent back on it.
    """
    terms, result = subscripts(node)
    return [_operand_cotangent(g, node, dy, terms, result, index) for index in range(len(terms))]


def _operand_cotangent(g: Builder, node: Node, dy: Value, terms: list[str], result: str, index: int) -> Value:
    x, x_term = node.inputs[index], terms[index]
    assert x is not None
    others = [pair for i, pair in enumerate(zip(terms, node.inputs, strict=True)) if i != index]
    operands = [(result, dy), *others]
    unused = iter(_unused_letters(terms))
    dx_term = ""
    for axis, letter in enumerate(x_term):
        if letter in dx_term:
            second = next(unused)
            operands.append((letter + second, _identity_matrix(g, x, axis)))
            letter = second
        elif not any(letter in term for term, _ in operands):
            operands.append((letter, _ones(g, x, axis)))
        dx_term += letter
    equation = f"{','.join(term for term, _ in operands)}->{dx_term}"
    return g.Einsum(*(value for _, value in operands), equation=equation)


def subscripts(node: Node) -> tuple[list[str], str]:
    """The subscripts of every operand and of the result, with letters for an ellipsis."""
    operand_terms, arrow, result = node.attribute("equation").replace(" ", "").partition("->")
    terms = operand_terms.split(",")
    if not arrow:
        letters = operand_terms.replace(",", "").replace(".", "")
        once = sorted(letter for letter in letters if letters.count(letter) == 1)
        result = ("..." if "..." in operand_terms else "") + "".join(once)
    pairs = [(term, x) for term, x in zip(terms, node.inputs, strict=True) if "..." in term]
    ellipsis_rank = max((x.rank - len(term.replace("...", "")) for term, x in pairs), default=0)
    names = _unused_letters([operand_terms])[:ellipsis_rank]
    terms = [
        term.replace("...", names[len(names) - x.rank + len(term) - 3 :] if x.rank > len(term) - 3 else "")
        for term, x in zip(terms, node.inputs, strict=True)
    ]
    return terms, result.replace("...", names)


def _unused_letters(terms: list[str]) -> str:
    return "".join(letter for letter in ascii_letters if not any(letter in term for term in terms))


def _ones(g: Builder, x: Value, axis: int) -> Value:
    """A vector of ones, as long as an axis of x."""
    size = x.shape[axis]
    if not isinstance(size, Size):
        return g.const([1.0] * size, x.dtype)
    return g.refine(g.Expand(g.const([1.0], x.dtype), g.Shape(x, start=axis, end=axis + 1)), [size])


def _identity_matrix(g: Builder, x: Value, axis: int) -> Value:
    """The identity matrix, as large as an axis of x is long."""
    ones, size = _ones(g, x, axis), x.shape[axis]
    column, row = g.Unsqueeze(ones, [1]), g.Unsqueeze(ones, [0])
    return g.refine(g.EyeLike(g.MatMul(column, row)), [size, size])
