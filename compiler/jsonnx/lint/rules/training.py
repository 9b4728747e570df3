"""Rules on the optimizer, its schedule, and when training stops."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Any

from ...core.diagnostics import JsonPath
from ...core.fixes import remove_key
from ...core.reserved_names import is_validation_name
from ...sections.monitor import spec_has_validation
from ...training.optimizers.relative_steps import ALL, TrainingLength
from ...training.optimizers.schedules import Schedule
from ..fixes import set_key
from ..linted_network import LintedNetwork
from ..rule import Finding, rule

MAX_PENALTY = 0.1
MIN_SCHEDULE_SHARE = 0.2
"""Minimum share of the training that a schedule with an end covers."""


def _optimizers(network: LintedNetwork) -> Iterator[tuple[JsonPath, Any]]:
    """The optimizers with their paths."""
    if network.training is not None:
        for place, optimizer in network.training.optimizer.located_optimizers():
            yield ("training", "optimizer", *place), optimizer


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


@rule("learning-rate")
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


@rule("patience-exceeds-epochs")
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


@rule("plateau-patience")
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


@rule("monitors-training-loss")
def monitors_training_loss(network: LintedNetwork) -> Iterator[Finding]:
    training = network.training
    if training is None or not spec_has_validation(training):
        return
    for key in ("early_stopping", "checkpoint"):
        section: Any = getattr(training, key)
        monitor = section.monitor if section is not None else None
        if monitor is not None and not is_validation_name(monitor):
            message = f"{monitor!r} is monitored, a metric of the training data"
            path = ("training", key, "monitor")
            fix = set_key(network, path, f"val_{monitor}")
            yield Finding(path, message, f"monitor 'val_{monitor}'", fix=fix)


@rule("no-validation", default=False)
def no_validation(network: LintedNetwork) -> Iterator[Finding]:
    training = network.training
    if training is not None and training.epochs > 1 and spec_has_validation(training) is False:
        message = f"training has {training.epochs} epochs, and no validation data"
        fix = set_key(network, ("training", "data", "validation_split"), 0.1)
        yield Finding(("training", "data"), message, 'write "validation_split": 0.1', fix=fix)


@rule("penalty-strength")
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


@rule("penalty-with-adam", default=False)
def penalty_with_adam(network: LintedNetwork) -> Iterator[Finding]:
    training = network.training
    if training is None or not any(optimizer.rescales_penalties for _, optimizer in _optimizers(network)):
        return
    for call in network.calls:
        regularizer: Any = getattr(call.layer, "kernel_regularizer", None)
        if regularizer is not None and getattr(regularizer, "l2", 0.0) > 0 and call.name == call.owner:
            message = f"the optimizer divides the gradient of the penalty of {call.name!r} by its size"
            yield Finding((*call.path, "kernel_regularizer"), message, "use `weight_decay` of AdamW")


@rule("weight-decay-strength")
def weight_decay_strength(network: LintedNetwork) -> Iterator[Finding]:
    for path, optimizer in _optimizers(network):
        decay = optimizer.weight_decay
        if decay and decay > optimizer.max_usual_weight_decay:
            message = f"a weight decay of {decay:g} outweighs the gradients"
            yield Finding((*path, "weight_decay"), message, "0.0001 to 0.1 is usual")


@rule("momentum")
def momentum(network: LintedNetwork) -> Iterator[Finding]:
    for path, optimizer in _optimizers(network):
        usual = optimizer.usual_momentum
        value = optimizer.momentum if usual is not None else 0.0
        if value and not usual[0] <= value <= usual[1]:
            effect = "keeps nearly all" if value > 0.5 else "keeps little"
            message = f"a momentum of {value:g} {effect} of the last step"
            yield Finding((*path, "momentum"), message, "0.9 is usual, or 0 for none")


@rule("no-shuffle", default=False)
def no_shuffle(network: LintedNetwork) -> Iterator[Finding]:
    training = network.training
    stateful = any(getattr(call.layer, "stateful", False) for call in network.calls)
    if training is not None and not training.shuffle and not stateful and training.data is not None:
        message = "the samples are not shuffled, so each batch has those that follow one another in the file"
        path = ("training", "shuffle")
        fix = remove_key(path, is_safe=False)
        yield Finding(path, message, "leave it out, unless their order matters", fix=fix)


@rule("schedule-length", needs_data=True)
def schedule_length(network: LintedNetwork) -> Iterator[Finding]:
    training, samples = network.training, network.data.sample_counts.get("train")
    if training is None or not samples:
        return
    training_length = TrainingLength(ceil(samples / training.batch_size), training.epochs)
    steps = training_length.steps
    for path, optimizer in _optimizers(network):
        rate: Any = optimizer.learning_rate
        key = rate.length_key if isinstance(rate, Schedule) else None
        if key is None:
            continue
        known = vars(rate) | {name: value.steps_in(training_length) for name, value in rate.relative_steps.items()}
        warmup = known.get("warmup_steps", 0)
        if key in rate.relative_steps and rate.relative_steps[key].is_all:
            continue
        length = known[key] + warmup
        if length > 1.05 * steps or length < MIN_SCHEDULE_SHARE * steps:
            message = f"the schedule takes {length:,} steps, and training {steps:,}"
            help = (
                f"{samples:,} samples in batches of {training.batch_size} for {training.epochs} epochs: {steps:,} "
                'steps; "all" stands for them'
            )
            where = (*path, "learning_rate", key)
            yield Finding(where, message, help, fix=set_key(network, where, ALL))


@rule("missing-seed")
def missing_seed(network: LintedNetwork) -> Iterator[Finding]:
    if network.has_lock and network.training is not None and not network.is_written(("training", "seed")):
        message = "the spec is locked, so that training can be reproduced, but it has no seed of its own"
        seed = network.training.seed
        fix = set_key(network, ("training", "seed"), seed, is_safe=True)
        yield Finding(("training",), message, f'write "seed": {seed}', fix=fix)
