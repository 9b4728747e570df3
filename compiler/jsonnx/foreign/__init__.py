"""ONNX files of other programs as parts of a network: a file becomes a graph of our operator set without weights, which
is emitted into a builder."""
