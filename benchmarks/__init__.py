"""Benchmarks of jsonnx and its peers, measured alternately on one machine."""
