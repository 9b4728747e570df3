"""A model that is exported for a server: its file, its signature, and what its spec says of it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...backend import precision_from, thresholds_from
from ...core.diagnostics import UsageError
from ...core.files.run_layout import RunPaths
from ...pipeline.compile.output_classes import OutputClasses, output_classes
from ...pipeline.run.trained_model import TrainedModel
from ...pipeline.train.model_spec import checked_spec_of
from ...runtime.session.load_model import model_file
from ...runtime.session.model_weight_files import own_weight_files
from ...runtime.session.session import Session
from ..batching.batching import Batching
from ..batching.proof import batching_of

SEVERAL_THREADS = 2
"""Other servers divide a run among threads."""
NAME_HELP = "use letters, digits, `_`, `-` and `.`, and begin with a letter or a digit"


@dataclass(frozen=True)
class ExportedModel:
    """A model of any origin. One that jsonnx did not write has no classes, and nothing is known of its samples."""

    name: str
    """The name by which the server offers it."""
    source: Path
    """The RUN folder or the file that was given."""
    file: Path
    weight_files: tuple[Path, ...]
    """The files with weights that the model names, which lie in its folder."""
    session: Session
    classes: Mapping[str, OutputClasses]
    batching: Batching
    """Whether the samples of several requests may share a batch."""
    tokenizers: tuple[str, ...] = ()
    """The tokenizers beside the model, by their names in its spec."""

    @staticmethod
    def open(source: str, name: str | None = None, verify: bool = True) -> ExportedModel:
        """Opens a RUN folder or a model file. Raises UsageError, CompileError."""
        path = Path(source)
        if os.path.isdir(path) and RunPaths(path).run_info.exists():
            file, session = RunPaths(path).model, TrainedModel.open(path, verify=verify).session
        else:
            file = Path(model_file(path))
            session = Session(file, verify=verify)
        checked = checked_spec_of(session, str(file), file.parent)
        classes = output_classes(checked, model_thresholds=thresholds_from(session.metadata)) if checked else {}
        batching = batching_of(
            checked,
            session.inputs,
            session.outputs,
            session.random_inputs,
            threads=SEVERAL_THREADS,
            precision=precision_from(session.metadata),
        )
        files = tuple(own_weight_files(file))
        name = model_name(path, name)
        tokenizations = checked.network.tokenizations if checked else ()
        tokenizers = tuple(dict.fromkeys(each.file_name for each in tokenizations if each.file is not None))
        return ExportedModel(name, path, file, files, session, classes, batching, tokenizers)


def model_name(source: Path, name: str | None) -> str:
    """The given name, or that of the RUN folder or of the model's file. Raises UsageError."""
    if name is not None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            raise UsageError("bad-option", f"--name: {name!r} is not the name of a model", NAME_HELP)
        return name
    own = Path(os.path.abspath(source))
    cleaned = re.sub(r"[^A-Za-z0-9_.-]", "_", own.name if own.is_dir() else own.stem).lstrip("_.-")
    return cleaned or "model"
