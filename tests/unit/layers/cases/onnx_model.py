"""ONNX models as layers; the graph is in the spec, as in that of a run."""

from support.foreign_models import convolution, graph_text, perceptron

from . import Case

MODEL = {"type": "OnnxModel", "file": "model.onnx"}

CASES = [
    Case("onnx-model", {**MODEL, "graph": graph_text(perceptron())}, [(4,)]),
    Case("onnx-model-outputs", {**MODEL, "graph": graph_text(perceptron()), "outputs": {"h": "hidden"}}, [(4,)]),
    Case("onnx-model-images", {**MODEL, "graph": graph_text(convolution())}, [(2, 6, 6)]),
]
