"""Keras 3 on the backend named in the environment, with the network exported by jsonnx."""

from __future__ import annotations

from itertools import islice
from typing import Any

import keras

from ..materials import Materials
from ..workloads.workload import batches


def loaded(materials: Materials, threads: int) -> Any:
    """Returns the network with its weights. The environment sets the threads of TensorFlow; JAX uses all processors of
    the process, which the worker limits."""
    if keras.backend.backend() == "torch":
        import torch

        torch.set_num_threads(threads)
    model = keras.models.model_from_json(materials.keras_config)
    model.load_weights(materials.keras_weights)
    return model


class Training:
    """Training by `train_on_batch`, with the default JIT setting of the backend."""

    def __init__(self, materials: Materials, threads: int) -> None:
        self.model = loaded(materials, threads)
        self.model.compile(
            optimizer=keras.optimizers.Adam(0.001, epsilon=1e-7),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        self.batches = batches(materials.x, materials.y, materials.batch)

    def proof(self, count: int) -> list[float]:
        """Returns the losses; metrics are reset, since `train_on_batch` returns the mean since the last reset."""
        losses = []
        for x, y in islice(self.batches, count):
            self.model.reset_metrics()
            losses.append(float(self.model.train_on_batch(x, y)))
        return losses

    def steps(self, count: int) -> None:
        for x, y in islice(self.batches, count):
            self.model.train_on_batch(x, y)


class Inference:
    """Inference by `predict_on_batch`."""

    def __init__(self, materials: Materials, threads: int) -> None:
        self.model = loaded(materials, threads)
        self.x = materials.x[: materials.batch]

    def proof(self, count: int) -> list[float]:
        return [float(value) for value in self.model.predict_on_batch(self.x)[0, :count]]

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.model.predict_on_batch(self.x)
