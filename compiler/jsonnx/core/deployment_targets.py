"""The targets that a model can be compiled for."""

PLAIN_TARGET = "cpu"
"""The target of models in their plain form: standard operators of the lowest opset that has them."""
TARGETS = (PLAIN_TARGET, "cuda", "webgpu", "directml", "coreml", "openvino")
