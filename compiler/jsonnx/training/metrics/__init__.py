"""Metrics."""

from . import class_metrics, curve_metrics, metrics, regression_metrics, threshold_metrics

__all__ = ["class_metrics", "curve_metrics", "metrics", "regression_metrics", "threshold_metrics"]
