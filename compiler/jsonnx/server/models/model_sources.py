"""Which files are served, and by which names and versions."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ...core.diagnostics import UsageError
from ...core.files.run_layout import MODEL_FILE, RunPaths

FIRST_VERSION = "1"
"""The version of a model that has only one."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
NAME_HELP = "names have letters, digits, '_', '.' and '-'; name the model with NAME=PATH"


class ModelSource(NamedTuple):
    """A model by its name, and its RUN folder or file by version."""

    name: str
    path: Path
    """The path that the user named: of the only version, or of the folder of all versions."""

    def versions(self) -> dict[str, Path]:
        """The RUN folder or the ONNX file of each version, in rising order.

        A folder with folders 1, 2, ... has a version in each of them: `model.onnx`, or a RUN folder.
        """
        if not self.path.is_dir() or RunPaths(self.path).run_info.exists():
            return {FIRST_VERSION: self.path}
        numbered = {entry.name: entry for entry in self.path.iterdir() if entry.name.isdecimal() and entry.is_dir()}
        found = {}
        for name in sorted(numbered, key=int):
            if RunPaths(numbered[name]).run_info.exists():
                found[name] = numbered[name]
            elif (numbered[name] / MODEL_FILE).exists():
                found[name] = numbered[name] / MODEL_FILE
        return found or {FIRST_VERSION: self.path}


def model_sources(arguments: Sequence[str]) -> list[ModelSource]:
    """The models of `[NAME=]PATH` arguments. Raises UsageError for a bad or a repeated name, or a missing file."""
    sources: dict[str, ModelSource] = {}
    for argument in arguments:
        name, separator, path = argument.partition("=")
        if not separator or os.path.exists(argument):
            path = argument
            name = Path(os.path.abspath(path)).name
            name = Path(name).stem if name.lower().endswith((".onnx", ".ort")) else name
        if not _NAME.fullmatch(name):
            raise UsageError("bad-option", f"{name!r} cannot be the name of a served model", NAME_HELP)
        if name in sources:
            message = f"two models are called {name!r}: {str(sources[name].path)!r} and {path!r}"
            raise UsageError("bad-option", message, "name one of them with NAME=PATH")
        if not os.path.exists(path):
            raise UsageError("unreadable-file", f"there is no model {path!r}", "name a RUN folder or an ONNX file")
        sources[name] = ModelSource(name, Path(path))
    return list(sources.values())
