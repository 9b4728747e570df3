"""Runs jsonnx commands for tests, in this process or in a subprocess."""

from __future__ import annotations

import os
import subprocess
import sys
from inspect import signature
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from jsonnx.cli import main

IN_PROCESS = CliRunner(**({"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}))
"""Runs commands in this process and captures standard error apart, which click does by itself from 8.2 on."""

SOURCE = Path(__file__).parents[2] / "compiler"


def jsonnx(*arguments: str, status: int = 0, stdin: str | bytes | None = None) -> Result:
    """Runs a command in this process and asserts its exit status."""
    result = IN_PROCESS.invoke(main, arguments, input=stdin)
    assert result.exit_code == status, (arguments, result.exit_code, result.output, result.exception)
    return result


def process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command in a subprocess; `options` are those of `subprocess.run`."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), **options.pop("env", {})}
    options = {"capture_output": True, "encoding": "utf-8", "timeout": 300, **options}
    return subprocess.run([sys.executable, "-m", "jsonnx", *arguments], env=environment, **options)
