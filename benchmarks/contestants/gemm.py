"""The peak performance of the machine: a product of two matrices of 1024 x 1024 in onnxruntime."""

from __future__ import annotations

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from ..materials import Materials

SIZE = 1024
GFLOP = 2 * SIZE**3 / 1e9
"""GFLOP of one product."""


class Product:
    """One matrix product per step."""

    def __init__(self, materials: Materials, threads: int) -> None:
        a, b, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [SIZE, SIZE]) for name in "aby")
        graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["y"])], "gemm", [a, b], [y])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        rng = np.random.default_rng(1)
        self.feeds = {name: rng.standard_normal((SIZE, SIZE), np.float32) for name in "ab"}

    def proof(self, count: int) -> list[float]:
        return []

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.session.run(None, self.feeds)
