"""The samples of a run: from the files that the spec names, or from files that replace them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...core.diagnostics import CompileError
from ...core.files.spec_folders import SpecFolders, expand_user_path
from ...core.files.spec_source import SpecSource
from ...data.files.data_locations import items_of_spec, items_of_user
from ...data.files.dataset_files import from_file, from_part, from_split
from ...data.samples.data_errors import FeedError
from ...data.samples.data_spec import DataSpec
from ...data.samples.dataset import Dataset
from ...sections.data_section import DATA_PARTS, DataSection


@dataclass(frozen=True)
class DataFiles:
    """Files that replace the training and the validation file of a spec; None keeps the spec's."""

    train: str | None = None
    validation: str | None = None

    @property
    def paths(self) -> dict[str, str]:
        """The files by the key in `training.data` that they replace."""
        named = {"train": self.train, "validation": self.validation}
        return {part: path for part, path in named.items() if path is not None}


SPEC_FILES = DataFiles()
"""The files that the spec names."""


def replaced_files(folder: Path, run_info: Mapping[str, Any]) -> DataFiles:
    """The files that replaced the spec's in the run in a folder."""
    section = run_info.get("data_files")
    files = section if isinstance(section, dict) else {}
    paths = {part: os.path.normpath(folder / path) for part, path in files.items() if isinstance(path, str)}
    return DataFiles(paths.get("train"), paths.get("validation"))


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
        """The samples by the key of `training.data`, or `validation` for those that were split off."""
        samples = {"train": self.train, "validation": self.validation, "test": self.test}
        return {part: dataset for part, dataset in samples.items() if dataset is not None}


def read_part(
    part: str, data: DataSection | None, files: DataFiles, data_spec: DataSpec, source: SpecSource
) -> Dataset | None:
    """The samples of a part of the data, `train`, `validation` or `test`; None if neither the spec nor the user names a
    file. Raises CompileError with every fault, UsageError for a file that cannot be read."""
    if part in files.paths:
        data_spec = replace(data_spec, learns_labels=data_spec.learns_labels or part == "train")
        return from_file(files.paths[part], data, data_spec, source, needs_weights=part == "train")
    if data is None or not data.has_part(part):
        return None
    return from_part(data, part, data_spec, source)


def read_split(
    data: DataSection | None, files: DataFiles, data_spec: DataSpec, source: SpecSource
) -> dict[str, Dataset]:
    """The parts into which the spec's `split` divides the training files; none if it has no split. Validation data that
    the user names replace those of the split. Raises as `read_part` does."""
    if data is None or data.split is None:
        return {}
    items = items_of_spec(data, "train", source) if files.train is None else items_of_user(files.train, source)
    return from_split(
        data, items, data_spec, source, [part for part in DATA_PARTS if part not in files.paths or part == "train"]
    )


def split_off_validation(
    train: Dataset, validation: Dataset | None, data: DataSection | None, source: SpecSource
) -> RunData:
    """The training and the validation samples, the latter split off as `validation_split` says if there are none.

    Raises CompileError at the spec's `validation_split` if one of the parts would be empty.
    """
    fraction = data.validation_split if data else 0.0
    if not fraction or validation is not None:
        return RunData(train, validation)
    try:
        return RunData(*train.split(fraction), is_split=True)
    except FeedError as error:
        path = ("training", "data", "validation_split")
        raise CompileError([source.locate_diagnostic(fault, path) for fault in error.diagnostics]) from error


def file_paths(data: DataSection | None, folders: SpecFolders, files: DataFiles) -> list[Path]:
    """The paths of all data files of a run."""
    replaced = [Path(item) for path in files.paths.values() for item in expand_user_path(path)]
    parts = [part for part in DATA_PARTS if data is not None and part not in files.paths]
    names = [name for part in parts if data is not None for name, _ in data.files(part)]
    return [*replaced, *(path for name in names for path in folders.existing(name))]
