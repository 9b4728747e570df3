"""The rows of files that each part of a spec's data consists of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...data.files.data_locations import DataItem, items_of_spec, items_of_user
from ...data.files.dataset_files import rows_by_part
from ...data.rows.row_samples import PartRows
from ...runtime.training_plan import TrainingPlan
from ...sections.data_section import DATA_PARTS
from .run_data import SPEC_FILES, DataFiles, split_off_validation


@dataclass(frozen=True)
class PartOfFiles:
    """The rows of a part of the data, and the files that have them."""

    items: Sequence[DataItem]
    file_sizes: Sequence[int]
    """The number of rows of each file, with those that belong to other parts or are left out."""
    own: PartRows

    def rows_of_files(self) -> list[np.ndarray]:
        """The indices of the part's rows in each file, in ascending order."""
        starts = np.cumsum([0, *self.file_sizes])
        bounds = np.searchsorted(self.own.rows, starts)
        return [
            self.own.rows[first:stop] - start
            for first, stop, start in zip(bounds[:-1], bounds[1:], starts[:-1], strict=True)
        ]


def part_rows(
    plan: TrainingPlan, files: DataFiles = SPEC_FILES, parts: Collection[str] = DATA_PARTS
) -> dict[str, PartOfFiles]:
    """The rows of those of `parts` that the spec and the files in place of the spec's provide.

    Raises CompileError with every error in the files or if a part is empty, UsageError if a file cannot be read.
    """
    divided = _divided_training_files(plan, files)
    if "train" in divided:
        plan = plan.with_learned(divided["train"].own.samples)
    by_part = {}
    for part in DATA_PARTS:
        found = divided.get(part) if part in divided or part not in parts else _own_files(plan, files, part)
        if found is not None and part in parts:
            by_part[part] = found
    return by_part


def _divided_training_files(plan: TrainingPlan, files: DataFiles) -> dict[str, PartOfFiles]:
    """The parts of the training files."""
    section, source = plan.training.data, plan.source
    if section is None or (files.train is None and not section.has_part("train")):
        return {}
    items = items_of_spec(section, "train", source) if files.train is None else items_of_user(files.train, source)
    own_parts = [part for part in DATA_PARTS if part not in files.paths or part == "train"]
    data_spec = replace(plan.data_spec, learns_labels=True)
    divided, sizes = rows_by_part(section, items, data_spec, source, None if section.split is None else own_parts)
    parts = {part: PartOfFiles(items, sizes, own) for part, own in divided.items()}
    has_validation = section.validation is not None or files.validation is not None
    if section.split is not None or has_validation or not section.validation_split:
        return parts
    whole = divided["train"]
    data = split_off_validation(whole.samples, None, section, source)
    bounds = {"train": slice(len(data.train)), "validation": slice(len(data.train), None)}
    return {
        part: PartOfFiles(items, sizes, replace(whole, samples=samples, rows=whole.rows[bounds[part]]))
        for part, samples in data.parts.items()
    }


def _own_files(plan: TrainingPlan, files: DataFiles, part: str) -> PartOfFiles | None:
    """The rows of files that have one part alone; None if the spec names none."""
    section, source = plan.training.data, plan.source
    if section is None or (part not in files.paths and getattr(section, part) is None):
        return None
    path = files.paths.get(part)
    items = items_of_spec(section, part, source) if path is None else items_of_user(path, source)
    divided, sizes = rows_by_part(section, items, plan.data_spec, source, None)
    return PartOfFiles(items, sizes, divided["train"])
