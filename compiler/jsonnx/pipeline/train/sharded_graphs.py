"""The graphs of a training step whose batch is split: by threads of one machine, or among the workers of a distributed
training."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from ...analysis.sample_interaction import (
    LOSS_MESSAGE,
    LOSS_PATH,
    SEPARATE_SAMPLES_HELP,
    report_interaction,
    separate_layers,
)
from ...analysis.shape_inference import TypedNetwork
from ...core.reserved_names import LOSS_WEIGHT
from ...gradient.training_step import combine_shards, shard_step
from ...ir import Graph, Node
from ...passes.canonicalize import canonicalize
from ...passes.training_steps.batch_separability import is_batch_separable, mixing_nodes
from ...passes.training_steps.simplify_step import simplify_step
from ...runtime.training_plan import ShardBuilder, ShardedGraphs
from ...sections.training_section import Training
from ...tuning.cpu.gradient import CPU_GRADIENTS
from ..check.check import CheckedSpec


def shard_builder(checked: CheckedSpec, scored: Graph) -> ShardBuilder | None:
    """Builds the graphs of a data-parallel step; None if the batch cannot be split. Raises CompileError
    `samples-interact` if it cannot be split and the training is distributed."""
    training = checked.network.training
    assert training is not None
    if training.distributed is not None:
        require_separate_samples(checked, scored)
        return partial(sharded_step, checked.require(), scored, combines=False)
    return partial(sharded_step, checked.require(), scored) if can_be_sharded(training, scored) else None


def can_be_sharded(training: Training, forward_loss: Graph) -> bool:
    """Whether the batch of a step may be split: scaling a loss would have to judge the gradients of all shards."""
    return training.effective_loss_scale is None and is_batch_separable(forward_loss)


def sharded_step(
    typed: TypedNetwork,
    forward_loss: Graph,
    shards: int,
    sparse_weights: Collection[str] = (),
    *,
    combines: bool = True,
) -> ShardedGraphs:
    """The training step for a batch that is split into this number of shards. Unless its last graph `combines` the
    results of all shards, it takes their sum; then the gradients of some weights may be sparse."""
    training = typed.network.training
    assert training is not None
    shard_samples = max(1, training.batch_size // shards)
    shard = simplify_step(shard_step(forward_loss, shard_samples, CPU_GRADIENTS, sparse_weights), shard_samples)
    summands, factors = shards if combines else 1, typed.network.learning_rate_factors
    combiner = combine_shards(forward_loss, shard, summands, training.optimizer, factors)
    return ShardedGraphs(shards, shard, canonicalize(combiner))


def require_separate_samples(checked: CheckedSpec, forward_loss: Graph) -> None:
    """Raises CompileError `samples-interact` for each layer and loss by which samples of a batch interact."""
    network, training = checked.network, checked.network.training
    assert training is not None
    assert training.distributed is not None
    report = checked.new_report()
    calls = {call.owner: call for call in reversed(network.calls)}
    layers, has_weight = separate_layers(checked.require()), LOSS_WEIGHT in forward_loss.outputs

    def is_separate(node: Node) -> bool:
        return node.scope.partition("/")[0] in layers or (has_weight and node.path == LOSS_PATH)

    first_nodes: dict[str, Node] = {}
    for node in mixing_nodes(forward_loss, is_separate):
        first_nodes.setdefault(node.scope.partition("/")[0], node)
    for scope, node in first_nodes.items():
        if scope in calls:
            report_interaction(calls[scope], report)
        else:
            report.add("samples-interact", node.path, LOSS_MESSAGE, help=SEPARATE_SAMPLES_HELP)
    for name, value in forward_loss.updates.items():
        if value.dtype != "float32":
            message = f"{name!r} changes at every step and is no real number, so that workers cannot add its changes"
            report.add("samples-interact", calls[name.partition("/")[0]].path, message)
    report.raise_errors()
