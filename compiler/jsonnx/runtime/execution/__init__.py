"""The engine: graphs and variables of a training plan in onnxruntime."""
