"""Warnings of `jsonnx validate` that a spec and a configuration can silence like the findings of rules."""

from __future__ import annotations

CHECK_WARNINGS = (
    "loss-activation",
    "mask-ends",
    "metric-activation",
    "no-validation-data",
    "nothing-to-restore",
    "nothing-trains",
    "partly-used-copies",
    "regression-accuracy",
    "single-class",
    "split-classes",
    "target-scale",
    "unknown-figure",
    "unused-block",
    "unused-parameter",
    "untrained-layers",
    "validation-classes",
)
"""Their codes. An error of the same code is never silenced."""

DATA_WARNINGS = ("single-class", "split-classes", "target-scale", "validation-classes")
"""Those of them that are found in the data."""
