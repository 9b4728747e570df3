"""Compiles a spec to an inference model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..backend import draft, metadata
from ..core.diagnostics import CompileError
from ..frontend.formatter import arranged
from ..ir import Graph, NotLearned, uncollected
from ..lowering.cost import beyond_onnx, parameters_of
from ..passes.canonicalize import tidy
from ..passes.constant_folding import bind
from ..passes.inference import simplified
from ..runtime.data_errors import FeedError
from ..runtime.random import initial_weights
from .check import After, Checked, Spec, check, ignore
from .graphs import inference_graph
from .initial_weights import Weights, start
from .model import Model

NOT_LEARNED = "train the model, give weights of a run that has learned it, or write it as `vocabulary`"


def compile(
    spec: Spec,
    weights: Weights = None,
    seed: int | None = None,
    *,
    partial: bool = False,
    fold: bool = True,
    scale: str | None = None,
    after: After = ignore,
) -> Model:
    """The inference model of a spec, with the weights given, or those that the spec names, or else drawn from `seed`
    (the spec's, where None).

    Given weights must be all that there are; with `partial` what does not fit is left out and drawn:
    `weights_report` of the model tells. The model's operators are as few as they can be, for which weights are folded
    into their neighbours (batch normalization into a convolution, say); without `fold` every layer is there as it is
    written. `scale` is the name of one of the spec's scales. Raises CompileError for a spec or weights that do not fit,
    UsageError for a file that cannot be read.
    """
    checked = check(spec, after, scale=scale)
    return compiled(checked, weights, seed, after, partial, fold)


@uncollected()
def compiled(
    checked: Checked,
    weights: Weights = None,
    seed: int | None = None,
    after: After = ignore,
    partial: bool = False,
    fold: bool = True,
) -> Model:
    """The same for a spec that is checked already."""
    typed = checked.sound
    graph = inference_graph(checked)
    after("graph", graph)
    try:
        wanted = {name: value.type for name, value in {**graph.parameters, **graph.states}.items()}
        given, report = start(checked, wanted, weights, partial)
    except FeedError as error:
        raise CompileError(error.diagnostics) from error
    known = initial_weights(graph, checked.seed(seed), given)
    bound = tidy(bound_to(graph, known, checked))
    after("bound", bound)
    if fold:
        bound = simplified(bound)
        after("folded", bound)
    told = metadata(typed, arranged(typed.network.document), parameters_of(graph), beyond_onnx(bound))
    model = draft(bound, name=typed.network.name, metadata=told)
    after("model", model)
    return Model(model, checked, graph, known, report)


def bound_to(graph: Graph, weights: Mapping[str, np.ndarray], checked: Checked) -> Graph:
    """The graph with its weights. Raises CompileError `not-learned` at a layer that has no vocabulary yet."""
    try:
        return bind(graph, weights)
    except NotLearned as error:
        report = checked.report()
        report.add("not-learned", checked.network.paths[error.layer], str(error), help=NOT_LEARNED)
        raise CompileError(report) from error
