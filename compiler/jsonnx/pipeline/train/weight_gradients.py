"""The gradients of the loss of a batch, by weight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...core.reserved_names import LOSS, gradient_name
from ...data.samples.dataset import Dataset
from ...gradient.builder import GradientBuilder
from ...gradient.training_step import weight_gradients
from ...gradient.tuning import GENERAL_FORMULAS
from ...ir import Graph, Parameter
from ...passes.canonicalize import canonicalize
from ...runtime.fit.trainer import PlanTrainer
from ...runtime.providers.session_recorder import SessionRecorder
from ...training.metrics.objective import Objective
from ..check.check import CheckedSpec
from .plan_training import forward_loss_graph


def batch_gradients(checked: CheckedSpec, trainer: PlanTrainer, batch: Dataset) -> dict[str, np.ndarray]:
    """The gradients of the loss of a batch: for each trainable weight that the loss depends on, an array of float32 of
    the weight's shape.

    They equal the gradients of the trainer's next step before clipping, with its random numbers. The trainer's state
    stays as it is. Raises FeedError for data that do not fit.
    """
    return loss_and_gradients(checked, trainer, batch)[1]


def loss_and_gradients(
    checked: CheckedSpec, trainer: PlanTrainer, batch: Dataset, recorder: SessionRecorder | None = None, runs: int = 1
) -> tuple[float, dict[str, np.ndarray]]:
    """The loss of a batch in the trainer's next step, and its gradients as `batch_gradients` returns them.

    They are computed by the last of some runs, which a recorder may record.
    """
    assert checked.objective is not None, "a spec that has a trainer has an objective"
    weighted_outputs = trainer.plan.weighted_outputs.union(batch.weights)
    graph = _gradient_graph(checked, checked.objective._replace(weighted_outputs=weighted_outputs))
    data_spec = trainer.plan.data_spec_weighting(weighted_outputs)
    *_, results = trainer.run_graph(graph, [batch] * runs, data_spec, recorder)
    loss = float(results.pop(LOSS))
    names = {gradient_name(name): name for name in graph.parameters}
    return loss, {names[output]: gradient for output, gradient in results.items()}


def _gradient_graph(checked: CheckedSpec, objective: Objective) -> Graph:
    """The graph whose outputs are the loss, and the gradients named by `gradient_name`."""
    training = checked.network.training
    assert training is not None, "a spec that has an objective has a training section"
    graph = replace(forward_loss_graph(checked, objective), updates={})
    g = GradientBuilder.extending(graph, tuning=GENERAL_FORMULAS)
    by_weight = weight_gradients(g, graph, training.effective_loss_scale)
    with g.scope("gradients"):
        results = {
            gradient_name(weight.name): g.cast(gradient, "float32")
            for weight, gradient in by_weight.items()
            if isinstance(weight, Parameter)
        }
    return canonicalize(replace(g.graph({LOSS: graph.outputs[LOSS], **results}), losses=(), masks={}))
