"""Optimizers and learning rate schedules."""

from . import adafactor, adam_optimizers, multi_optimizer, muon, optimizers, schedule_free

__all__ = ["adafactor", "adam_optimizers", "multi_optimizer", "muon", "optimizers", "schedule_free"]
