"""The trainer, the data and the files of a training run at its start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...collective.protocol import Collective
from ...core.diagnostics import UsageError
from ...core.files.spec_folders import SpecFolders
from ...core.training_options import TrainingOptions
from ..check.check import CheckedSpec
from ..compile.initial_weights import possible_weight_files
from ..train.run_data import DataFiles, RunData, file_paths, read_data, require_validation
from ..train.teacher_model import teacher_files
from ..train.trainer import Trainer
from .run_warnings import Warn


def resumed_trainer(
    checked: CheckedSpec, options: TrainingOptions, warn: Warn, collective: Collective | None = None
) -> Trainer:
    """A trainer whose weights will be replaced by a checkpoint's.

    Its initial weights are read only to be compared with the run's; if their file is gone, the
    run goes on without. Which of them fitted was decided at the start.
    """
    training = checked.network.training
    partial = options.weights is not None or (training is not None and training.weights is not None)
    try:
        return Trainer(checked, **replace(options, partial=partial).trainer_arguments(), collective=collective)
    except UsageError as error:
        if error.diagnostic.code != "unreadable-file":
            raise
        message = f"{error.diagnostic.message}, so the initial weights are not compared with those of the run"
        warn([replace(error.diagnostic, message=message, severity="warning")])
        arguments = options.trainer_arguments() | {"weights": {}, "partial": True}
        return Trainer(checked, **arguments, collective=collective)


def input_files(checked: CheckedSpec, options: TrainingOptions) -> list[Path]:
    """All files that the run reads."""
    training = checked.network.training
    folders = SpecFolders.of(checked.folder, options.data_roots)
    data_files = file_paths(training.data if training else None, folders, DataFiles.of(options))
    teachers = map(Path, teacher_files(checked, folders))
    return [*checked.files, *data_files, *possible_weight_files(options.weights), *teachers]


def load_data(trainer: Trainer, files: DataFiles) -> RunData:
    """Reads and checks all data of the run. Raises UsageError `no-data` if there are none to train on."""
    data = read_data(trainer.plan, files)
    if data is None:
        help = "name a file in `training.data.train`, or with --data FILE"
        raise UsageError("no-data", "the spec names no data to train on", help)
    require_validation(trainer.plan, data.validation)
    return data
