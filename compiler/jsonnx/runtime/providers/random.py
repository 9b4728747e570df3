"""Random numbers that depend on names and counts alone, never on earlier draws.

Each draw has a generator of its own, keyed by the seed and the purpose of the draw. A run resumed from a checkpoint
therefore draws the same numbers as a run that never stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...core.numpy_types import numpy_dtype
from ...core.random_inputs import Distribution
from ...core.system.cpu_count import thread_count
from ...core.types import BATCH, Size, TensorType, evaluate_size
from ...data.samples.sample_order import generator
from ...ir.adapter_arrays import initial_magnitudes, unique_adapters
from .aligned_arrays import AlignedArrays

if TYPE_CHECKING:
    from ...ir import Graph, Parameter, Random, State

MIN_THREADED_DRAW_ELEMENTS = 1 << 14
"""Minimum size of a weight, in elements, that is drawn on another thread."""
MAX_DRAW_ELEMENTS = 1 << 20
"""Maximum number of uniform numbers that one thread draws at once."""
NUMBERS_PER_COUNT = 4
"""The numbers of 64 bits that a Philox generator computes from one value of its counter."""
VALUES_PER_NUMBER = 4
"""The values of a mask that 64 random bits decide."""
MASK_PROBABILITY_STEPS = 1 << 16
"""The number of probabilities a mask can have: sixteen random bits a value are drawn in half the time of thirty-two."""


def draw_initial_weights(graph: Graph, seed: int, overrides: Mapping[str, np.ndarray] = {}) -> dict[str, np.ndarray]:
    """The initial value of every parameter and state, or the array in `overrides`. A state whose size depends on data
    is empty. Drawn arrays are aligned.

    A draw is keyed by the initializer's own seed, if it has one, else by `seed` and the variable's name.
    """
    variables: dict[str, Parameter | State] = {**graph.parameters, **graph.states}
    memory = AlignedArrays()
    zeros = {
        name: memory.zeros(tuple(n if isinstance(n, int) else 0 for n in variable.shape), numpy_dtype(variable.dtype))
        for name, variable in variables.items()
        if name not in overrides
    }
    draw_into(zeros, variables, seed)
    arrays = {name: np.asarray(overrides[name]) if name in overrides else zeros[name] for name in variables}
    for name, norms in initial_magnitudes(unique_adapters(graph), arrays).items():
        if name not in overrides:
            arrays[name][...] = norms
    return arrays


def draw_into(zeros: Mapping[str, np.ndarray], variables: Mapping[str, Parameter | State], seed: int) -> None:
    """Writes the initial values of variables into contiguous arrays of zeros."""
    draws = [draw for name, array in zeros.items() for draw in _draws(variables[name], name, seed, array)]
    large = sorted((draw for draw in draws if draw.elements > MIN_THREADED_DRAW_ELEMENTS), key=lambda d: -d.elements)
    with ThreadPoolExecutor(thread_count()) if large else nullcontext() as executor:
        # NumPy releases the interpreter lock while it draws.
        futures = [executor.submit(draw.run) for draw in large] if executor else []
        for draw in draws:
            if draw.elements <= MIN_THREADED_DRAW_ELEMENTS:
                draw.run()
        for future in futures:
            future.result()


class _Draw(NamedTuple):
    """Initial values that are still to be written."""

    elements: int
    run: Callable[[], None]


def _draws(variable: Parameter | State, name: str, seed: int, zeros: np.ndarray) -> Iterator[_Draw]:
    """The draws of a variable, independent of one another."""
    initializer = variable.initializer
    if initializer.constant is not None:
        if initializer.constant:
            yield _Draw(zeros.size, partial(zeros.fill, initializer.constant))
        return
    own_seed = getattr(initializer, "seed", None)
    key = (seed, "weights", name) if own_seed is None else (own_seed, "weights")
    drawn_from, flat = initializer.drawn_from(zeros.shape), zeros.reshape(-1)
    if drawn_from is None:
        yield _Draw(zeros.size, partial(_sample, initializer, zeros, key))
        return
    elements = MAX_DRAW_ELEMENTS if drawn_from.is_divisible else max(1, flat.size)
    for start in range(0, flat.size, elements):
        part = flat[start : start + elements]
        yield _Draw(part.size, partial(_draw_part, drawn_from, part, key, start))


def _sample(initializer: Any, array: np.ndarray, key: tuple[Any, ...]) -> None:
    array[...] = initializer.sample(array.shape, generator(*key))


def _draw_part(drawn_from: Any, part: np.ndarray, key: tuple[Any, ...], start: int) -> None:
    """Draws the numbers that follow the first `start` ones of the key, which are 0 unless the numbers are divisible."""
    rng = generator(*key)
    if start:
        rng.bit_generator.advance(start // NUMBERS_PER_COUNT)  # type: ignore[attr-defined]
    drawn_from.fill(part, rng)


def step_randoms(
    randoms: Mapping[str, Random], seed: int, step: int, sizes: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """The random numbers that a step is fed; `sizes` gives the symbolic sizes of its batch."""
    return {
        name: draw(random, generator(seed if random.seed is None else random.seed, name, step), sizes)
        for name, random in randoms.items()
    }


def step_random_rows(
    randoms: Mapping[str, Random], seed: int, step: int, sizes: Mapping[str, int], rows: slice
) -> dict[str, np.ndarray]:
    """The rows that some samples of a batch have in the `step_randoms` of the whole batch."""
    return {
        name: _draw_rows(random, generator(seed if random.seed is None else random.seed, name, step), sizes, rows)
        for name, random in randoms.items()
    }


def _draw_rows(random: Random, rng: np.random.Generator, sizes: Mapping[str, int], rows: slice) -> np.ndarray:
    shape = tuple(evaluate_size(size, sizes) for size in random.shape)
    if random.kind == "mask" and random.shape[:1] == (BATCH,):
        return _mask((rows.stop - rows.start, *shape[1:]), random, rng, rows.start * prod(shape[1:]))
    drawn = draw(random, rng, sizes)
    if BATCH not in random.shape:
        return drawn
    axis = random.shape.index(BATCH)
    return np.ascontiguousarray(drawn[(slice(None),) * axis + (rows,)])


class InferenceRandoms:
    """The random inputs of a model, drawn batch by batch. A sample's numbers do not depend on the sizes of batches."""

    def __init__(self, distributions: Mapping[str, Distribution], types: Mapping[str, TensorType], seed: int) -> None:
        self._distributions, self.types = distributions, types
        self._generators = {
            name: generator(seed if distribution.seed is None else distribution.seed, "inference", name)
            for name, distribution in distributions.items()
        }

    @classmethod
    def of(cls, graph: Graph, seed: int) -> InferenceRandoms:
        """Those of an inference graph."""
        distributions = {name: value.distribution for name, value in graph.randoms.items()}
        return cls(distributions, {name: value.type for name, value in graph.randoms.items()}, seed)

    def fed(
        self, feeds: dict[str, np.ndarray], inputs: Mapping[str, TensorType], limit: int | None = None
    ) -> dict[str, np.ndarray]:
        """The feeds of a batch with all random inputs. `inputs` has the types of the others.

        Raises ValueError if the size of a random input does not follow from the feeds, or exceeds the limit of elements
        a sample.
        """
        missing = [name for name in self._distributions if name not in feeds]
        if not missing:
            return feeds
        sizes = symbol_sizes({name: type for name, type in inputs.items() if name in feeds}, feeds)
        return feeds | {name: self._draw(name, sizes, limit) for name in missing}

    def _draw(self, name: str, sizes: Mapping[str, int], limit: int | None) -> np.ndarray:
        shape = tuple(evaluate_size(size, sizes) for size in self.types[name].shape)
        samples = max(sizes.values(), default=1)  # at least the size of the batch
        if limit is not None and prod(shape) > limit * samples:
            raise ValueError(f"{name!r} needs {prod(shape):,} random numbers, more than {limit:,} a sample")
        return draw_numbers(self._distributions[name], shape, self._generators[name])


def draw(random: Random, rng: np.random.Generator, sizes: Mapping[str, int]) -> np.ndarray:
    """One draw: a mask of `scale` and 0 or, as bytes, of 1 and 0; else `offset` plus `scale` times standard normal or
    uniform numbers.

    A mask's probability is rounded to a multiple of 1/65536.
    """
    shape = tuple(evaluate_size(size, sizes) for size in random.shape)
    if random.kind == "mask":
        return _mask(shape, random, rng)
    return draw_numbers(random.distribution, shape, rng)


def draw_numbers(distribution: Distribution, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Numbers of a distribution, as float32."""
    is_normal, scale = distribution.kind == "normal", np.float32(distribution.scale)
    values = rng.standard_normal(shape, np.float32) if is_normal else rng.random(shape, np.float32)
    values = values if scale == 1 else values * scale
    return values + np.float32(distribution.offset) if distribution.offset else values


def _mask(shape: tuple[int, ...], random: Random, rng: np.random.Generator, start: int = 0) -> np.ndarray:
    """The values from number `start` on of the generator's mask."""
    count, is_bytes = prod(shape), random.dtype == "uint8"
    scale = 1 if is_bytes else np.float32(random.scale)
    threshold = round(random.keep * MASK_PROBABILITY_STEPS)
    if threshold >= MASK_PROBABILITY_STEPS:
        return np.full(shape, scale, numpy_dtype(random.dtype))
    skipped_counts, first = divmod(start, NUMBERS_PER_COUNT * VALUES_PER_NUMBER)
    if skipped_counts:
        rng.bit_generator.advance(skipped_counts)  # type: ignore[attr-defined]
    words = np.atleast_1d(rng.bit_generator.random_raw(-(-(first + count) // VALUES_PER_NUMBER)))
    halves = words.astype("<u8", copy=False).view("<u2")[first : first + count]
    if is_bytes:
        return (halves < np.uint16(threshold)).view(np.uint8).reshape(shape)
    mask = np.empty(count, np.float32)
    np.multiply(halves < np.uint16(threshold), scale, out=mask)
    return mask.reshape(shape)


def with_mask_types(masks: Mapping[str, Random], feeds: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """The feeds with all masks in the types of a graph, which may have been built for batches of other sizes."""
    drawn = {name: random for name, random in masks.items() if name in feeds and feeds[name].dtype != random.dtype}
    return {**feeds, **{name: _converted(feeds[name], random) for name, random in drawn.items()}} if drawn else feeds


def _converted(mask: np.ndarray, random: Random) -> np.ndarray:
    if random.dtype == "uint8":
        return (mask != 0).view(np.uint8)
    return mask * np.float32(random.scale) if mask.dtype == np.uint8 else mask


def symbol_sizes(types: Mapping[str, TensorType], feeds: Mapping[str, np.ndarray]) -> dict[str, int]:
    """The values, in these feeds, of the symbols in the inputs' types."""
    sizes: dict[str, int] = {}
    for name, type in types.items():
        for expected, size in zip(type.shape, feeds[name].shape, strict=True):
            if isinstance(expected, Size) and len(expected.terms) == 1 and expected.terms[0][1] == 1:
                sizes[expected.terms[0][0]] = size - expected.offset
    return sizes
