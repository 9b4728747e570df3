"""Matrix products."""

from __future__ import annotations

from string import ascii_letters

from ...core.types import Size
from ..registry import Builder, Node, Value, vjp


@vjp("MatMul")
def matmul(g: Builder, node: Node, dy: Value):
    """y = a @ b, so da = dy @ bT and db = aT @ dy.

    Where b is a matrix, all leading axes of a are rows of one product.
    """
    a, b = node.inputs
    if b.rank == 2 and a.rank > 2:
        rows = g.Reshape(a, [-1, a.shape[-1]])
        da = g.MatMul(dy, transpose_last_axes(g, b))
        return da, g.MatMul(transpose_last_axes(g, rows), g.Reshape(dy, [-1, dy.shape[-1]]))
    return g.MatMul(dy, transpose_last_axes(g, b)), g.MatMul(transpose_last_axes(g, a), dy)


def transpose_last_axes(g: Builder, x: Value) -> Value:
    """The last two axes swapped."""
    return g.Transpose(x, perm=[*range(x.rank - 2), x.rank - 1, x.rank - 2])


@vjp("Einsum")
def einsum(g: Builder, node: Node, dy: Value):
    """An operand's cotangent is an einsum of dy and the other operands, with the operand's subscripts as the result.

    What the operand alone was summed over is repeated by a product with ones; where a subscript stands twice, a product
    with the identity puts the cotangent onto the diagonal.
    """
    terms, result = subscripts(node)
    return [_operand_cotangent(g, node, dy, terms, result, index) for index in range(len(terms))]


def _operand_cotangent(g: Builder, node: Node, dy: Value, terms: list[str], result: str, index: int) -> Value:
    x, own = node.inputs[index], terms[index]
    assert x is not None
    others = [
        (term, value) for place, (term, value) in enumerate(zip(terms, node.inputs, strict=True)) if place != index
    ]
    operands = [(result, dy), *others]
    spare = iter(_unused_letters(terms))
    wanted = ""
    for axis, letter in enumerate(own):
        if letter in wanted:
            second = next(spare)
            operands.append((letter + second, _identity_matrix(g, x, axis)))
            letter = second
        elif not any(letter in term for term, _ in operands):
            operands.append((letter, _ones(g, x, axis)))
        wanted += letter
    equation = f"{','.join(term for term, _ in operands)}->{wanted}"
    return g.Einsum(*(value for _, value in operands), equation=equation)


def subscripts(node: Node) -> tuple[list[str], str]:
    """The subscripts of every operand and of the result, with letters in place of the ellipsis."""
    given, arrow, result = node.attribute("equation").replace(" ", "").partition("->")
    terms = given.split(",")
    if not arrow:
        letters = given.replace(",", "").replace(".", "")
        result = ("..." if "..." in given else "") + "".join(sorted(one for one in letters if letters.count(one) == 1))
    hidden = [
        x.rank - len(term.replace("...", "")) for term, x in zip(terms, node.inputs, strict=True) if "..." in term
    ]
    names = _unused_letters([given])[: max(hidden, default=0)]
    terms = [
        term.replace("...", names[len(names) - x.rank + len(term) - 3 :] if x.rank > len(term) - 3 else "")
        for term, x in zip(terms, node.inputs, strict=True)
    ]
    return terms, result.replace("...", names)


def _unused_letters(terms: list[str]) -> str:
    return "".join(letter for letter in ascii_letters if not any(letter in term for term in terms))


def _ones(g: Builder, x: Value, axis: int) -> Value:
    """As many ones as an axis is long."""
    size = x.shape[axis]
    if not isinstance(size, Size):
        return g.const([1.0] * size, x.dtype)
    return g.refine(g.Expand(g.const([1.0], x.dtype), g.Shape(x, start=axis, end=axis + 1)), [size])


def _identity_matrix(g: Builder, x: Value, axis: int) -> Value:
    """The identity matrix of an axis' size."""
    ones, size = _ones(g, x, axis), x.shape[axis]
    column, row = g.Unsqueeze(ones, [1]), g.Unsqueeze(ones, [0])
    return g.refine(g.EyeLike(g.MatMul(column, row)), [size, size])
