"""Sizes as numbers, given the sizes of the inputs."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping

from .types import Dim


def evaluate_size(size: Dim, sizes: Mapping[str, int]) -> int:
    """A size as a number. Symbols that are formulas, such as `time//2`, are evaluated. Raises ValueError."""
    if isinstance(size, int):
        return size
    return size.offset + sum(factor * _evaluate_symbol(symbol, sizes) for symbol, factor in size.terms)


def _evaluate_symbol(symbol: str, sizes: Mapping[str, int]) -> int:
    if symbol in sizes:
        return sizes[symbol]
    try:
        return _evaluate_expression(ast.parse(symbol, mode="eval").body, sizes)
    except (SyntaxError, KeyError, ZeroDivisionError, RecursionError, MemoryError) as error:
        raise ValueError(f"the size {symbol!r} cannot be computed from the sizes of the inputs") from error


def _evaluate_expression(node: ast.AST, sizes: Mapping[str, int]) -> int:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.Name):
        return sizes[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_evaluate_expression(node.operand, sizes)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](
            _evaluate_expression(node.left, sizes), _evaluate_expression(node.right, sizes)
        )
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "min":
        return min(_evaluate_expression(argument, sizes) for argument in node.args)
    raise KeyError(ast.dump(node))


_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
}
