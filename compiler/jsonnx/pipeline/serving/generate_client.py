"""Writes a typed client of a trained model: `jsonnx client`."""

from __future__ import annotations

import os
from pathlib import Path

from ...core.diagnostics import UsageError, or_list
from ...core.files.files import write_atomically
from ...render.clients.python_client import python_client
from ...render.clients.typescript_client import typescript_client
from ..run.trained_model import TrainedModel
from .row_fields import model_fields

GENERATORS = {".py": python_client, ".ts": typescript_client}
"""What makes the source of a client, by the suffix of its file."""


def generate_client(model: str | os.PathLike[str], output: str | os.PathLike[str], verify: bool = True) -> None:
    """Writes the client of a RUN folder or a model file, in the language of the output's suffix.

    Raises UsageError, CompileError.
    """
    path = Path(output)
    generate = GENERATORS.get(path.suffix)
    if generate is None:
        message = f"there are no clients in files like {path.name!r}"
        raise UsageError("bad-option", message, f"name a file {or_list([*GENERATORS])}")
    fields = model_fields(TrainedModel.open(Path(model), verify=verify))
    write_atomically(path, generate(fields).encode())
