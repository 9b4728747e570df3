"""The samples to train, validate and test on: from the files that the spec names, or from files that replace them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...analysis.decision import validation_keys
from ...core.diagnostics import CompileError, Diagnostic
from ...core.files.spec_folders import SpecFolders
from ...core.files.spec_source import SpecSource
from ...core.files.user_files import UserFiles, expand_user_files, with_paths
from ...core.training_options import TrainingOptions
from ...data.files.data_locations import items_of_spec, items_of_user
from ...data.files.dataset_files import from_file, from_part, from_split
from ...data.samples.batch_stream import BatchStream
from ...data.samples.data_errors import FeedError
from ...data.samples.data_spec import DataSpec
from ...data.samples.dataset import Dataset
from ...runtime.fit.early_stopping import require_monitored_metrics
from ...runtime.training_plan import TrainingPlan
from ...sections.data_section import DATA_PARTS, DataSection
from ...sections.monitor import NO_VALIDATION_HELP


@dataclass(frozen=True)
class DataFiles:
    """Files that replace the training and the validation file of a spec; None keeps the spec's."""

    train: UserFiles | None = None
    validation: UserFiles | None = None

    @staticmethod
    def of(options: TrainingOptions) -> DataFiles:
        """The files of `--data` and `--validation-data`."""
        return DataFiles(options.data, options.validation_data)

    @property
    def paths(self) -> dict[str, UserFiles]:
        """The files by the key in `training.data` that they replace."""
        named = {"train": self.train, "validation": self.validation}
        return {part: path for part, path in named.items() if path is not None}

    def with_paths(self, convert: Callable[[str], str]) -> dict[str, UserFiles]:
        """The files with other paths, by the key in `training.data` that they replace."""
        return {part: with_paths(files, convert) for part, files in self.paths.items()}


SPEC_FILES = DataFiles()
"""The files that the spec names."""


def replaced_files(folder: Path, run_info: Mapping[str, Any]) -> DataFiles:
    """The files that replaced the spec's in the run in a folder."""
    section = run_info.get("data_files")
    files = section if isinstance(section, dict) else {}
    parts = {part: _recorded_files(folder, value) for part, value in files.items()}
    return DataFiles(parts.get("train"), parts.get("validation"))


def _recorded_files(folder: Path, value: object) -> UserFiles | None:
    """The files of a part of the data, as a run records them; None for another value."""
    is_path, is_object = isinstance(value, str), isinstance(value, dict) and all(map(_is_text, value.values()))
    if not (is_path or (is_object and value)):
        return None
    files: UserFiles = value  # type: ignore[assignment]
    return with_paths(files, lambda path: os.path.normpath(folder / path))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


@dataclass(frozen=True)
class RunData:
    """The samples of a run."""

    train: Dataset
    validation: Dataset | None
    test: Dataset | None = None
    is_split: bool = False
    """Whether the validation data are the last samples of the training file."""
    split_parts: tuple[str, ...] = ()
    """The parts into which `split` divides the training files."""

    @property
    def parts(self) -> dict[str, Dataset]:
        """The samples by the key of `training.data`, or `validation` for samples that were split off."""
        samples = {"train": self.train, "validation": self.validation, "test": self.test}
        return {part: dataset for part, dataset in samples.items() if dataset is not None}


def read_part(
    part: str, data: DataSection | None, files: DataFiles, data_spec: DataSpec, source: SpecSource
) -> Dataset | None:
    """The samples of a part of the data, `train`, `validation` or `test`; None if neither the spec nor the user names a
    file. Raises CompileError with every error, UsageError for a file that cannot be read."""
    if part in files.paths:
        data_spec = replace(data_spec, learns_labels=data_spec.learns_labels or part == "train")
        return from_file(files.paths[part], data, data_spec, source, needs_weights=part == "train")
    if data is None or not data.has_part(part):
        return None
    return from_part(data, part, data_spec, source)


def part_of_spec(plan: TrainingPlan, part: str) -> Dataset | None:
    """The samples of a part of the data that the spec of a plan names; None if it names none. Raises CompileError with
    every error, UsageError for a file that cannot be read."""
    return read_part(part, plan.training.data, SPEC_FILES, plan.data_spec, plan.source)


def read_split(
    data: DataSection | None, files: DataFiles, data_spec: DataSpec, source: SpecSource
) -> dict[str, Dataset]:
    """The parts into which the spec's `split` divides the training files; none if it has no split. Validation data that
    the user names replace the split's. Raises CompileError with every error, UsageError for a file that cannot be
    read."""
    if data is None or data.split is None:
        return {}
    items = items_of_spec(data, "train", source) if files.train is None else items_of_user(files.train, source)
    return from_split(
        data, items, data_spec, source, [part for part in DATA_PARTS if part not in files.paths or part == "train"]
    )


def read_data(
    plan: TrainingPlan,
    files: DataFiles = SPEC_FILES,
    parts: Collection[str] = DATA_PARTS,
    validation_split: float | None = None,
) -> RunData | None:
    """The samples of some parts of the data; None if neither the spec nor the user names data to train on.

    Without data to validate on, they are split off if `parts` has `validation`: a fraction `validation_split`, by
    default the spec's. Raises CompileError with every error in the files, FeedError if `validation_split` leaves no
    samples, UsageError if a file cannot be read.
    """
    section = plan.training.data
    split = read_split(section, files, plan.data_spec, plan.source)
    train = split.get("train") or read_part("train", section, files, plan.data_spec, plan.source)
    if train is None:
        return None
    plan = plan.with_learned(train)
    section = plan.training.data
    others = {
        part: split.get(part) or read_part(part, section, files, plan.data_spec, plan.source)
        for part in DATA_PARTS[1:]
        if part in parts
    }
    data = RunData(train, None)
    if "validation" in others:
        fraction = None if split else validation_split
        data = split_off_validation(train, others["validation"], section, plan.source, fraction)
    return replace(data, test=others.get("test"), split_parts=tuple(split))


def split_off_validation(
    train: Dataset,
    validation: Dataset | None,
    data: DataSection | None,
    source: SpecSource,
    fraction: float | None = None,
) -> RunData:
    """The training and the validation samples; if there are none of the latter, a fraction of the former is split off,
    by default the spec's `validation_split`.

    If one of both would be empty, raises FeedError, for the spec's fraction CompileError at `validation_split`.
    """
    spec_fraction = data.validation_split if data else 0.0
    share = spec_fraction if fraction is None else fraction
    if not share or validation is not None:
        return RunData(train, validation)
    try:
        return RunData(*train.split(share), is_split=True)
    except FeedError as error:
        if fraction is not None:
            raise
        path = ("training", "data", "validation_split")
        raise CompileError([source.locate_diagnostic(diagnostic, path) for diagnostic in error.diagnostics]) from error


def require_validation(plan: TrainingPlan, validation: Dataset | BatchStream | None) -> None:
    """Raises CompileError if the training needs validation data that it lacks: `unknown-figure` for a monitored loss or
    metric, `no-validation-data` for what is chosen on samples in memory."""
    require_monitored_metrics(plan, validation is not None)
    keys = validation_keys(plan.training) if not isinstance(validation, Dataset) else []
    errors = []
    for key in keys:
        message = f"`{key}` is chosen on validation data, and there are none"
        error = Diagnostic("no-validation-data", message, help=NO_VALIDATION_HELP)
        errors.append(plan.source.locate_diagnostic(error, ("training", key)))
    if errors:
        raise CompileError(errors)


def file_paths(data: DataSection | None, folders: SpecFolders, files: DataFiles) -> list[Path]:
    """The paths of all data files of a run."""
    replaced = [Path(item) for named in files.paths.values() for item in expand_user_files(named)]
    parts = [part for part in DATA_PARTS if data is not None and part not in files.paths]
    names = [name for part in parts if data is not None for name, _ in data.files(part)]
    return [*replaced, *(path for name in names for path in folders.existing(name))]
