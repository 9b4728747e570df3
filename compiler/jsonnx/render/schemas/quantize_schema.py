"""The JSON Schema of what `jsonnx quantize --format json` prints."""

from __future__ import annotations

from .schema_parts import COUNT, NULLABLE_TEXT, TEXT, Schema, closed_object, described

FLAG: Schema = {"type": "boolean"}
NULLABLE_NUMBER: Schema = {"type": ["number", "null"]}
FILES: Schema = {"type": "array", "items": TEXT}


def _by_name(schema: Schema, description: str) -> Schema:
    return {"type": "object", "additionalProperties": schema, "description": description}


METRICS = _by_name(
    closed_object(
        {
            "float": {"type": ["number", "array", "null"]},
            "quantized": {"type": ["number", "array", "null"]},
            "difference": described("Quantized minus float; null for lists, and for NaN", NULLABLE_NUMBER),
        }
    ),
    "Loss and metrics by name",
)
OUTPUTS = _by_name(
    closed_object({"max_difference": NULLABLE_NUMBER, "mean_difference": NULLABLE_NUMBER}),
    "Absolute differences of the elements, by output",
)
VARIANT: Schema = described(
    "The variant, as in a spec",
    {"type": "object", "properties": {"precision": TEXT}, "required": ["precision"]},
)
DATA: Schema = {
    "anyOf": [
        closed_object({"split": NULLABLE_TEXT, "fold": COUNT, "files": FILES, "samples": COUNT}, optional=("fold",)),
        {"type": "null"},
    ]
}
TOLERANCE: Schema = {
    "anyOf": [
        closed_object(
            {
                "limits": _by_name({"type": "number", "minimum": 0}, "How much worse the model may be, by name"),
                "is_default": described("Whether the limits are the default: 1 % of the first metric", FLAG),
            }
        ),
        {"type": "null"},
    ]
}
BYTES = closed_object({"float": COUNT, "quantized": COUNT})
LATENCY = closed_object({"float": {"type": "number"}, "quantized": {"type": "number"}})
LAYER = closed_object({"layer": TEXT, "signal_to_noise_db": NULLABLE_NUMBER})
ATTEMPT = closed_object(
    {
        "change": described("The difference from the best attempt before; null for the first", NULLABLE_TEXT),
        "variant": VARIANT,
        "passes": described("Whether it is within the tolerance", FLAG),
        "losses": _by_name(NULLABLE_NUMBER, "How much worse it is, by the names of the limits"),
        "metrics": METRICS,
        "outputs": OUTPUTS,
    }
)


def quantize_schema() -> Schema:
    """The schema of the report on a quantized model."""
    report = closed_object(
        {
            "file": described("The file that was written", TEXT),
            "variant": VARIANT,
            "checked": described("Whether the model was compared with the float model", FLAG),
            "data": described("The data on which the models were compared", DATA),
            "calibration": described("The data on which the ranges of activations were measured", DATA),
            "tolerance": described("Null without a tolerance", TOLERANCE),
            "metrics": METRICS,
            "outputs": OUTPUTS,
            "bytes": BYTES,
            "latency_ms": _by_name(LATENCY, "Median milliseconds of a run, by the number of samples"),
            "layers": described("The layers with the lowest signal-to-noise ratios", {"type": "array", "items": LAYER}),
            "attempts": {"type": "array", "items": ATTEMPT},
            "notes": {"type": "array", "items": TEXT},
        }
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Output of jsonnx quantize",
        **report,
    }
