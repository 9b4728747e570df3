"""The trackers that a spec may name; they only get metrics, and change nothing that is trained."""

from __future__ import annotations

from typing import Literal

from ..core.components import Component, Registry, attr

TRACKERS = Registry("tracker", "A program that shows the metrics of runs while they are trained.")


class Tracker(Component):
    registry = TRACKERS


@TRACKERS.register()
class Tensorboard(Tracker):
    """Writes event files for TensorBoard to the folder `tensorboard` of the RUN folder."""

    keras_name = "keras.callbacks.TensorBoard"


@TRACKERS.register()
class Mlflow(Tracker):
    """Writes parameters, metrics and the spec to the MLflow store of `MLFLOW_TRACKING_URI`, by default `mlflow.db`."""

    experiment: str | None = attr(
        None, doc="Experiment that the run belongs to; if null, `MLFLOW_EXPERIMENT_NAME` or MLflow's `Default`."
    )


@TRACKERS.register()
class Wandb(Tracker):
    """Writes a run of Weights & Biases to the folder `wandb` of the RUN folder, for `wandb sync`."""

    project: str | None = attr(None, doc="Project that the run belongs to; if null, `WANDB_PROJECT` or the default.")
    mode: Literal["offline", "online"] = attr(
        "offline", doc="Whether the run stays in the folder, or is also sent to the server that `wandb login` named."
    )
