"""Static analysis of a network, before any operator is emitted.

In: a `Network`. Out: a `TypedNetwork`, with the type and the mask of every value, the objective of the training, or
diagnostics. Imports neither NumPy nor onnx.
"""
