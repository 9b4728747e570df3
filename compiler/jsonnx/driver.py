"""The pipeline from a spec to ONNX, as a table of contents.

`validation` brings text to a typed network; from there passes make a graph, the gradient module a training step, and
the backend a model. Every stage takes the frozen value that the one before it made; `after` is called with the name
and the value of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from operator import index
from typing import Any

import numpy as np

from .backend import draft, metadata, spec_hash
from .diagnostics import CompileError, Diagnostic
from .frontend.format import arranged
from .gradient import MissingRule
from .gradient.step import share_of_step, sum_of_shares, training_step, with_loss
from .graph import Builder, Graph, NotLearned, Value, uncollected
from .layers.core import Embedding, ReversibleEmbedding
from .layers.learned import Learner
from .layers.spectral import SpectralNormalization
from .layers.text import TOKENS
from .layers.time_distributed import TimeDistributed
from .model import Model
from .passes.activated_pools import masked_behind
from .passes.apart import stand_apart
from .passes.augmented import augmented_name, augmenting
from .passes.bind import bind
from .passes.column_sums import multiplied
from .passes.cost import beyond_onnx, parameters_of
from .passes.factored import attached, factored
from .passes.gains import with_gains_in_weights
from .passes.inference import simplified
from .passes.layout import channels_first
from .passes.limits import too_heavy
from .passes.lower import Refused, lower
from .passes.shapes import TypedNetwork
from .passes.tidy import tidy
from .runtime.adapt import EXAMINED, Lesson
from .runtime.faults import FeedError
from .runtime.plan import Augmented, SharedStep
from .runtime.random import initial_weights
from .runtime.trainer import Plan
from .runtime.variables import UPDATED
from .start import Weights, start
from .training.objective import Objective
from .validation import After, Checked, Spec, check, ignore

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
    known = initial_weights(graph, seed_of(typed, seed), given)
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


@uncollected()
def plan(checked: Checked, seed: int | None = None, after: After = ignore) -> Plan:
    """Everything that training needs: the three graphs, and what goes in and comes out."""
    typed, objective = checked.sound, checked.objective
    training = typed.network.training
    if training is None or objective is None:
        message = "the spec has no `training` section"
        help = 'add one: "training": {"loss": "...", "optimizer": "adam"}'
        raise CompileError([Diagnostic("missing-key", message, "$", checked.source.file, 1, 1, help)])
    scored = scored_graph(checked, objective)
    train = training_graph(checked, scored)
    after("step", train)
    network = forward(checked)
    return Plan(
        train=train,
        evaluate=tidy(with_loss(network, objective)),
        predict=tidy(without_losses(network)),
        inputs=typed.inputs,
        outputs=typed.outputs,
        targets=objective.targets,
        metrics={name: metric for name, (_, metric) in objective.names().items()},
        training=training,
        augmented=augmented(typed),
        seed=seed_of(typed, seed),
        limits=index_limits(typed),
        labels=typed.network.labels,
        file=checked.source.file,
        locate=checked.locate,
        lessons=lessons(typed),
        shared=partial(shared_step, typed, scored) if stand_apart(scored) else None,
        fingerprint=spec_hash(what_matters(typed.network.flat)),
    )


def augmented(typed: TypedNetwork) -> tuple[Augmented, ...]:
    """What augmentation layers make before a step, in the order of the network."""
    calls = augmenting(typed.network)
    given = {call.name: augmented_name(call.name) for call in calls}
    made: list[Augmented] = []
    for call in calls:
        layer: Any = call.layer
        (source,) = call.sources
        fed = given.get(source, source if source in typed.inputs else None)
        graph = None if fed else tidy(replace(lower(typed, training=True, outputs=[source], given=given), losses=()))
        made.append(Augmented(given[call.name], layer, fed or source, graph))
    return tuple(made)


def lessons(typed: TypedNetwork) -> tuple[Lesson, ...]:
    """What layers learn before training, in the order in which they can."""
    made: dict[str, Lesson] = {}
    for call in typed.network.calls:
        if isinstance(call.layer, Learner) and call.layer.adapts and call.owner not in made:
            graph = lower(typed, outputs=call.sources)
            g = Builder.onto(replace(graph, losses=()))
            with g.at(call.owner, call.path):
                examined = call.layer.examined(g, *graph.outputs.values())
            made[call.owner] = Lesson(call.owner, call.layer.learn, tidy(g.graph({EXAMINED: examined})))
    return tuple(made.values())


def index_limits(typed: TypedNetwork) -> dict[str, int]:
    """How many values an input may take that an Embedding looks up."""
    limits: dict[str, int] = {}
    for call in typed.network.calls:
        layer: Any = call.layer
        while isinstance(layer, (TimeDistributed, SpectralNormalization)):
            layer = layer.layer
        if isinstance(layer, (Embedding, ReversibleEmbedding)):
            for source in typed.inputs.keys() & call.sources:
                if isinstance(layer, ReversibleEmbedding) and typed.inputs[source].dtype.startswith("float"):
                    continue  # vectors on their way back
                limits[source] = min(layer.input_dim, limits.get(source, layer.input_dim))
    return limits


def what_matters(document: Any) -> Any:
    """The part of a spec that a checkpoint depends on: a run may go on for more epochs, its files moved
    elsewhere, in less memory."""
    training = document.get("training", {})
    apart = ("epochs", "data", "early_stopping", "weights", "remat")
    kept = {key: value for key, value in training.items() if key not in apart}
    return {key: document[key] for key in ("inputs", "layers", "outputs") if key in document} | {"training": kept}


def forward(checked: Checked, *, training: bool = False) -> Graph:
    """The network as operators, in the layout they want. Raises CompileError where its weights are too large to
    hold."""
    typed = checked.sound
    given = {call.name: augmented_name(call.name) for call in augmenting(typed.network)} if training else {}
    report = checked.report()
    try:
        graph = lower(typed, training=training, given=given)
    except Refused as refused:
        call, error = refused.call, refused.error
        kind = call.layer.type_name if call.layer else ""
        report.add(error.code, call.path, f"{kind} {call.name!r} {error.message}", help=error.help)
        raise CompileError(report) from refused
    for path, message in too_heavy(typed, graph):
        report.add("too-large", path, message)
    report.raise_errors()
    return channels_first(graph)


def inference_graph(checked: Checked) -> Graph:
    """What a deployed model computes, its weights still open."""
    return tidy(without_losses(forward(checked)))


def without_losses(network: Graph) -> Graph:
    """A network without what only training and evaluation ask of it."""
    return replace(network, losses=(), masks={})


def scoring_graph(typed: TypedNetwork, objective: Objective) -> Graph:
    """Loss and metrics of outputs that are computed elsewhere: they are its inputs, beside the targets, and beside the
    network's inputs where these tell which places are masked.

    Raises CompileError where masks depend on weights.
    """
    network = lower(typed) if typed.masks.inference.beside.keys() & typed.outputs.keys() else None
    g = Builder.onto(replace(network, outputs={}, losses=(), updates={})) if network else Builder()
    outputs: dict[str, Value] = {name: g.input(name, type) for name, type in typed.outputs.items()}
    scored = with_loss(g.graph(outputs), objective)
    scored = tidy(replace(scored, outputs={name: v for name, v in scored.outputs.items() if name not in outputs}))
    read = {x for node in scored.nodes for x in node.inputs}
    if read & {*scored.parameters.values(), *scored.states.values()}:
        message = "which places of an output count is told by weights, and a model alone does not give those back"
        raise CompileError([Diagnostic("needs-weights", message, help="evaluate the RUN folder that training wrote")])
    used = {name: x for name, x in scored.inputs.items() if x in read or x in scored.outputs.values()}
    return replace(scored, inputs=used, parameters={}, states={})


def scored_graph(checked: Checked, objective: Objective) -> Graph:
    """Forward pass of training, loss and metrics."""
    typed = checked.sound
    graph = tidy(with_loss(forward(checked, training=True), objective))
    report = checked.report()
    for name, drawn in graph.randoms.items():
        if any(str(TOKENS) in str(size) for size in drawn.shape):
            layer = name.partition("/")[0]
            message = f"{layer!r} draws numbers for every token, and how many there are only the batch tells"
            report.add("shape-mismatch", typed.network.paths[layer], message, help="give an output_sequence_length")
    report.raise_errors()
    return graph


def training_graph(checked: Checked, scored: Graph) -> Graph:
    """Forward pass, backward pass and update in one graph, made of the first.

    Raises CompileError at the layer whose operator has no gradient, or whose weight has the name of another's new
    value.
    """
    typed = checked.sound
    training = typed.network.training
    if training is None:
        raise ValueError("a network without a training section has no training graph")
    report = checked.report()
    try:
        step = training_step(scored, training.optimizer, typed.network.rates, training.batch_size)
    except MissingRule as error:
        why = f"it {error}" if str(error).startswith("needs") else str(error)
        report.add("no-gradient", error.node.path, f"{error.node.scope or 'the loss'!r} cannot be trained: {why}")
        raise CompileError(report) from error
    fed = step.parameters.keys() | step.states.keys()
    clash = next((name for name in step.updates if f"{UPDATED}{name}" in fed), None)
    if clash is not None:
        new = f"{UPDATED}{clash}"
        layer = new.partition("/")[0]
        message = f"{new!r} is a weight of {layer!r}, and a training step's new value of {clash!r}"
        report.add("duplicate-name", typed.network.paths[layer], message, help="give the layer another name")
        raise CompileError(report)
    return quick(step)


def shared_step(typed: TypedNetwork, scored: Graph, count: int) -> SharedStep:
    """A training step for so many shares of a batch."""
    training = typed.network.training
    assert training is not None
    share = quick(share_of_step(scored, training.batch_size // count))
    rest = sum_of_shares(scored, share, count, training.optimizer, typed.network.rates)
    return SharedStep(count, share, tidy(rest))


def quick(step: Graph) -> Graph:
    """The same arithmetic in fewer or cheaper operators."""
    return multiplied(masked_behind(with_gains_in_weights(factored(attached(tidy(step))))))


def seed_of(typed: TypedNetwork, seed: int | None) -> int:
    """The seed that was asked for, or else the spec's. Raises TypeError, ValueError."""
    if seed is None:
        return typed.network.training.seed if typed.network.training else 0
    wrong = f"a seed is an integer from 0 to 2**63 - 1, got {seed!r}"
    try:
        number = index(seed)
    except TypeError:
        raise TypeError(wrong) from None
    if isinstance(seed, bool) or not 0 <= number < 1 << 63:
        raise ValueError(wrong)
    return number


__all__ = ["Weights", "check", "compile", "compiled", "plan"]
