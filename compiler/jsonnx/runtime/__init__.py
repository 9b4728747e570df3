"""Running models: sessions, providers, data, the training loop.

Comes in: an ONNX model, or a `Plan` of graphs to train. Goes out: arrays, weights, files. The only door to onnxruntime,
which is imported when it is first needed. Imports `graph` and `backend`, whose values it is handed, `training`, `types`
and `diagnostics`. Prints nothing.
"""
