"""The use cases: one file for each request of a user.

Each function connects the stages: text, network, types, graph, training step, ONNX model, run. The command line and the
public API call this room.
"""
