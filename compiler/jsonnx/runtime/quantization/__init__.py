"""What quantization measures, the ranges of values and latencies, and onnxruntime's tools for it."""
