"""Codes of errors in the tools of `jsonnx mcp`."""

from __future__ import annotations

from .explanation import Explanation

SERVING_EXPLANATIONS: dict[str, Explanation] = {
    "unknown-job": Explanation(
        "A job that does not exist",
        "`train` returns the name of the job that it starts. A job is known until the server ends; of those that have "
        "ended, the oldest are forgotten first. `status` without a job lists all.",
        '{"name": "status", "arguments": {"job": "1"}}',
        '{"name": "status", "arguments": {"job": "job-1"}}',
    ),
    "too-many-jobs": Explanation(
        "As many trainings run as the server allows",
        "Trainings share the processors and the memory of the machine. Wait until one has ended, or end one.",
        '{"name": "train", "arguments": {"spec": "fifth.json", "dry_run": false}}',
        '{"name": "cancel", "arguments": {"job": "job-1"}}',
    ),
    "time-limit": Explanation(
        "A tool took too long",
        "A call of a tool has a time limit, after which its process is ended; nothing is left half-written. Only "
        "trainings, which run as jobs, have none.",
        '{"name": "predict", "arguments": {"model": "runs/large", "data": "all/*.csv"}}',
        '{"name": "predict", "arguments": {"model": "runs/large", "data": "all/part-1.csv"}}',
    ),
    "command-failed": Explanation(
        "A command ended without a result",
        "The message is what the command wrote to standard error. It may have been killed, for instance because the "
        "machine has too little memory.",
        '{"name": "evaluate", "arguments": {"model": "runs/huge"}}',
        '{"name": "evaluate", "arguments": {"model": "runs/small"}}',
    ),
}
