"""Random numbers that depend on names and counts alone, never on earlier draws.

Each draw has a generator of its own, keyed by the seed and the purpose of the draw. A run resumed from a checkpoint
therefore draws the same numbers as a run that never stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from ...core.numpy_types import numpy_dtype
from ...core.random_inputs import Distribution
from ...core.system.cpu_count import thread_count
from ...core.types import Size, TensorType, evaluate_size
from ...data.samples.sample_order import generator

if TYPE_CHECKING:
    from ...ir import Graph, Parameter, Random, State


MIN_THREADED_DRAW_ELEMENTS = 1 << 14
"""Minimum size of a weight, in elements, that is drawn on another thread."""
MASK_PROBABILITY_STEPS = 1 << 16
"""The number of probabilities a mask can have: sixteen random bits a value are drawn in half the time of thirty-two."""


def draw_initial_weights(graph: Graph, seed: int, overrides: Mapping[str, np.ndarray] = {}) -> dict[str, np.ndarray]:
    """The initial value of every parameter and state, or the array in `overrides`. A state whose size depends on data
    is empty.

    A draw is keyed by the initializer's own seed, if it has one, else by `seed` and the variable's name.
    """
    variables: dict[str, Parameter | State] = {**graph.parameters, **graph.states}

    def value(name: str) -> np.ndarray:
        return np.asarray(overrides[name]) if name in overrides else _draw_initial(variables[name], name, seed)

    with ThreadPoolExecutor(thread_count()) as executor:  # NumPy releases the interpreter lock while it draws
        large = {
            name: executor.submit(value, name)
            for name, variable in variables.items()
            if _element_count(variable) > MIN_THREADED_DRAW_ELEMENTS
        }
        return {name: large[name].result() if name in large else value(name) for name in variables}


def _element_count(variable: Parameter | State) -> int:
    return variable.type.elements if isinstance(variable.type.elements, int) else 0


def _draw_initial(variable: Parameter | State, name: str, seed: int) -> np.ndarray:
    own_seed = getattr(variable.initializer, "seed", None)
    rng = generator(seed, "weights", name) if own_seed is None else generator(own_seed, "weights")
    shape = tuple(size if isinstance(size, int) else 0 for size in variable.shape)
    values = np.asarray(variable.initializer.sample(shape, rng), numpy_dtype(variable.dtype))
    return values if values.shape == shape and values.flags.c_contiguous else np.array(np.broadcast_to(values, shape))


def step_randoms(
    randoms: Mapping[str, Random], seed: int, step: int, sizes: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """The random numbers that a step is fed; `sizes` gives the symbolic sizes of its batch."""
    return {
        name: draw(random, generator(seed if random.seed is None else random.seed, name, step), sizes)
        for name, random in randoms.items()
    }


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


def _mask(shape: tuple[int, ...], random: Random, rng: np.random.Generator) -> np.ndarray:
    count, is_bytes = prod(shape), random.dtype == "uint8"
    scale = 1 if is_bytes else np.float32(random.scale)
    threshold = round(random.keep * MASK_PROBABILITY_STEPS)
    if threshold >= MASK_PROBABILITY_STEPS:
        return np.full(shape, scale, numpy_dtype(random.dtype))
    words = np.atleast_1d(rng.bit_generator.random_raw(-(-count // 4)))
    halves = words.astype("<u8", copy=False).view("<u2")[:count]
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
