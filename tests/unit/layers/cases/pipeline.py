"""Pipelines of layers."""

from . import Case

RESCALING = {"type": "Rescaling", "scale": 0.5}
RESIZING = {"type": "Resizing", "height": 3, "width": 4}

CASES = [
    Case("pipeline", {"type": "Pipeline", "layers": [RESCALING, RESIZING, RESCALING]}, [(5, 6, 2)]),
    Case("pipeline-integers", {"type": "Pipeline", "layers": [RESCALING, {"type": "Flatten"}]}, [(3, 2)], integers=9),
    Case(
        "pipeline-augments",
        {"type": "Pipeline", "layers": [{"type": "RandomFlip"}, {"type": "RandomInvert"}]},
        [(5, 6, 2)],
    ),
]
