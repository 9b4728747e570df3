"""The targets that a model can be compiled for."""

PLAIN_TARGET = "cpu"
"""The target of models in their plain form: standard operators of the lowest opset that has them."""
TARGETS = (PLAIN_TARGET, "cuda", "webgpu", "directml", "coreml", "openvino")

KERNEL_TARGETS = ("cuda", "directml", "webgpu")
"""The targets of whose kernels the package has a table."""

MIN_OPSET_LIMIT, MAX_OPSET_LIMIT = 1, 100
"""The limits that a budget may set on the ONNX operator set of a model."""
