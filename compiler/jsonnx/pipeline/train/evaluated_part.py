"""The samples of one part of a spec's data, to evaluate a model on, and what to call them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.diagnostics import UsageError, or_list
from ...core.files.data_formats import DATA_FILE_SUFFIXES
from ...core.files.files import display_path
from ...core.files.user_files import file_names
from ...data.samples.dataset import Dataset
from ...runtime.training_plan import TrainingPlan
from ...sections.data_section import DATA_PARTS, DataSection
from .run_data import SPEC_FILES, DataFiles, read_part, read_split, split_off_validation

MAX_NAMED_FILES = 3
"""Files that a text names."""
NO_PARTS = (
    "the spec names neither test nor validation data: `split` or `validation_split` in `training.data` sets some "
    "aside, and --split train takes the training data"
)
EVALUATED_PARTS = ("test", "validation")
"""The parts that a model is evaluated on unless the user names one, in the order of preference."""


@dataclass(frozen=True)
class EvaluatedPart:
    """The samples that a model is evaluated on, and where they are from."""

    samples: Dataset
    part: str | None
    """`train`, `validation` or `test`; None for a file that the user names."""
    files: tuple[str, ...]
    """The files, as the spec or the user names them."""
    is_divided: bool = False
    """Whether the files have samples of other parts, too."""
    folds: tuple[int, int] | None = None
    """The index of the fold that is validated on, and the number of folds."""

    def text(self) -> str:
        """The part, the files and the number of samples: `the test part of churn.csv, 1,200 rows`."""
        more = f" and {len(self.files) - MAX_NAMED_FILES:,} more" if len(self.files) > MAX_NAMED_FILES else ""
        files = ", ".join(self.files[:MAX_NAMED_FILES]) + more
        if self.part is None:
            where = files
        elif self.is_divided:
            fold = f" (fold {self.folds[0]} of {self.folds[1]})" if self.folds and self.part != "test" else ""
            where = f"the {_adjective(self.part)} part{fold} of {files}"
        else:
            where = f"the {_adjective(self.part)} data in {files}"
        unit = self._unit if len(self.samples) != 1 else self._unit.removesuffix("s")
        return f"{where}, {len(self.samples):,} {unit}"

    @property
    def _unit(self) -> str:
        """The name of samples in the plural."""
        if self.samples.counts is not None:
            return "windows"
        return "rows" if all(file.lower().endswith(DATA_FILE_SUFFIXES) for file in self.files) else "samples"

    def to_json(self) -> dict[str, Any]:
        """The part, the files and the number of samples; of folds also the index of the one that is validated on."""
        fold = {"fold": self.folds[0]} if self.folds is not None else {}
        return {"split": self.part, **fold, "files": list(self.files), "samples": len(self.samples)}


def existing_parts(data: DataSection | None, files: DataFiles = SPEC_FILES) -> tuple[str, ...]:
    """The parts of the data that a spec and files in place of the spec's provide."""
    named = {*files.paths, *(part for part in DATA_PARTS if data is not None and data.has_part(part))}
    if data is not None and data.validation_split and "train" in named:
        named.add("validation")
    return tuple(part for part in DATA_PARTS if part in named)


def evaluated_part(
    plan: TrainingPlan, files: DataFiles = SPEC_FILES, part: str | None = None, owner: str = "the spec"
) -> EvaluatedPart | None:
    """The samples of a part; by default the test data, or else the validation data, None without both.

    Raises UsageError `no-data` if there is no such part, or if a file cannot be read, CompileError for errors in data.
    """
    section = plan.training.data
    existing = existing_parts(section, files)
    if part is None:
        part = next((name for name in EVALUATED_PARTS if name in existing), None)
        if part is None:
            return None
    elif part not in existing:
        raise UsageError("no-data", f"{owner} has no {_adjective(part)} data", _missing_part_help(existing))
    samples, is_divided = _samples(plan, files, part)
    has_own_file = not is_divided or part in files.paths
    source = part if has_own_file and part != "train" else "train"
    named = [name for name, _ in section.files(source)] if section is not None else []
    if source in files.paths:
        named = [display_path(Path(path)) for path in file_names(files.paths[source])]
    split = section.split if section is not None else None
    folds = (split.fold, split.folds) if split is not None and split.folds is not None and is_divided else None
    return EvaluatedPart(samples, part, tuple(named), is_divided, folds)


def _samples(plan: TrainingPlan, files: DataFiles, part: str) -> tuple[Dataset, bool]:
    """The samples of a part that exists, and whether other parts have samples of the same files."""
    section, data_spec, source = plan.training.data, plan.data_spec, plan.source
    split = read_split(section, files, data_spec, source)
    if part in split:
        return split[part], len(split) > 1
    own = read_part(part, section, files, data_spec, source) if part != "train" else None
    if own is not None:
        return own, False
    train = split.get("train") or read_part("train", section, files, data_spec, source)
    if train is None:
        raise ValueError(f"a spec without the part {part!r}")
    has_own_validation = "validation" in files.paths or (section is not None and section.validation is not None)
    if section is None or not section.validation_split or has_own_validation:
        return train, False
    data = split_off_validation(train, None, section, source)
    return data.parts[part], True


def _adjective(part: str) -> str:
    return "training" if part == "train" else part


def _missing_part_help(existing: tuple[str, ...]) -> str:
    return f"there is {or_list([f'`{part}`' for part in existing])}" if existing else NO_PARTS
