"""The JSON Schema of what `jsonnx diff --format json` prints."""

from __future__ import annotations

from .schema_parts import COUNT, NULLABLE_TEXT, TEXT, Schema, closed_object, described

FLAG: Schema = {"type": "boolean"}
NAMES: Schema = {"type": "array", "items": TEXT}
CHANGE: Schema = closed_object({"old": {}, "new": {}})
CHANGES: Schema = {"type": "object", "additionalProperties": CHANGE}
NULLABLE_COUNT: Schema = {"anyOf": [COUNT, {"type": "null"}]}
COUNTS: Schema = closed_object({"old": NULLABLE_COUNT, "new": NULLABLE_COUNT})

SIGNATURE_CHANGE = closed_object(
    {
        "part": {"enum": ["model", "input", "output", "labels"]},
        "name": TEXT,
        "message": TEXT,
        "breaks": described("Whether programs that run the old model must be changed", FLAG),
    }
)

LAYER_CHANGE = closed_object(
    {
        "change": {"enum": ["added", "removed", "changed"]},
        "old": described("Its old name; null if it was added", NULLABLE_TEXT),
        "new": described("Its new name; null if it was removed", NULLABLE_TEXT),
        "type": CHANGE,
        "arguments": described("Arguments by dotted name; those of an added layer that differ from defaults", CHANGES),
        "from": described("What it reads; null if that is the same", {"anyOf": [CHANGE, {"type": "null"}]}),
        "weights_of": described(
            "The layer whose weights it uses; null if that is the same", {"anyOf": [CHANGE, {"type": "null"}]}
        ),
        "outputs": described("The types of its results", CHANGE),
        "parameters": COUNTS,
        "multiply_adds": COUNTS,
    }
)

WEIGHTS = closed_object(
    {
        "fit": described("Weights with the same name and shape: `--partial` loads these", NAMES),
        "renamed": described(
            "Old names by new ones, of weights whose layer was renamed",
            {"type": "object", "additionalProperties": TEXT},
        ),
        "reshaped": described("Shapes by name, of weights with another shape", CHANGES),
        "missing": described("Weights that no old one fits", NAMES),
        "unused": described("Old weights that the new network does not have", NAMES),
        "load": described("Whether a file of the old weights loads as it is", FLAG),
    }
)

DIFFERENCES = closed_object(
    {
        "breaks": described("Whether the signature breaks", FLAG),
        "same": described("Whether there is no difference in meaning", FLAG),
        "signature": {"type": "array", "items": SIGNATURE_CHANGE},
        "layers": {"type": "array", "items": LAYER_CHANGE},
        "training": described("Changes of the training section, by dotted key", CHANGES),
        "weights": WEIGHTS,
        "parameters": COUNTS,
        "multiply_adds": described("For one sample; null if a size is symbolic", COUNTS),
        "activation_bytes": described("The peak memory of the layers' values; null if a size is symbolic", COUNTS),
        "budget": described("Changes of the budget, by key", CHANGES),
    }
)

SPEC = closed_object(
    {
        "file": TEXT,
        "old_file": described("The old version, such as git:main:spec.json; null for a new spec", NULLABLE_TEXT),
        "state": {"enum": ["unchanged", "changed", "new", "deleted", "invalid", "invalid-before"]},
        "renamed": described("Whether the old version has another path", FLAG),
        "breaks_signature": described("Whether programs that run the old model must be changed", FLAG),
        "breaks_weights": described("Whether a file of the old weights no longer loads", FLAG),
        "differences": described(
            "Null if there is only one version, one of them is invalid, or both have the same values",
            {"anyOf": [{"$ref": "#/$defs/differences"}, {"type": "null"}]},
        ),
        "errors": described(
            "The errors of an invalid version, as `jsonnx validate --format json` prints them",
            {"type": "array", "items": {"type": "object", "required": ["code", "message", "path"]}},
        ),
    }
)


def diff_schema() -> Schema:
    """The schema of a comparison with a revision, and of a comparison of two files."""
    revision = closed_object(
        {
            "against": described("The revision as it was named", TEXT),
            "commit": described("The commit; null if the specs lie in several repositories", NULLABLE_TEXT),
            "breaks_signature": FLAG,
            "breaks_weights": FLAG,
            "specs": {"type": "array", "items": SPEC},
        }
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Output of jsonnx diff",
        "description": "With --against, an object of specs; without, the differences of two networks",
        "anyOf": [revision, {"$ref": "#/$defs/differences"}],
        "$defs": {"differences": DIFFERENCES},
    }
