"""Trackers: programs that are not part of jsonnx and show the metrics of runs."""
