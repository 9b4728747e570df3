"""The JSON Schemas of RUN folders and of `jsonnx.lock`."""

from __future__ import annotations

from ...core.training_options import RunKey, TrainingOption, recorded_options
from .schema_parts import COUNT, NULLABLE_TEXT, TEXT, Schema, closed_object, described

HASH: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
NULLABLE_HASH: Schema = {"anyOf": [HASH, {"type": "null"}]}
TIME: Schema = {"type": "string", "format": "date-time"}
METRIC: Schema = {"$ref": "#/$defs/figure"}
METRICS: Schema = {"type": "object", "additionalProperties": METRIC}


DEFINITIONS: Schema = {
    "figure": {
        "description": "A loss or metric: a number, null for NaN and infinity, or nested lists of them",
        "anyOf": [{"type": ["number", "null"]}, {"type": "array", "items": METRIC}],
    }
}


def _options(*, is_environment: bool) -> Schema:
    """The schemas of the options of training that a run records, by their keys."""
    return {
        run_key.name: described(run_key.description, _option_value(option, run_key))
        for option, run_key in recorded_options()
        if run_key.is_environment == is_environment
    }


def _option_value(option: TrainingOption, run_key: RunKey) -> Schema:
    """The schema of a recorded value, which is null for an option without a value."""
    record = option.record
    if record.kind in ("texts", "folders", "assignments"):
        return {"type": "array", "items": TEXT}
    if record.kind == "flag":
        return {"type": "boolean"}
    type_ = "integer" if record.kind in ("integer", "fold") else "string"
    is_nullable = option.default is None and not run_key.is_resolved
    schema: Schema = {"type": [type_, "null"] if is_nullable else type_}
    if type_ == "integer":
        schema |= {"minimum": record.minimum} | ({"maximum": run_key.maximum} if run_key.maximum else {})
    return schema


OPTIONAL_INPUTS = (
    *("schedule_steps", "vectors", "teacher"),
    *(key.name for _, key in recorded_options() if not key.is_in_every_run),
)

INPUTS: Schema = {
    "spec_sha256": described(
        "SHA-256 of the spec with its overrides, as JSON without spaces and line ends, in UTF-8", HASH
    ),
    **_options(is_environment=False),
    "schedule_steps": described(
        "Numbers of steps of learning rate schedules that the data and epochs gave, by attribute",
        {"type": "object", "additionalProperties": COUNT},
    ),
    "initial_weights": described(
        "SHA-256 of the initial weights that a file, an array or an earlier fit gave; null: drawn", NULLABLE_HASH
    ),
    "vectors": described(
        "SHA-256 of files of word vectors, by their names", {"type": "object", "additionalProperties": HASH}
    ),
    "teacher": described("SHA-256 of the model whose outputs the network has learned from", HASH),
    "data": described(
        "The samples by part: `train`, `validation`, `test`",
        {
            "type": "object",
            "additionalProperties": closed_object(
                {
                    "samples": described("The number of samples", COUNT),
                    "sha256": described("SHA-256 of their values and their order", HASH),
                }
            ),
        },
    ),
}

ENVIRONMENT: Schema = {
    **_options(is_environment=True),
    "versions": described(
        "Versions by package: jsonnx, onnx, onnxruntime, numpy, python and the optional packages that were used",
        {"type": "object", "additionalProperties": TEXT},
    ),
    "machine": closed_object(
        {
            "system": described("The operating system", TEXT),
            "processor": described("The model of the CPU", TEXT),
            "instruction_sets": described("Extensions of its instruction set", {"type": "array", "items": TEXT}),
        }
    ),
}

RUN_JSON = closed_object(
    {
        "layout": described("The version of this layout", {"const": 2}),
        "spec": described("The name of the spec's file", TEXT),
        "name": described("The name of the network", TEXT),
        "state": described(
            "A run whose process was killed is still `running` here",
            {"enum": ["running", "finished", "interrupted", "diverged"]},
        ),
        **INPUTS,
        "fit_arguments": described(
            "Arguments of `Trainer.fit` that a spec has no keys for; of `sample_weight`, the SHA-256",
            {"type": "object"},
        ),
        "parameters": described("The values of the spec's parameters", {"type": "object"}),
        "monitor": described(
            "The monitored metric, or else the loss, and whether lower or higher values are better",
            closed_object({"figure": TEXT, "mode": {"enum": ["min", "max"]}}),
        ),
        "epochs": described("The number of complete epochs", COUNT),
        "figures": described("Losses and metrics of the last epoch", METRICS),
        "best": described(
            "The best value of the monitored metric, and its epoch, counted from 1",
            {
                "anyOf": [
                    closed_object(
                        {"figure": TEXT, "value": {"type": "number"}, "epoch": {"type": "integer", "minimum": 1}}
                    ),
                    {"type": "null"},
                ]
            },
        ),
        "test": described("Losses and metrics on the spec's test data", {"anyOf": [METRICS, {"type": "null"}]}),
        "sha256": described(
            "SHA-256 of the files of the trained weights and the model",
            closed_object({"weights.safetensors": HASH, "model.onnx": HASH}),
        ),
        "evaluations": described(
            "Losses and metrics of `jsonnx evaluate RUN --data FILE`, by file",
            {"type": "object", "additionalProperties": METRICS},
        ),
    },
    optional=(*OPTIONAL_INPUTS, "fit_arguments", "epochs", "figures", "best", "test", "sha256", "evaluations"),
)

EXECUTION_JSON = closed_object(
    {
        "data_folder": described("The folder of the spec's file, relative to the RUN folder", TEXT),
        "data_files": described(
            "The files of `--data` (`train`) and `--validation-data` (`validation`), relative to the RUN folder",
            {
                "type": "object",
                "additionalProperties": {"anyOf": [TEXT, {"type": "object", "additionalProperties": TEXT}]},
            },
        ),
        "arrays": described(
            "The parts of the data that a program gave to `Trainer.fit` as arrays, which no file has",
            {"type": "array", "items": TEXT},
        ),
        "started": described("The time of the start, in UTC", TIME),
        "ended": described("The time of the end, in UTC; null until then", {"anyOf": [TIME, {"type": "null"}]}),
        "seconds": described("The duration in seconds, of all parts of a resumed run together", {"type": "number"}),
        "peak_memory_bytes": described(
            "The greatest memory of the processes that trained it, in bytes; null until the end, and if unknown",
            {"type": ["integer", "null"]},
        ),
        **ENVIRONMENT,
        "git_revision": described("The commit of the spec's repository; files may differ from it", NULLABLE_TEXT),
    },
    optional=("data_files", "arrays", "peak_memory_bytes"),
)


def run_schema() -> Schema:
    """The schema of a RUN folder as one object: its files by name, files of lines as lists."""
    metrics = {"type": "object", "properties": {"epoch": COUNT}, "required": ["epoch"], "additionalProperties": METRIC}
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
        **closed_object(
            {
                "run.json": described("What the run was made from, and its results", RUN_JSON),
                "execution.json": described("When, where and with what it ran", EXECUTION_JSON),
                "spec.json": described("The spec as it was trained", {"type": "object"}),
                "spec.expanded.json": described("The same without blocks and expressions", {"type": "object"}),
                "metrics.jsonl": described("Metrics by epoch, counted from 0", {"type": "array", "items": metrics}),
                "steps.jsonl": described(
                    "Metrics by step: means over the epoch until that step, which is counted from 1 over the whole run",
                    {"type": "array", "items": steps},
                ),
            }
        ),
        "$defs": DEFINITIONS,
    }


def lock_schema() -> Schema:
    """The schema of `jsonnx.lock`."""
    weights = {"weights_sha256": described("SHA-256 of `weights.safetensors`", HASH)}
    entry = closed_object({**INPUTS, **ENVIRONMENT, **weights}, optional=OPTIONAL_INPUTS)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "jsonnx.lock, format 1",
        **closed_object(
            {
                "format": described("The version of this format", {"const": 1}),
                "specs": described(
                    "The locked runs by the name of the spec's file", {"type": "object", "additionalProperties": entry}
                ),
            }
        ),
    }
