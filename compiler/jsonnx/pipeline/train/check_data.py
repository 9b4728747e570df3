"""Checks the data of a spec without training: columns, types, ranges, missing values, shapes and classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from ...core.diagnostics import CompileError, Diagnostic, UsageError
from ...core.files.spec_source import SpecSource
from ...core.files.user_files import UserFiles
from ...data.files.dataset_files import from_file
from ...data.samples.data_errors import FeedError
from ...data.samples.dataset import Dataset
from ...sections.data_section import DATA_PARTS
from ..check.check import CheckedSpec
from ..check.data_spec import data_spec_of, input_spec
from .data_warnings import data_warnings
from .learned_spec import column_notes, with_learned
from .run_data import DataFiles, RunData, read_part, read_split, split_off_validation
from .target_classes import ClassCounts, class_counts

T = TypeVar("T")


@dataclass
class DataCheck:
    """The result of a check: the errors and warnings, and what the data contain."""

    diagnostics: list[Diagnostic] = field(default_factory=list)
    samples: dict[str, Dataset] = field(default_factory=dict)
    """The samples by part of the data, such as `train`."""
    class_counts: Mapping[str, Mapping[str, ClassCounts]] = field(default_factory=dict)
    """Numbers of elements by class index, by output and by part of the data."""

    @property
    def labels(self) -> Mapping[str, Sequence[str]]:
        """The names of classes, by output: the spec's, or else the names of the data's folders."""
        return next((samples.data_spec.labels for samples in self.samples.values()), {})

    def attempt(self, read: Callable[[], T]) -> T | None:
        """The result of a function; None after its errors were added to the diagnostics."""
        try:
            return read()
        except (CompileError, FeedError) as error:
            self.diagnostics += error.diagnostics
        except UsageError as error:
            self.diagnostics.append(error.diagnostic)
        return None


def check_data(checked: CheckedSpec, source: SpecSource, file: UserFiles | None, skipped_parts: set[str]) -> DataCheck:
    """Checks the files that a valid spec names, or one file in their place.

    `skipped_parts` are the keys of `training.data` whose files are known to be unreadable.
    """
    check = DataCheck()
    typed, objective = checked.require(), checked.objective
    training = typed.network.training
    if training is None or objective is None:
        return _check_inputs(checked, source, file, check)
    data_spec = data_spec_of(typed, objective)
    files = DataFiles(train=file)
    parts = ("train",) if file is not None else tuple(part for part in DATA_PARTS if part not in skipped_parts)
    section = training.data
    split = check.attempt(lambda: read_split(training.data, files, data_spec, source))
    if split is None:
        return check
    check.samples.update(split)
    for part in parts:
        samples = split.get(part) or check.attempt(partial(read_part, part, section, files, data_spec, source))
        if samples is not None:
            check.samples[part] = samples
        if samples is None and part == "train":
            data_spec = replace(
                data_spec, learns_labels=True
            )  # else the names of classes are errors of the other parts
        elif samples is not None and part == "train":
            data_spec = replace(data_spec, labels=samples.data_spec.labels)
            section = samples.learned_section(section) if section is not None else None
            check.diagnostics += column_notes(checked, samples)
    if file is None and training.data is None:
        check.diagnostics.append(_no_data(source))
    _check_training_samples(checked, source, check, tuple(split))
    check.class_counts = class_counts(check.samples, objective)
    return check


def _check_training_samples(
    checked: CheckedSpec, source: SpecSource, check: DataCheck, split_parts: tuple[str, ...]
) -> None:
    """Splits off the validation data if the spec says so, and adds warnings."""
    training = checked.network.training
    section = training.data if training else None
    train, validation = check.samples.get("train"), check.samples.get("validation")
    if train is None:
        return
    data: RunData | None = RunData(train, validation, split_parts=split_parts)
    if section is not None and section.validation is None and not split_parts:
        data = check.attempt(lambda: split_off_validation(train, validation, section, source))
    learned = check.attempt(lambda: with_learned(checked, train))
    if data is not None:
        test = check.samples.get("test")
        check.samples = replace(data, test=test).parts
        if learned is not None:
            check.diagnostics += data_warnings(learned, replace(data, test=test))


def _check_inputs(checked: CheckedSpec, source: SpecSource, file: UserFiles | None, check: DataCheck) -> DataCheck:
    """Checks the inputs in a file; a spec without a training section has no targets."""
    if file is None:
        check.diagnostics.append(_no_data(source))
        return check
    data_spec = input_spec(checked.require())
    samples: Dataset | None = check.attempt(lambda: from_file(file, None, data_spec, source, targets=False))
    check.samples = {"data": samples} if samples is not None else {}
    return check


def _no_data(source: SpecSource) -> Diagnostic:
    help = "name a file in `training.data.train`, or check a file with `--data FILE`"
    return source.locate_diagnostic(Diagnostic("no-data", "the spec names no data to check", help=help), ())
