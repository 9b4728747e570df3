"""Ready callbacks for `Trainer.fit`, with Keras' names, arguments and defaults, trackers, and the base class."""

from .pipeline.tracker_callbacks import MLflow, TensorBoard, WandB
from .runtime.callback_class import Callback
from .runtime.ready_callbacks import (
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
