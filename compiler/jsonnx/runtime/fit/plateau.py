"""Reduces the learning rate when a loss or metric no longer improves, by Keras' rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from .early_stopping import is_maximized

if TYPE_CHECKING:
    from ..training_plan import TrainingPlan


@dataclass
class PlateauMonitor:
    """Compares a metric of each epoch with the best so far; `rate_after` gives the learning rate that follows."""

    monitor: str
    is_maximized: bool
    factor: float = 0.1
    patience: int = 10
    min_delta: float = 1e-4
    cooldown: int = 0
    min_lr: float = 0.0
    best: float = inf
    wait: int = 0
    cooldown_left: int = 0

    def rate_after(self, metrics: Mapping[str, float], rate: float) -> float:
        """The learning rate after an epoch with these metrics; the same rate if it is not reduced."""
        if self.monitor not in metrics:  # an epoch without validation
            return rate
        metric = -metrics[self.monitor] if self.is_maximized else metrics[self.monitor]
        if self.cooldown_left > 0:
            self.cooldown_left -= 1
            self.wait = 0
        if metric < self.best - self.min_delta:
            self.best, self.wait = metric, 0
            return rate
        if self.cooldown_left > 0:
            return rate
        self.wait += 1
        if self.wait < self.patience or rate <= self.min_lr:
            return rate
        self.cooldown_left, self.wait = self.cooldown, 0
        return max(rate * self.factor, self.min_lr)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "wait": self.wait, "cooldown": self.cooldown_left}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.wait, self.cooldown_left = state["best"], state["wait"], state["cooldown"]


def plateau_monitor(plan: TrainingPlan, state: Mapping[str, Any] | None) -> PlateauMonitor | None:
    """The monitor of the spec's `reduce_on_plateau`, in the state of a resumed fit; None without that section."""
    section = plan.training.reduce_on_plateau
    if section is None:
        return None
    settings = {key: getattr(section, key) for key in section.attributes if key != "mode"}
    monitor = PlateauMonitor(is_maximized=is_maximized(plan, section.monitor, section.mode), **settings)
    if state is not None:
        monitor.load_state_dict(state)
    return monitor
