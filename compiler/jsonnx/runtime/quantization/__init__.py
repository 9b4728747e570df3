"""Calibration and latencies of quantized models, and onnxruntime's quantization tools."""
