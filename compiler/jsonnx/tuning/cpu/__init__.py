"""Rewrites for the CPU execution provider of onnxruntime."""
