"""Rules on the optimizer, its schedule, and when training stops."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Any

from ...core.diagnostics import JsonPath
from ...core.fixes import remove_key
from ...core.reserved_names import is_validation_name
from ...sections.monitor import spec_has_validation
from ...training.optimizers.schedules import Schedule
from ..fixes import set_key
from ..linted_network import LintedNetwork
from ..rule import Finding, rule

MAX_PENALTY = 0.1
MIN_SCHEDULE_SHARE = 0.2
"""Share of the training below which a schedule that ends is reported."""


def _optimizers(network: LintedNetwork) -> Iterator[tuple[JsonPath, Any]]:
    """The optimizers with their paths."""
    training = network.training
    if training is None:
        return
    optimizer: Any = training.optimizer
    if len(optimizer.optimizers) == 1 and optimizer.optimizers[0] is optimizer:
        yield ("training", "optimizer"), optimizer
        return
    yield ("training", "optimizer", "default"), optimizer.optimizers[-1]


def peak_rate(rate: Any) -> tuple[tuple[str, ...], float]:
    """The highest learning rate, and the key that gives it."""
    if not isinstance(rate, Schedule):
        return (), float(rate)
    rates: list[tuple[float, str]] = []
    for key in rate.peak_keys:
        value = getattr(rate, key)
        if value is not None:
            rates.append((max(value) if isinstance(value, tuple) else value, key))
    value, key = max(rates, default=(0.0, ""))
    return ((key,) if key else ()), value


@rule(
    "learning-rate",
    "A learning rate far from what is usual",
    "The steps of an optimizer have a usual size: about 0.001 for Adam and RMSprop, 0.01 to 0.1 for SGD, 0.0001 for "
    "Lion, 1 for Adadelta. A rate a hundred times as large mostly diverges, one a thousand times as small hardly "
    "changes the weights; often it was tuned for another optimizer. Of a schedule, the highest rate counts.",
    wrong='{"training": {"loss": "mse", "optimizer": {"type": "Adam", "learning_rate": 0.5}}}',
    right='{"training": {"loss": "mse", "optimizer": {"type": "Adam", "learning_rate": 0.001}}}',
)
def learning_rate(network: LintedNetwork) -> Iterator[Finding]:
    for path, optimizer in _optimizers(network):
        usual = optimizer.usual_learning_rates
        keys, rate = peak_rate(optimizer.learning_rate)
        is_relative = getattr(optimizer, "relative_step", False)
        if is_relative or usual[0] <= rate <= usual[1] * (1 + 1e-9):
            continue
        size = "large" if rate > usual[1] else "small"
        message = f"a learning rate of {rate:g} is {size} for {optimizer.type_name}"
        help = f"rates from {usual[0]:g} to {usual[1]:g} are usual"
        yield Finding((*path, "learning_rate", *keys), message, help)


@rule(
    "patience-exceeds-epochs",
    "A patience that no training reaches",
    "Early stopping and reduce-on-plateau act after `patience` epochs without improvement. If training has no more "
    "epochs than that, they never do.",
    wrong='{"training": {"loss": "mse", "epochs": 5, "early_stopping": {"monitor": "loss", "patience": 10}}}',
    right='{"training": {"loss": "mse", "epochs": 100, "early_stopping": {"monitor": "loss", "patience": 10}}}',
)
def patience_exceeds_epochs(network: LintedNetwork) -> Iterator[Finding]:
    training = network.training
    for key in ("early_stopping", "reduce_on_plateau") if training is not None else ():
        section: Any = getattr(training, key)
        if training is None or section is None:
            continue
        start = vars(section).get("start_from_epoch", 0)
        if section.patience + start >= training.epochs:
            effect = "training never stops early" if key == "early_stopping" else "the learning rate is never reduced"
            late = f" after epoch {start}" if start else ""
            message = f"with a patience of {section.patience}{late} and {training.epochs} epochs, {effect}"
            yield Finding(("training", key), message, "give more epochs, or a smaller patience")


@rule(
    "plateau-patience",
    "Training stops before the learning rate is reduced",
    "With the same figure, early stopping ends training before reduce-on-plateau has waited long enough: its patience "
    "must be the smaller one.",
    wrong='{"training": {"loss": "mse", "epochs": 100, "early_stopping": {"monitor": "loss", "patience": 5}, '
    '"reduce_on_plateau": {"monitor": "loss", "patience": 10}}}',
    right='{"training": {"loss": "mse", "epochs": 100, "early_stopping": {"monitor": "loss", "patience": 10}, '
    '"reduce_on_plateau": {"monitor": "loss", "patience": 5}}}',
)
def plateau_patience(network: LintedNetwork) -> Iterator[Finding]:
    training = network.training
    stopping = training.early_stopping if training else None
    plateau = training.reduce_on_plateau if training else None
    if stopping is None or plateau is None or stopping.monitor != plateau.monitor:
        return
    if plateau.patience >= stopping.patience + stopping.start_from_epoch:
        message = f"training stops after {stopping.patience} epochs without improvement, and the learning rate is "
        message += f"reduced after {plateau.patience}"
        notes: tuple[tuple[JsonPath, str], ...] = ((("training", "early_stopping"), "it stops here"),)
        yield Finding(("training", "reduce_on_plateau"), message, "give it a smaller patience", notes)


@rule(
    "monitors-training-loss",
    "A figure of the training data is monitored, although there are validation data",
    "The training loss falls as long as a network learns its samples by heart, so it says nothing about when to stop. "
    "The figures of the validation data begin with `val_`.",
    wrong='{"training": {"data": {"train": "a.csv", "validation": "b.csv"}, "loss": "mse", "epochs": 100, '
    '"early_stopping": {"monitor": "loss", "patience": 5}}}',
    right='{"training": {"data": {"train": "a.csv", "validation": "b.csv"}, "loss": "mse", "epochs": 100, '
    '"early_stopping": {"monitor": "val_loss", "patience": 5}}}',
)
def monitors_training_loss(network: LintedNetwork) -> Iterator[Finding]:
    training = network.training
    if training is None or not spec_has_validation(training):
        return
    for key in ("early_stopping", "checkpoint"):
        section: Any = getattr(training, key)
        monitor = section.monitor if section is not None else None
        if monitor is not None and not is_validation_name(monitor):
            message = f"{monitor!r} is monitored, a figure of the training data"
            path = ("training", key, "monitor")
            fix = set_key(network, path, f"val_{monitor}")
            yield Finding(path, message, f"monitor 'val_{monitor}'", fix=fix)


@rule(
    "no-validation",
    "Several epochs without validation data",
    "Without validation data nothing tells when a network begins to learn its samples by heart. `validation_split`, "
    "`split` or a file of its own gives some.",
    wrong='{"training": {"data": {"train": "a.csv"}, "loss": "mse", "epochs": 10}}',
    right='{"training": {"data": {"train": "a.csv", "validation_split": 0.1}, "loss": "mse", "epochs": 10}}',
    default=False,
)
def no_validation(network: LintedNetwork) -> Iterator[Finding]:
    training = network.training
    if training is not None and training.epochs > 1 and spec_has_validation(training) is False:
        message = f"training has {training.epochs} epochs, and no validation data"
        fix = set_key(network, ("training", "data", "validation_split"), 0.1)
        yield Finding(("training", "data"), message, 'write "validation_split": 0.1', fix=fix)


@rule(
    "penalty-strength",
    "A penalty that outweighs the loss",
    "L1 and L2 penalties are added to the loss for each weight. Factors from 1e-6 to 0.01 are usual; above 0.1 the "
    "weights go to 0, whatever the data say.",
    wrong='[{"type": "Dense", "units": 3, "kernel_regularizer": {"type": "L2", "l2": 1.0}}]',
    right='[{"type": "Dense", "units": 3, "kernel_regularizer": {"type": "L2", "l2": 0.001}}]',
)
def penalty_strength(network: LintedNetwork) -> Iterator[Finding]:
    for call in network.calls:
        for key, value in vars(call.layer).items() if call.layer and call.name == call.owner else ():
            if not key.endswith("_regularizer") or value is None or key == "activity_regularizer":
                continue
            factors = {name: getattr(value, name, 0.0) for name in ("l1", "l2")}
            name, factor = max(factors.items(), key=lambda item: item[1])
            if factor > MAX_PENALTY:
                message = f"the {key} of {call.name!r} has a factor of {factor:g}"
                yield Finding((*call.path, key), message, f"factors up to 0.01 are usual: {name}=0.001")


@rule(
    "penalty-with-adam",
    "An L2 penalty with Adam",
    "Adam divides gradients by their running size, and with them the gradient of a penalty, so that weights with large "
    "gradients are penalized less. `weight_decay` lets all weights decay alike.",
    wrong='{"layers": [{"type": "Dense", "units": 3, "kernel_regularizer": "l2"}], "training": {"loss": "mse", '
    '"optimizer": "adam"}}',
    right='{"layers": [{"type": "Dense", "units": 3}], "training": {"loss": "mse", "optimizer": {"type": "AdamW", '
    '"weight_decay": 0.01}}}',
    default=False,
)
def penalty_with_adam(network: LintedNetwork) -> Iterator[Finding]:
    training = network.training
    if training is None or not any(optimizer.rescales_penalties for _, optimizer in _optimizers(network)):
        return
    for call in network.calls:
        regularizer: Any = getattr(call.layer, "kernel_regularizer", None)
        if regularizer is not None and getattr(regularizer, "l2", 0.0) > 0 and call.name == call.owner:
            message = f"the optimizer divides the gradient of the penalty of {call.name!r} by its size"
            yield Finding((*call.path, "kernel_regularizer"), message, "use `weight_decay` of AdamW")


@rule(
    "weight-decay-strength",
    "A weight decay that outweighs the gradients",
    "A step subtracts `weight_decay` times the learning rate of each weight. 0.0001 to 0.1 is usual; above 0.5 weights "
    "go to 0.",
    wrong='{"training": {"loss": "mse", "optimizer": {"type": "AdamW", "weight_decay": 5.0}}}',
    right='{"training": {"loss": "mse", "optimizer": {"type": "AdamW", "weight_decay": 0.05}}}',
)
def weight_decay_strength(network: LintedNetwork) -> Iterator[Finding]:
    for path, optimizer in _optimizers(network):
        decay = optimizer.weight_decay
        if decay and decay > optimizer.max_usual_weight_decay:
            message = f"a weight decay of {decay:g} outweighs the gradients"
            yield Finding((*path, "weight_decay"), message, "0.0001 to 0.1 is usual")


@rule(
    "momentum",
    "A momentum that forgets nothing, or nearly all",
    "Momentum is the share of the last step that the next one keeps, mostly 0.9. Above 0.99 steps add up for hundreds "
    "of batches and training oscillates; a small one has no effect, and 1 minus it may be meant.",
    wrong='{"training": {"loss": "mse", "optimizer": {"type": "SGD", "learning_rate": 0.01, "momentum": 0.1}}}',
    right='{"training": {"loss": "mse", "optimizer": {"type": "SGD", "learning_rate": 0.01, "momentum": 0.9}}}',
)
def momentum(network: LintedNetwork) -> Iterator[Finding]:
    for path, optimizer in _optimizers(network):
        usual = optimizer.usual_momentum
        value = optimizer.momentum if usual is not None else 0.0
        if value and not usual[0] <= value <= usual[1]:
            effect = "keeps nearly all" if value > 0.5 else "keeps little"
            message = f"a momentum of {value:g} {effect} of the last step"
            yield Finding((*path, "momentum"), message, "0.9 is usual, or 0 for none")


@rule(
    "no-shuffle",
    "Training samples in the order of the file",
    "Files are often sorted, by class or by date, and then the batches of an epoch differ from each other in what they "
    "teach. Shuffling is the default.",
    wrong='{"training": {"data": {"train": "a.csv"}, "loss": "mse", "shuffle": false}}',
    right='{"training": {"data": {"train": "a.csv"}, "loss": "mse"}}',
    default=False,
)
def no_shuffle(network: LintedNetwork) -> Iterator[Finding]:
    training = network.training
    stateful = any(getattr(call.layer, "stateful", False) for call in network.calls)
    if training is not None and not training.shuffle and not stateful and training.data is not None:
        message = "the samples are not shuffled, so each batch has those that follow one another in the file"
        path = ("training", "shuffle")
        fix = remove_key(path, is_safe=False)
        yield Finding(path, message, "leave it out, unless their order matters", fix=fix)


@rule(
    "schedule-length",
    "A schedule that is longer or much shorter than the training",
    "A schedule counts steps, that is batches. If it is longer than all epochs together, the learning rate never gets "
    "where it should; if it ends in the first fifth of them, most of the training runs with its last rate.",
    wrong='{"training": {"loss": "mse", "epochs": 1, "optimizer": {"type": "Adam", "learning_rate": {"type": '
    '"CosineDecay", "initial_learning_rate": 0.001, "decay_steps": 1000000}}}}',
    right='{"training": {"loss": "mse", "epochs": 10, "optimizer": {"type": "Adam", "learning_rate": {"type": '
    '"CosineDecay", "initial_learning_rate": 0.001, "decay_steps": 1000}}}}',
    needs_data=True,
)
def schedule_length(network: LintedNetwork) -> Iterator[Finding]:
    training, samples = network.training, network.data.sample_counts.get("train")
    if training is None or not samples:
        return
    steps = training.epochs * ceil(samples / training.batch_size)
    for path, optimizer in _optimizers(network):
        rate: Any = optimizer.learning_rate
        key = rate.length_key if isinstance(rate, Schedule) else None
        if key is None:
            continue
        length = getattr(rate, key) + getattr(rate, "warmup_steps", 0)
        if length > 1.05 * steps or length < MIN_SCHEDULE_SHARE * steps:
            message = f"the schedule takes {length:,} steps, and training {steps:,}"
            help = (
                f"{samples:,} samples in batches of {training.batch_size} for {training.epochs} epochs: {steps:,} steps"
            )
            where, decay_steps = (*path, "learning_rate", key), max(steps - getattr(rate, "warmup_steps", 0), 2)
            yield Finding(where, message, help, fix=set_key(network, where, decay_steps))


@rule(
    "missing-seed",
    "A locked spec without a seed",
    "A lock file beside the spec asks for the same weights again. Without `seed` the spec depends on the default of "
    "the release that reads it: write the seed, so that the spec alone says it.",
    wrong='{"training": {"loss": "mse"}}',
    right='{"training": {"loss": "mse", "seed": 1}}',
)
def missing_seed(network: LintedNetwork) -> Iterator[Finding]:
    if network.has_lock and network.training is not None and not network.is_written(("training", "seed")):
        message = "the spec is locked, so that training can be reproduced, but it has no seed of its own"
        seed = network.training.seed
        fix = set_key(network, ("training", "seed"), seed, is_safe=True)
        yield Finding(("training",), message, f'write "seed": {seed}', fix=fix)
