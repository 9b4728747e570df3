"""The JSON Schemas of RUN folders and of `jsonnx.lock`."""

from __future__ import annotations

import json
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NULLABLE_TEXT: Schema = {"type": ["string", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
HASH: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
NULLABLE_HASH: Schema = {"anyOf": [HASH, {"type": "null"}]}
TIME: Schema = {"type": "string", "format": "date-time"}
FIGURE: Schema = {"$ref": "#/$defs/figure"}
FIGURES: Schema = {"type": "object", "additionalProperties": FIGURE}


MAX_THREADS = 4096
"""Threads in a record; a machine with fewer CPUs may not accept as many."""


def _described(description: str, schema: Schema) -> Schema:
    return {"description": description, **schema}


def _object(properties: Schema, optional: tuple[str, ...] = (), **further: Any) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False, **further}


DEFINITIONS: Schema = {
    "figure": {
        "description": "A loss or metric: a number, null for NaN and infinity, or nested lists of them",
        "anyOf": [{"type": ["number", "null"]}, {"type": "array", "items": FIGURE}],
    }
}

INPUTS: Schema = {
    "spec_sha256": _described(
        "SHA-256 of the spec with its overrides, as JSON without spaces and line ends, in UTF-8", HASH
    ),
    "scale": _described("The scale of `--scale`", NULLABLE_TEXT),
    "set": _described("The overrides of `--set`", {"type": "array", "items": TEXT}),
    "seed": _described("The seed", COUNT),
    "provider": _described("The execution provider", TEXT),
    "provider_options": _described(
        "Its options that differ from the defaults of jsonnx, such as `use_tf32=1`", {"type": "array", "items": TEXT}
    ),
    "initial_weights": _described("SHA-256 of the initial weights that a file gave; null: drawn", NULLABLE_HASH),
    "data": _described(
        "The samples by part: `train`, `validation`, `test`",
        {
            "type": "object",
            "additionalProperties": _object(
                {
                    "samples": _described("The number of samples", COUNT),
                    "sha256": _described("SHA-256 of their values and their order", HASH),
                }
            ),
        },
    ),
}

ENVIRONMENT: Schema = {
    "threads": _described("The number of threads", {"type": "integer", "minimum": 1, "maximum": MAX_THREADS}),
    "versions": _described(
        "Versions by package: jsonnx, onnx, onnxruntime, numpy, python and the optional packages that were used",
        {"type": "object", "additionalProperties": TEXT},
    ),
    "machine": _object(
        {
            "system": _described("The operating system", TEXT),
            "processor": _described("The model of the CPU", TEXT),
            "instruction_sets": _described("Extensions of its instruction set", {"type": "array", "items": TEXT}),
        }
    ),
}

RUN_JSON = _object(
    {
        "layout": _described("The version of this layout", {"const": 2}),
        "spec": _described("The name of the spec's file", TEXT),
        "name": _described("The name of the network", TEXT),
        "state": _described(
            "A run whose process was killed is still `running` here",
            {"enum": ["running", "finished", "interrupted", "diverged"]},
        ),
        **INPUTS,
        "parameters": _described("The values of the spec's parameters", {"type": "object"}),
        "monitor": _described(
            "The monitored figure, or else the loss, and whether lower or higher values are better",
            _object({"figure": TEXT, "mode": {"enum": ["min", "max"]}}),
        ),
        "epochs": _described("The number of complete epochs", COUNT),
        "figures": _described("Losses and metrics of the last epoch", FIGURES),
        "best": _described(
            "The best value of the monitored figure, and its epoch, counted from 1",
            {
                "anyOf": [
                    _object({"figure": TEXT, "value": {"type": "number"}, "epoch": {"type": "integer", "minimum": 1}}),
                    {"type": "null"},
                ]
            },
        ),
        "test": _described("Losses and metrics on the spec's test data", {"anyOf": [FIGURES, {"type": "null"}]}),
        "sha256": _described(
            "SHA-256 of the files of the trained weights and the model",
            _object({"weights.safetensors": HASH, "model.onnx": HASH}),
        ),
        "evaluations": _described(
            "Losses and metrics of `jsonnx evaluate RUN --data FILE`, by file",
            {"type": "object", "additionalProperties": FIGURES},
        ),
    },
    optional=("provider_options", "epochs", "figures", "best", "test", "sha256", "evaluations"),
)

EXECUTION_JSON = _object(
    {
        "data_folder": _described("The folder of the spec's file, relative to the RUN folder", TEXT),
        "data_files": _described(
            "The files of `--data` (`train`) and `--validation-data` (`validation`), relative to the RUN folder",
            {"type": "object", "additionalProperties": TEXT},
        ),
        "started": _described("The time of the start, in UTC", TIME),
        "ended": _described("The time of the end, in UTC; null until then", {"anyOf": [TIME, {"type": "null"}]}),
        "seconds": _described("The duration in seconds, of all parts of a resumed run together", {"type": "number"}),
        **ENVIRONMENT,
        "git_revision": _described("The commit of the spec's repository; files may differ from it", NULLABLE_TEXT),
    },
    optional=("data_files",),
)


def run_schema() -> Schema:
    """The schema of a RUN folder as one object: its files by name, those of lines as lists."""
    metrics = {"type": "object", "properties": {"epoch": COUNT}, "required": ["epoch"], "additionalProperties": FIGURE}
    steps = {
        "type": "object",
        "properties": {"step": {"type": "integer", "minimum": 1}, "epoch": COUNT},
        "required": ["step", "epoch"],
        "additionalProperties": {"type": ["number", "null"]},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "RUN folder of jsonnx, layout 2",
        "description": "The JSON files of a RUN folder by name; a file of lines is the list of its lines",
        **_object(
            {
                "run.json": _described("What the run was made from, and its results", RUN_JSON),
                "execution.json": _described("When, where and with what it ran", EXECUTION_JSON),
                "spec.json": _described("The spec as it was trained", {"type": "object"}),
                "spec.expanded.json": _described("The same without blocks and expressions", {"type": "object"}),
                "metrics.jsonl": _described("Figures by epoch, counted from 0", {"type": "array", "items": metrics}),
                "steps.jsonl": _described(
                    "Figures by step: means over the epoch until that step, which is counted from 1 over the whole run",
                    {"type": "array", "items": steps},
                ),
            }
        ),
        "$defs": DEFINITIONS,
    }


def lock_schema() -> Schema:
    """The schema of `jsonnx.lock`."""
    weights = {"weights_sha256": _described("SHA-256 of `weights.safetensors`", HASH)}
    entry = _object({**INPUTS, **ENVIRONMENT, **weights}, optional=("provider_options",))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "jsonnx.lock, format 1",
        **_object(
            {
                "format": _described("The version of this format", {"const": 1}),
                "specs": _described(
                    "The locked runs by the name of the spec's file", {"type": "object", "additionalProperties": entry}
                ),
            }
        ),
    }


def schema_text(schema: Schema) -> str:
    """A schema as it is published."""
    return json.dumps(schema, indent=2) + "\n"
