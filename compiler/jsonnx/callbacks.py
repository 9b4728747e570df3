"""Ready callbacks for `Trainer.fit`, with Keras' names, arguments and defaults, trackers, and the base class."""

from .core.callback import Callback
from .pipeline.run.tracker_callbacks import MLflow, TensorBoard, WandB
from .runtime.fit.ready_callbacks import (
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "LambdaCallback",
    "LearningRateScheduler",
    "MLflow",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
    "WandB",
]
