"""ONNX files exported by several routes, in the same onnxruntime with the same options."""

from __future__ import annotations

import subprocess
import sys

import onnxruntime

from ..materials import Materials


class File:
    """A session of the file exported by a route, in a process that ends before the measurement."""

    route: str

    def __init__(self, materials: Materials, threads: int) -> None:
        path = materials.folder / f"{self.route}.onnx"
        command = [sys.executable, "-m", "benchmarks.exports", self.route, str(materials.folder), str(path)]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            raise RuntimeError(f"the export failed: {' / '.join(result.stderr.strip().splitlines()[-3:])}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.feeds = self._feeds(materials)

    def _feeds(self, materials: Materials) -> dict[str, object]:
        """Returns the first batch, channels first for PyTorch."""
        (model_input,) = self.session.get_inputs()
        x = materials.channels_first() if self.route == "torch" else materials.x
        return {model_input.name: x[: materials.batch]}

    def proof(self, count: int) -> list[float]:
        return [float(value) for value in self.session.run(None, self.feeds)[0][0, :count]]

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.session.run(None, self.feeds)


class Ours(File):
    route = "jsonnx"


class FromTensorFlow(File):
    route = "keras-tensorflow"


class FromKerasTorch(File):
    route = "keras-torch"


class FromTorch(File):
    route = "torch"
