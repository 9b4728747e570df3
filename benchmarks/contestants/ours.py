"""jsonnx by its public API. Lazy imports are done here, so that they do not count as memory of training."""

from __future__ import annotations

from itertools import islice

import jsonnx
import jsonnx.pipeline.train.trainer
import numpy as np
import onnxruntime  # noqa: F401

from ..materials import Materials
from ..workloads.workload import batches


class Step:
    """Training by `Trainer.step`, batch by batch."""

    def __init__(self, materials: Materials, threads: int) -> None:
        self.trainer = jsonnx.Trainer(materials.spec, weights=materials.weights, threads=threads)
        self.batches = batches(materials.x, materials.y, materials.batch)

    def proof(self, count: int) -> list[float]:
        return [self.trainer.step(x, y)["loss"] for x, y in islice(self.batches, count)]

    def steps(self, count: int) -> None:
        for x, y in islice(self.batches, count):
            self.trainer.step(x, y)


class Fit(Step):
    """Training by `Trainer.fit`, one epoch per turn."""

    def __init__(self, materials: Materials, threads: int) -> None:
        super().__init__(materials, threads)
        self.x, self.y, self.batch = materials.x, materials.y, materials.batch

    def steps(self, count: int) -> None:
        rows = count * self.batch
        if rows > len(self.x):  # once per turn length: a fit needs all its data
            self.x, self.y = (np.concatenate([a] * -(-rows // len(a))) for a in (self.x, self.y))
        self.trainer.fit(self.x[:rows], self.y[:rows], batch_size=self.batch, epochs=1, shuffle=False, verbose=0)
