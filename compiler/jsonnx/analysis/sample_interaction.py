"""Which layers let the samples of a batch interact, so that a distributed training cannot divide the batch."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.diagnostics import Report
from ..frontend.network import Call
from ..layers.base import Layer
from ..layers.normalization.normalization import BatchNormalization
from ..layers.normalization.spectral import SpectralNormalization
from ..layers.regularization import AddLoss
from ..layers.rnn.time_distributed import acts_along_batch_axis, nested_components
from ..training.metrics.objective import Objective
from .shape_inference import TypedNetwork

LOCAL_STATISTICS_HELP = (
    'with `"distributed": {"batch_norm": "local"}` the layer computes its statistics over each shard, as workers of '
    "other frameworks do; or use a normalization of single samples, such as LayerNormalization or GroupNormalization"
)
LOSS_PATH = ("training", "loss")
LOSS_MESSAGE = "the loss of a sample depends on other samples, so that a batch cannot be divided among workers"
SEPARATE_SAMPLES_HELP = "a training can be distributed if its loss is a mean over samples that are computed one by one"


def check_sample_interaction(typed: TypedNetwork, objective: Objective | None, report: Report) -> None:
    """Reports what declares that it computes with all samples of a batch, in a distributed training: layers, losses and
    the scale of the loss."""
    training = typed.network.training
    if training is None or training.distributed is None:
        return
    for call in typed.network.calls:
        if any(_mixing_parts(call.layer, _allows_local_statistics(typed))) or _adds_no_mean(call, typed):
            report_interaction(call, report)
    losses = {output: training.loss_of(output) for output in objective.targets} if objective is not None else {}
    if any(loss is not None and loss.mixes_samples(typed.types[output]) for output, loss in losses.items()):
        report.add("samples-interact", LOSS_PATH, LOSS_MESSAGE, help=SEPARATE_SAMPLES_HELP)
    if training.effective_loss_scale is not None:
        message = "the scale of the loss depends on the gradients of the whole batch, which workers do not have"
        report.add("samples-interact", ("training", "loss_scale"), message, help="leave it out")


def _adds_no_mean(call: Call, typed: TypedNetwork) -> bool:
    """Whether a call adds a loss that is no mean over samples: a sum, or a mean over the positions of a mask."""
    masks = typed.masks.training.input_masks.get(call.name, ())
    return isinstance(call.layer, AddLoss) and (call.layer.reduction == "sum" or any(masks))


def report_interaction(call: Call, report: Report) -> None:
    """Reports that a layer computes with all samples of a batch."""
    has_statistics = call.layer and any(isinstance(part, BatchNormalization) for part in nested_components(call.layer))
    message = f"{call.owner!r} computes with all samples of a batch, so that it cannot be divided among workers"
    help = LOCAL_STATISTICS_HELP if has_statistics else SEPARATE_SAMPLES_HELP
    report.add("samples-interact", call.path, message, help=help)


def separate_layers(typed: TypedNetwork) -> set[str]:
    """The layers that declare that their result for a sample depends on no other sample of a shard."""
    allows_local = _allows_local_statistics(typed)
    names = set()
    for call in typed.network.calls:
        rank = max((typed.types[name].rank for name in (*call.sources, *call.results)), default=1)
        mixes = call.layer is None or acts_along_batch_axis(call.layer, rank)
        if not mixes and not any(_mixing_parts(call.layer, allows_local)):
            names.add(call.owner)
    return names


def _allows_local_statistics(typed: TypedNetwork) -> bool:
    training = typed.network.training
    return training is not None and training.distributed is not None and training.distributed.batch_norm == "local"


def _mixing_parts(layer: Layer | None, allows_local_statistics: bool) -> Iterator[Layer]:
    """The parts of a layer by which samples interact. Spectral normalization depends on the number of steps, not on
    samples."""
    separate = (SpectralNormalization, BatchNormalization) if allows_local_statistics else SpectralNormalization
    for part in nested_components(layer) if layer is not None else ():
        if getattr(part, "mixes_samples", False) and part.trainable and not isinstance(part, separate):
            yield part
