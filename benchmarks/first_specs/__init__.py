"""Compares specs of `jsonnx init` with models of scikit-learn."""
