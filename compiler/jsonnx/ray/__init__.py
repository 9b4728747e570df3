"""Ray: trainings, searches, predictions and servers on the nodes of a cluster. Ray is imported when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .ray_trainer import RayResult, RayTrainer
    from .scoring import predict
    from .serving import app
    from .trial_host import RayTrialHost

_LAZY = {
    "RayResult": "ray_trainer",
    "RayTrainer": "ray_trainer",
    "RayTrialHost": "trial_host",
    "app": "serving",
    "predict": "scoring",
}
"""Where each public name is."""


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["RayResult", "RayTrainer", "RayTrialHost", "app", "predict"]
