"""Draws inputs, weights, targets and random numbers for a model so that its results stay finite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jsonnx.core.types import TensorType, evaluate_size
from jsonnx.ir import Graph
from jsonnx.pipeline.check.check import CheckedSpec

from .draw import VOCABULARY

SIZES = ({"batch": 3, "time": 7, "width": 8}, {"batch": 1, "time": 9, "width": 8})
"""The values of symbolic sizes in two runs."""

BINARY = ("binary_crossentropy", "binary_focal_crossentropy", "dice", "tversky")
POSITIVE = ("poisson", "mean_absolute_percentage_error", "mean_squared_logarithmic_error")

Arrays = dict[str, np.ndarray]
Sizes = Mapping[str, int]


def tensor(type: TensorType, sizes: Sizes, rng: np.random.Generator) -> np.ndarray:
    shape = tuple(evaluate_size(size, sizes) for size in type.shape)
    if type.dtype == "bool":
        return rng.random(shape) < 0.7
    if not type.dtype.startswith("float"):
        return rng.integers(0, VOCABULARY, shape).astype(type.dtype)
    return rng.normal(size=shape).astype(type.dtype)


def weights_for(graph: Graph, rng: np.random.Generator) -> Arrays:
    """Draws weights whose activations neither explode nor vanish; unlike initial weights, biases are not zero."""
    drawn = {}
    for name, value in [*graph.parameters.items(), *graph.states.items()]:
        shape = tuple(int(size) for size in value.shape)
        last = name.rpartition("/")[2]
        if not value.dtype.startswith("float"):
            drawn[name] = np.full(shape, 3, value.dtype)
        elif "variance" in last or last == "gamma" or name.startswith("optimizer/"):
            small = 0.1 if last in ("average_gradient", "linear") else 1.0
            drawn[name] = np.asarray(rng.uniform(0.5, 1.5, shape) * small, value.dtype)
        else:
            fan = max(1.0, np.prod(shape[:-1])) if len(shape) > 1 else 4.0
            drawn[name] = np.asarray(rng.normal(size=shape) / np.sqrt(fan), value.dtype)
    return drawn


def targets_for(checked: CheckedSpec, sizes: Sizes, rng: np.random.Generator) -> Arrays:
    """Draws valid targets for each loss."""
    objective = checked.objective
    assert objective is not None
    drawn = {}
    for output, loss in objective.losses.items():
        type, kind = objective.targets[output], loss.type_name
        shape = tuple(evaluate_size(size, sizes) for size in type.shape)
        if type.dtype == "int64":
            classes = checked.require().outputs[output].shape[-1]
            values: Any = rng.integers(0, classes, shape)
        elif "categorical" in kind or kind == "kl_divergence":
            values = rng.dirichlet(np.ones(shape[-1]), shape[:-1]) if shape[-1] > 1 else np.ones(shape)
        elif "hinge" in kind:
            values = rng.choice([-1.0, 1.0], shape)
        elif kind in BINARY:
            values = rng.choice([0.0, 1.0], shape)
        elif kind in POSITIVE:
            values = rng.uniform(0.5, 2.0, shape)
        else:
            values = rng.normal(size=shape)
        drawn[f"{output}/target"] = np.asarray(values, type.dtype)
    return drawn


def randoms_for(graph: Graph, sizes: Sizes, rng: np.random.Generator) -> Arrays:
    drawn = {}
    for name, random in graph.randoms.items():
        shape = tuple(evaluate_size(size, sizes) for size in random.shape)
        if random.kind == "mask":
            values = np.where(rng.random(shape) < random.keep, random.scale, 0.0)
        else:
            values = random.scale * (rng.normal(size=shape) if random.kind == "normal" else rng.random(shape))
        drawn[name] = np.asarray(values, np.float32)
    return drawn


def perturb(feeds: Mapping[str, np.ndarray], rng: np.random.Generator) -> Arrays:
    """Returns the feeds with every float32 element changed by a rounding error."""
    return {
        name: np.asarray(values * (1 + rng.choice([-6e-8, 6e-8], values.shape)))
        if values.dtype == np.float32
        else values
        for name, values in feeds.items()
    }
