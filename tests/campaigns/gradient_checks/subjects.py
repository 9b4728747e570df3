"""The subjects of the checks: the cases of layers, the operators of tests/unit/gradient, losses and regularizers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain, product
from typing import Any

import numpy as np
from jsonnx.core.types import BATCH, Size, TensorType, evaluate_size
from jsonnx.ir import Builder, Graph
from jsonnx.training.losses.losses import LOSSES
from jsonnx.training.weights.regularizers import REGULARIZERS
from support.harness import draw_weights, lower
from unit.gradient import (
    test_activations,
    test_conditionals,
    test_elementwise,
    test_indexing,
    test_matmul,
    test_normalization,
    test_reductions,
    test_rnn,
    test_scan,
    test_shape,
)
from unit.gradient.operators import Domain, Operator
from unit.gradient.test_convolution import PLACES, SAME_SIZES, draw, one_node
from unit.layers.cases import Case, all_cases
from unit.layers.test_layers import feeds_of, network
from unit.training import cases
from unit.training.recorded import read

from .measure import Subject

Rng = np.random.Generator
Feeds = dict[str, np.ndarray]

SMOOTH = {"certain": "unit", "extreme": "wide", "half off": "real", "zeros and ones": "unit"}
"""Kinds of arrays that lie on kinks, and the kinds that replace them."""

ONLY_SINGLE = [
    Operator("Celu", (Domain(kinks=(0,)),)),
    Operator("Celu", (Domain(kinks=(0,)),), attributes={"alpha": 0.3}),
]
"""Operators that ONNX defines in float32 only: their graphs are float32, but evaluated in float64."""


def subjects() -> list[Subject]:
    return [*layers(), *operators(), *losses(), *regularizers()]


# -- layers ------------------------------------------------------------------------------------------------------------


def layers() -> Iterator[Subject]:
    """Every case of every layer, in training, differentiated by its weights and real inputs."""
    for case in all_cases():
        if case.smooth:
            made = partial(lower, network(case), training=True, float_dtype="float64")
            yield Subject("layers", case.id, made, partial(_layer_feeds, case), partial(_layer_wanted, case))


def _layer_feeds(case: Case, graph: Graph, rng: Rng) -> Feeds:
    feeds = feeds_of(case, 3, rng, "float64") | draw_weights(graph, rng)
    for name, random in graph.randoms.items():
        shape = tuple(evaluate_size(size, {"batch": 3}) for size in random.shape)
        feeds[name] = np.where(rng.random(shape) < random.keep, random.scale, 0.0)
    return feeds


def _layer_wanted(case: Case, graph: Graph) -> list[str]:
    masks = {f"x{index}" for index in case.masks}
    real = [name for name, value in graph.inputs.items() if value.dtype == "float64" and name not in masks]
    return [*real, *graph.parameters]


# -- operators ---------------------------------------------------------------------------------------------------------


def operators() -> Iterator[Subject]:
    reductions = [
        Operator(op, (domain,) if axes is None else (domain, axes), attributes={"keepdims": keepdims})
        for op, domain in test_reductions.DOMAINS.items()
        for axes, keepdims in test_reductions.AXES
    ]
    tables = (
        test_elementwise.OPERATORS,
        test_activations.OPERATORS,
        test_matmul.OPERATORS,
        test_normalization.OPERATORS,
    )
    for operator in (*chain(*tables), *reductions):
        yield Subject("operators", operator.id, operator.graph, partial(_drawn, operator), _inputs)
    for operator in ONLY_SINGLE:
        yield Subject("operators", operator.id, partial(operator.graph, "float32"), partial(_drawn, operator), _inputs)
    for rule in (*test_conditionals.RULES, *test_indexing.RULES, *test_shape.RULES):
        if rule.id != "pad-negative":  # which ONNX' reference has wrong
            yield Subject("operators", rule.id, rule.graph, partial(_drawn, rule), partial(_rule_wanted, rule))
    yield from windows()
    yield from recurrent()
    yield from loops()


def _drawn(case: Any, graph: Graph, rng: Rng) -> Feeds:
    return case.feeds(rng)


def _inputs(graph: Graph) -> list[str]:
    return list(graph.inputs)


def _rule_wanted(rule: Any, graph: Graph) -> list[str]:
    return getattr(rule, "wanted", None) or _inputs(graph)


def windows() -> Iterator[Subject]:
    """Convolutions, transposed convolutions and pooling, with the windows of tests/unit/gradient."""
    for sizes, kernel, place in PLACES:
        pooled: dict[str, tuple] = {"x": (BATCH, 2, *sizes)}
        for groups, depth in ((1, 3), (2, 4), (3, 3)):
            shapes = {"x": (BATCH, depth, *sizes), "w": (6, depth // groups, *kernel), "b": (6,)}
            yield window("Conv", shapes, group=groups, **place)
        if (sizes, kernel, place) in SAME_SIZES:
            shapes = {"x": (BATCH, 2, *(max(1, n - 2) for n in sizes)), "w": (2, 2, *kernel), "b": (4,)}
            yield window("ConvTranspose", shapes, group=2, **place)
        yield window("MaxPool", pooled, kernel_shape=kernel, **place)
        for counted in (0, 1):
            yield window("AveragePool", pooled, kernel_shape=kernel, count_include_pad=counted, **place)

    for op, sizes in product(("GlobalAveragePool", "GlobalMaxPool"), ((5,), (3, 4), (2, 1, 3))):
        yield window(op, {"x": (BATCH, 2, *sizes)})


def window(op: str, shapes: dict[str, tuple], **attributes: Any) -> Subject:
    made = partial(one_node, op, shapes, "float64", **attributes)
    return Subject("operators", f"{op}-{attributes}", made, lambda graph, rng: draw(shapes, rng), _inputs)


def recurrent() -> Iterator[Subject]:
    for (op, options), direction, time in product(test_rnn.VARIANTS, ("forward", "reverse"), (1, 4)):
        made = test_rnn.recurrent(op, ("y", "y_h", "y_c"), time=time, direction=direction, **options)
        yield fed_alike(f"{op}-{options}-{direction}-{time}", *made)


def loops() -> Iterator[Subject]:
    """Scan, forward and backward."""
    for (step, count), reverse in product(test_scan.STEPS, (False, True)):
        read = slice(0, 1)  # a state: its size does not depend on the number of steps
        made = test_scan.graph_of(step, count, time=Size.named("time"), reverse=reverse, read=read)
        yield fed_alike(f"Scan-{step.__name__}-{reverse}", *made)


def fed_alike(name: str, graph: Graph, feeds: Feeds) -> Subject:
    """A subject whose feeds are drawn in the shapes of an example."""
    shapes = {name: values.shape for name, values in feeds.items()}

    def drawn(_: Graph, rng: Rng) -> Feeds:
        return {name: rng.normal(size=shape) for name, shape in shapes.items()}

    return Subject("operators", name, lambda: graph, drawn, _inputs)


# -- losses and penalties ----------------------------------------------------------------------------------------------


def losses() -> Iterator[Subject]:
    """Every loss, differentiated by its output, also with the activation whose logits it uses."""
    plain = [(spec, pair, "linear") for spec, pair in cases.LOSSES]
    for spec, pair, activation in (*plain, *cases.ACTIVATED):
        made = partial(_loss_graph, spec, pair, activation)
        name = f"{cases.name(spec)}-{pair.output}-{activation}"
        yield Subject("losses", name, made, partial(_loss_feeds, pair), _output)


def _output(graph: Graph) -> list[str]:
    return ["output"]


def _loss_graph(spec: Any, pair: cases.Pair, activation: str) -> Graph:
    from unit.training.test_losses import ACTIVATIONS

    g, loss = Builder(training=True, float_dtype="float64"), read(LOSSES, spec)
    y = ACTIVATIONS[activation](g, g.input("output", TensorType("float64", pair.shape)))
    target = g.input("target", loss.target_type(y.type))
    predicted, suited = loss.before_activation(g.graph({"y": y}), y)
    return g.graph({"value": suited.reduce(g, target, predicted)})


def _loss_feeds(pair: cases.Pair, graph: Graph, rng: Rng) -> Feeds:
    output = cases.draw(SMOOTH.get(pair.output, pair.output), pair.shape, rng).astype("float64")
    target = cases.draw(SMOOTH.get(pair.target, pair.target), pair.shape, rng, output)
    return {"output": output, "target": target.astype(graph.inputs["target"].dtype)}


def regularizers() -> Iterator[Subject]:
    for spec in cases.REGULARIZERS:
        made = partial(_penalty, spec)
        yield Subject(
            "regularizers", cases.name(spec), made, lambda graph, rng: {"weight": rng.normal(size=(3, 4))}, _inputs
        )


def _weight(graph: Graph, rng: Rng) -> Feeds:
    return {"weight": rng.normal(size=(3, 4))}


def _penalty(spec: Any) -> Graph:
    g = Builder(training=True, float_dtype="float64")
    weight = g.input("weight", TensorType("float64", (3, 4)))
    return g.graph({"value": read(REGULARIZERS, spec).penalty(g, weight)})
