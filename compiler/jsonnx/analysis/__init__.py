"""Static analysis of a network, before any operator is emitted.

In: a `Network`. Out: a `TypedNetwork`, with a type on every edge, the masks, losses and metrics of each output, or
diagnostics. Imports neither NumPy nor onnx.
"""
