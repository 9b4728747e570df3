"""Serves an ONNX file with LitServe, at the path and in the form of the Open Inference Protocol.

litserve_server.py MODEL PORT MAX_BATCH_SIZE WORKERS
"""

from __future__ import annotations

import sys

import litserve
import numpy as np
import onnxruntime

DTYPES = {"FP32": np.float32, "INT32": np.int32, "BYTES": object}


class OnnxApi(litserve.LitAPI):
    """Runs an ONNX file in onnxruntime, with one thread per run."""

    def __init__(self, path: str, max_batch_size: int) -> None:
        super().__init__(max_batch_size=max_batch_size, batch_timeout=0.002, api_path="/v2/models/model/infer")
        self._path = path

    def setup(self, device: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(self._path, options, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]

    def decode_request(self, request: dict) -> dict[str, np.ndarray]:
        return {
            item["name"]: np.array(item["data"], DTYPES[item["datatype"]]).reshape(item["shape"])
            for item in request["inputs"]
        }

    def batch(self, inputs: list[dict[str, np.ndarray]]) -> tuple[dict[str, np.ndarray], list[int]]:
        stacked = {name: np.concatenate([item[name] for item in inputs]) for name in inputs[0]}
        return stacked, [len(next(iter(item.values()))) for item in inputs]

    def predict(self, x: dict[str, np.ndarray] | tuple[dict[str, np.ndarray], list[int]]) -> object:
        if isinstance(x, tuple):
            return self._session.run(self._outputs, x[0]), x[1]
        return self._session.run(self._outputs, x)

    def unbatch(self, output: tuple[list[np.ndarray], list[int]]) -> list[list[np.ndarray]]:
        arrays, sizes = output
        parts, start = [], 0
        for size in sizes:
            parts.append([array[start : start + size] for array in arrays])
            start += size
        return parts

    def encode_response(self, output: list[np.ndarray]) -> dict:
        outputs = [
            {"name": name, "shape": list(array.shape), "datatype": "FP32", "data": array.ravel().tolist()}
            for name, array in zip(self._outputs, output, strict=True)
        ]
        return {"model_name": "model", "outputs": outputs}


if __name__ == "__main__":
    model, port, max_batch_size, workers = sys.argv[1], *map(int, sys.argv[2:])
    server = litserve.LitServer(
        OnnxApi(model, max_batch_size), accelerator="cpu", workers_per_device=workers, track_requests=False
    )
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="warning", access_log=False)
