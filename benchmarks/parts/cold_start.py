"""Duration of whole processes, start included."""

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

ABOUT = "seconds of whole commands, and of importing the peers"
Result = dict[str, Any]


def commands(folder: Path) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Returns the commands and their environment variables by name."""
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
    """Runs the commands in turns; the first round, which fills the caches of the system, is not counted."""
    commands_by_name = commands(options.folder)
    times: dict[str, list[float]] = {name: [] for name in commands_by_name}
    for number in range(options.turns.rounds + 1):
        options.tell(f"cold start, round {number}" if number else "cold start, caches")
        for name, (command, variables) in commands_by_name.items():
            variables = environment(Entry("", "", variables), options.threads)
            start = perf_counter()
            subprocess.run(command, env=variables, capture_output=True, check=True)
            if number:
                times[name].append(round(perf_counter() - start, 4))
    for name, seconds in times.items():
        yield name, {"seconds": seconds}


def tables(results: Result) -> list[Table]:
    table = Table("Cold start: the whole process", ["command", "seconds (min-max)"])
    table.rows = [[name, spread(row["seconds"])] for name, row in results.items()]
    return [table]


page = tables
