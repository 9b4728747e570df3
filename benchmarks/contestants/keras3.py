"""Keras 3, on whichever backend the environment names; the network is the one that our exporter writes."""

from __future__ import annotations

import os
from itertools import islice

from ..materials import Materials
from ..workloads.workload import batches


def limit(threads: int) -> None:
    """Have the backend use so many threads. JAX takes as many as there are processors, which the worker limits."""
    backend = os.environ["KERAS_BACKEND"]
    if backend == "tensorflow":
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(threads)
    elif backend == "torch":
        import torch

        torch.set_num_threads(threads)


class Batches:
    """`train_on_batch`, jitted where the backend does so by default."""

    def __init__(self, materials: Materials, threads: int) -> None:
        limit(threads)
        import keras

        self.model = keras.models.model_from_json(materials.keras_config)
        self.model.load_weights(materials.keras_weights)
        self.model.compile(
            optimizer=keras.optimizers.Adam(0.001, epsilon=1e-7),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        self.batches = batches(materials.x, materials.y, materials.batch)

    def losses(self, count: int) -> list[float]:
        """What `train_on_batch` tells is the mean since the last reset."""
        found = []
        for x, y in islice(self.batches, count):
            self.model.reset_metrics()
            found.append(float(self.model.train_on_batch(x, y)))
        return found

    def steps(self, count: int) -> None:
        for x, y in islice(self.batches, count):
            self.model.train_on_batch(x, y)
