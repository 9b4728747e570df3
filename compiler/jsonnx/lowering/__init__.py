"""Lowers a network to a graph of ONNX operators.

In: a `TypedNetwork`. Out: a `Graph`, the cost of each layer, or diagnostics for weights that are impossible.
"""
