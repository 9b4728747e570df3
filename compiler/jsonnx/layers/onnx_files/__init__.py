"""ONNX files of other programs as layers."""
