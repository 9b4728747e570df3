"""Whole processes, from nothing to their end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from ..contestants import JAX, TENSORFLOW, TORCH, Entry
from ..options import Options
from ..referee import environment
from ..tables import Table, spread
from ..workloads.classic import mlp
from ..workloads.workload import trained

ABOUT = "seconds of whole commands, beside what the peers take to be imported"
Result = dict[str, Any]


def commands(folder: Path) -> dict[str, tuple[list[str], dict[str, str]]]:
    """By name: what is run, and its environment. What begins with `jsonnx` is ours."""
    spec = folder / "mlp.json"
    spec.write_text(json.dumps(trained(mlp(), 128)), "utf-8")
    jsonnx = [str(Path(sys.executable).parent / "jsonnx")]
    python = [sys.executable, "-c"]
    return {
        "python -c pass": ([*python, "pass"], {}),
        "jsonnx --help": ([*jsonnx, "--help"], {}),
        "jsonnx validate": ([*jsonnx, "validate", str(spec)], {}),
        "jsonnx summary": ([*jsonnx, "summary", str(spec)], {}),
        "jsonnx compile": ([*jsonnx, "compile", str(spec), "-o", str(folder / "mlp.onnx")], {}),
        "import torch": ([*python, "import torch"], {}),
        "import jax": ([*python, "import jax"], {}),
        "import tensorflow": ([*python, "import tensorflow"], {}),
        "import keras, on JAX": ([*python, "import keras"], JAX),
        "import keras, on TensorFlow": ([*python, "import keras"], TENSORFLOW),
        "import keras, on PyTorch": ([*python, "import keras"], TORCH),
    }


def measure(options: Options) -> Iterator[tuple[str, Result]]:
    """In turn; a first round, which fills the system's caches, is not counted."""
    todo = commands(options.folder)
    times: dict[str, list[float]] = {name: [] for name in todo}
    for number in range(options.turns.rounds + 1):
        options.tell(f"cold start, round {number}" if number else "cold start, caches")
        for name, (command, variables) in todo.items():
            variables = environment(Entry("", "", variables), options.threads)
            start = perf_counter()
            subprocess.run(command, env=variables, capture_output=True, check=True)
            if number:
                times[name].append(round(perf_counter() - start, 4))
    for name, found in times.items():
        yield name, {"seconds": found}


def tables(result: Result) -> list[Table]:
    table = Table("Cold start: the whole process", ["command", "seconds (min-max)"])
    table.rows = [[name, spread(found["seconds"])] for name, found in result.items()]
    return [table]


page = tables
