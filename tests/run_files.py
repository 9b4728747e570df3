"""The files of a RUN folder in a form in which two runs of the same spec are equal."""

from __future__ import annotations

import json
from pathlib import Path

from jsonnx.pipeline.run_info import VARYING_KEYS


def comparable_bytes(path: Path) -> bytes:
    """The content of a file of a run; of `run.json`, without the times."""
    if path.name != "run.json":
        return path.read_bytes()
    run_info = json.loads(path.read_bytes())
    return json.dumps({key: value for key, value in run_info.items() if key not in VARYING_KEYS}).encode()
