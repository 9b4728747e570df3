"""Checks the arguments of a fit."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np

from ..sections.training_section import Training


@dataclass(frozen=True)
class FitSettings:
    """How a fit runs, whatever its data are."""

    batch_size: int
    epochs: int
    shuffle: bool
    initial_epoch: int = 0
    """The epochs that count as done before the first one."""
    steps_per_epoch: int | None = None
    """The steps of an epoch; None: one pass over the samples. The next epoch goes on where the last one ended."""
    validation_freq: int | frozenset[int] = 1
    """The epochs that end with a validation: an interval, or the epochs themselves, counted from 1."""

    @property
    def fixed(self) -> dict[str, Any]:
        """The settings that may not change when a fit is resumed, as in a checkpoint."""
        freq = self.validation_freq
        return {
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "steps_per_epoch": self.steps_per_epoch,
            "validation_freq": sorted(freq) if isinstance(freq, frozenset) else freq if freq != 1 else None,
        }

    def validates_after(self, epoch: int) -> bool:
        """Whether the validation data are measured after an epoch, counted from 0."""
        freq = self.validation_freq
        return epoch + 1 in freq if isinstance(freq, frozenset) else (epoch + 1) % freq == 0


def fit_settings(
    training: Training,
    batch_size: int | None = None,
    epochs: int | None = None,
    shuffle: bool | None = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_freq: Any = 1,
) -> FitSettings:
    """The settings that arguments of a fit give; None stands for the spec's. Raises TypeError, ValueError."""
    return FitSettings(
        training.batch_size if batch_size is None else require_integer("batch_size", batch_size, minimum=1),
        training.epochs if epochs is None else require_integer("epochs", epochs, minimum=0),
        training.shuffle if shuffle is None else require_bool("shuffle", shuffle),
        require_integer("initial_epoch", initial_epoch, minimum=0),
        None if steps_per_epoch is None else require_integer("steps_per_epoch", steps_per_epoch, minimum=1),
        require_frequency(validation_freq),
    )


def require_integer(name: str, value: Any, minimum: int) -> int:
    """The value as an integer. Raises TypeError, ValueError."""
    try:
        number = index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if number < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {number}")
    return number


def require_frequency(value: Any) -> int | frozenset[int]:
    """A `validation_freq`: a number of epochs, or the epochs themselves, counted from 1."""
    if isinstance(value, Collection) and not isinstance(value, (str, bytes)):
        return frozenset(require_integer("an epoch of validation_freq", epoch, minimum=1) for epoch in value)
    return require_integer("validation_freq", value, minimum=1)


def require_rate(value: Any) -> float:
    try:
        rate = float("" if isinstance(value, (bool, str)) else value)
    except (TypeError, ValueError):
        raise TypeError(f"learning_rate must be a number, got {value!r}") from None
    if not 0.0 < rate <= float(np.finfo(np.float32).max):
        raise ValueError(f"learning_rate must be positive and finite, got {rate}")
    return rate


def require_fraction(name: str, value: Any) -> float:
    """The value as a number from 0 to below 1. Raises TypeError, ValueError."""
    try:
        fraction = float("" if isinstance(value, (bool, str)) else value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None
    if not 0.0 <= fraction < 1.0:
        raise ValueError(f"{name} must be at least 0 and below 1, got {fraction}")
    return fraction


def require_bool(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)
