"""A model that is exported for a server: its file, its signature, and what its spec says of it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...backend import thresholds_from
from ...core.diagnostics import UsageError
from ...core.files.run_layout import RunPaths
from ...passes.training_steps.batch_separability import is_batch_separable
from ...pipeline.check.check import CheckedSpec
from ...pipeline.compile.output_classes import OutputClasses, output_classes
from ...pipeline.run.trained_model import TrainedModel, checked_spec_of
from ...pipeline.train.plan_training import plan_training
from ...runtime.session.load_model import model_file
from ...runtime.session.model_weight_files import own_weight_files
from ...runtime.session.session import Session

UNKNOWN_SAMPLES = "Nothing is known of the samples of a model that jsonnx did not write: they may depend on each other."
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
    is_batchable: bool
    """Whether no result for a sample depends on the other samples of a batch."""
    batching_reason: str
    """Why."""

    @staticmethod
    def open(source: str, name: str | None = None, verify: bool = True) -> ExportedModel:
        """Opens a RUN folder or a model file. Raises UsageError, CompileError."""
        path = Path(source)
        if os.path.isdir(path) and RunPaths(path).run_info.exists():
            file, session = RunPaths(path).model, TrainedModel.open(path, verify=verify).session
        else:
            file = Path(model_file(path))
            session = Session(file, verify=verify)
        checked = checked_spec_of(session, str(file))
        classes = output_classes(checked, model_thresholds=thresholds_from(session.metadata)) if checked else {}
        is_batchable, reason = batching_of(checked)
        files = tuple(own_weight_files(file))
        name = model_name(path, name)
        return ExportedModel(name, path, file, files, session, classes, is_batchable, reason)


def batching_of(checked: CheckedSpec | None) -> tuple[bool, str]:
    """Whether samples of a model may share a batch, and why."""
    if checked is None:
        return False, UNKNOWN_SAMPLES
    if checked.objective is not None and is_batch_separable(plan_training(checked).evaluate):
        return True, "No result for a sample depends on the other samples of a batch."
    return False, "Results for a sample may depend on the other samples of a batch."


def model_name(source: Path, name: str | None) -> str:
    """The given name, or that of the RUN folder or of the model's file. Raises UsageError."""
    if name is not None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            raise UsageError("bad-option", f"--name: {name!r} is not the name of a model", NAME_HELP)
        return name
    own = Path(os.path.abspath(source))
    cleaned = re.sub(r"[^A-Za-z0-9_.-]", "_", own.name if own.is_dir() else own.stem).lstrip("_.-")
    return cleaned or "model"
