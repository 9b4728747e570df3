"""The main module of a process that measures a model: the job is JSON on standard input, the result JSON on standard
output."""

from __future__ import annotations

import json
import sys

from ...core.files.boundary import enforce_from_environment
from .measure_runs import RunsJob, measure_runs

if __name__ == "__main__":
    enforce_from_environment()
    print(json.dumps(measure_runs(RunsJob(**json.load(sys.stdin)))))
