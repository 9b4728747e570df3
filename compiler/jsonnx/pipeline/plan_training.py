"""Plans a training: the graphs of a step, of an evaluation and of a prediction, and what they read and write."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from ..analysis.shape_inference import TypedNetwork
from ..backend import spec_hash
from ..core.diagnostics import CompileError, Diagnostic
from ..gradient import MissingRule
from ..gradient.training_step import share_of_step, sum_of_shares, training_step, with_loss
from ..ir import Builder, Graph, uncollected
from ..layers.core import Embedding, ReversibleEmbedding
from ..layers.normalization.spectral import SpectralNormalization
from ..layers.preprocessing.adaptable import Learner
from ..layers.preprocessing.text_vectorization import TOKENS
from ..layers.rnn.time_distributed import TimeDistributed
from ..lowering.check_augmentation import augmented_name, augmenting
from ..lowering.lower import lower
from ..passes.canonicalize import tidy
from ..passes.training.batch_separability import stand_apart
from ..passes.training.column_sum_matmul import multiplied
from ..passes.training.factor_sums import attached, factored
from ..passes.training.fold_batchnorm_gamma import with_gains_in_weights
from ..passes.training.relu_maxpool_gradient import masked_behind
from ..runtime.trainer import Plan
from ..runtime.training_plan import EXAMINED, Augmented, Lesson, SharedStep
from ..runtime.variables import UPDATED
from ..training.objective import Objective
from .check import After, Checked, ignore
from .graphs import forward, without_losses


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
        seed=checked.seed(seed),
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
