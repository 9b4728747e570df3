"""Random numbers that depend on names and counts alone, never on what was drawn before.

Every draw has a generator of its own, keyed by the seed and by what it is for. So a run that goes on from a checkpoint
draws what the run that never stopped would have drawn.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from ..core.types import Dim, Size, TensorType
from .cpu_count import thread_count
from .session import numpy_dtype

if TYPE_CHECKING:
    from ..ir import Graph, Parameter, Random, State


def generator(seed: int, *keys: str | int) -> np.random.Generator:
    """A Philox generator for one purpose: the same for the same seed and keys on every machine."""
    digest = blake2b(repr((seed, *keys)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def draw_initial_weights(graph: Graph, seed: int, overrides: Mapping[str, np.ndarray] = {}) -> dict[str, np.ndarray]:
    """The initial value of every parameter and state, or a copy of what is given for it. What the data decide the size
    of is empty.

    An initializer's own seed takes the place of the one made of the model's seed and the weight's name.
    """
    variables: dict[str, Parameter | State] = {**graph.parameters, **graph.states}

    def value(name: str) -> np.ndarray:
        return np.array(overrides[name]) if name in overrides else _draw_initial(variables[name], name, seed)

    with ThreadPoolExecutor(thread_count()) as threads:  # NumPy draws without holding up others
        large = {
            name: threads.submit(value, name) for name, variable in variables.items() if _is_worth_a_thread(variable)
        }
        return {name: large[name].result() if name in large else value(name) for name in variables}


def _is_worth_a_thread(variable: Parameter | State) -> bool:
    """Whether to draw it takes longer than to hand it to a thread."""
    return isinstance(variable.type.elements, int) and variable.type.elements > 1 << 14


def _draw_initial(variable: Parameter | State, name: str, seed: int) -> np.ndarray:
    own = getattr(variable.initializer, "seed", None)
    rng = generator(seed, "weights", name) if own is None else generator(own, "weights")
    shape = tuple(size if isinstance(size, int) else 0 for size in variable.shape)
    values = variable.initializer.sample(shape, rng)
    values = np.asarray(values, numpy_dtype(variable.dtype))
    return values if values.shape == shape and values.flags.c_contiguous else np.array(np.broadcast_to(values, shape))


def sample_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order in which an epoch takes the samples."""
    return generator(seed, "order", epoch).permutation(count)


def step_randoms(
    randoms: Mapping[str, Random], seed: int, step: int, sizes: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """What a step is fed beside its batch; `sizes` gives the symbolic sizes of this batch."""
    return {
        name: draw(random, generator(seed if random.seed is None else random.seed, name, step), sizes)
        for name, random in randoms.items()
    }


def draw(random: Random, rng: np.random.Generator, sizes: Mapping[str, int]) -> np.ndarray:
    """One draw: a mask of `scale` and 0, or `scale` times standard normal or uniform numbers.

    A mask's probability is rounded to 1/65536: sixteen bits a value take half the time of thirty-two.
    """
    shape = tuple(evaluate_size(size, sizes) for size in random.shape)
    scale = np.float32(random.scale)
    if random.kind == "mask":
        return _mask(shape, random.keep, scale, rng)
    values = rng.standard_normal(shape, np.float32) if random.kind == "normal" else rng.random(shape, np.float32)
    return values if scale == 1 else values * scale


def _mask(shape: tuple[int, ...], keep: float, scale: np.float32, rng: np.random.Generator) -> np.ndarray:
    count = int(np.prod(shape))
    threshold = round(keep * 65536)
    if threshold > 65535:
        return np.full(shape, scale, np.float32)
    words = np.atleast_1d(rng.bit_generator.random_raw(-(-count // 4)))
    halves = words.astype("<u8", copy=False).view("<u2")[:count]
    mask = np.empty(count, np.float32)
    np.multiply(halves < np.uint16(threshold), scale, out=mask)
    return mask.reshape(shape)


def symbol_sizes(types: Mapping[str, TensorType], feeds: Mapping[str, np.ndarray]) -> dict[str, int]:
    """What the symbols of the inputs' types stand for in these feeds."""
    sizes: dict[str, int] = {}
    for name, type in types.items():
        for wanted, given in zip(type.shape, feeds[name].shape, strict=True):
            if isinstance(wanted, Size) and len(wanted.terms) == 1 and wanted.terms[0][1] == 1:
                sizes[wanted.terms[0][0]] = given - wanted.offset
    return sizes


def evaluate_size(size: Dim, sizes: Mapping[str, int]) -> int:
    """A size as a number. Symbols that are formulas, such as `time//2`, are computed."""
    if isinstance(size, int):
        return size
    return size.offset + sum(factor * _evaluate_symbol(symbol, sizes) for symbol, factor in size.terms)


def _evaluate_symbol(symbol: str, sizes: Mapping[str, int]) -> int:
    if symbol in sizes:
        return sizes[symbol]
    try:
        return _evaluate_expression(ast.parse(symbol, mode="eval").body, sizes)
    except (SyntaxError, KeyError) as error:
        raise ValueError(f"the size {symbol!r} cannot be told from the inputs") from error


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
