"""Throughput and latency of servers of one and the same ONNX model."""
