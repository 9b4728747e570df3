"""Lints a spec: checks it like `validate`, and then runs the rules that are selected."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.diagnostics import Diagnostic, identity_source_map
from ...core.files.spec_folders import LOCK_FILE
from ...frontend.json.json_reader import STDIN_NAME
from ...lint.check_warnings import CHECK_WARNINGS
from ...lint.configuration import NO_SELECTION, Configuration, Selection, configuration_of, read_configuration
from ...lint.lint_network import codes_without_data, default_codes, lint_network
from ...lint.linted_network import DataFacts, LintedNetwork
from ...lint.rules.silences import UNUSED_SILENCE
from ..check.check import CheckedSpec

if TYPE_CHECKING:
    from ..train.check_data import DataCheck

MAX_LOCK_BYTES = 1 << 24
SAMPLES_FOR_RANGE = 512
"""Maximum number of training samples that the range of an input is taken from."""


@dataclass(frozen=True)
class LintOptions:
    """Which rules run, besides the configuration beside the spec."""

    selection: Selection = NO_SELECTION
    configuration: str | None = None
    """A configuration file that takes the place of the nearest one."""
    is_isolated: bool = False
    """Whether no configuration file is read."""
    exits_zero: bool = False
    """Whether findings leave the exit status 0; errors do not."""

    def codes(self, spec_file: str | None) -> frozenset[str]:
        """The codes that are selected for a spec. Raises UsageError for an invalid configuration."""
        file = None if spec_file in (None, STDIN_NAME) else Path(str(spec_file))
        configuration: Configuration | None = None
        if self.configuration is not None:
            configuration = read_configuration(Path(self.configuration))
        elif not self.is_isolated:
            configuration = configuration_of(file)
        return (configuration or Configuration()).codes(file, self.selection, default_codes())


class Linter:
    """Runs the selected rules on a spec, at one scale after another."""

    def __init__(self, codes: frozenset[str]) -> None:
        self.codes = codes
        self._used_silences: set[int] = set()

    def findings(self, checked: CheckedSpec, data: DataCheck | None = None) -> list[Diagnostic]:
        """The findings in a spec, with its data if they were read; none if it has errors."""
        if checked.typed_network is None or any(item.severity == "error" for item in checked.diagnostics):
            return []
        report = checked.new_report()
        network = LintedNetwork(
            checked.require(),
            checked.objective,
            checked.source.value,
            checked.flat.source_map if checked.flat is not None else identity_source_map,
            DataFacts() if data is None else _data_facts(data),
            _is_locked(checked.source.file),
            self.codes if data is not None else codes_without_data(self.codes),
            checked.silences,
        )
        lint_network(network, report)
        if checked.silences is not None:
            self._used_silences |= checked.silences.used
        return list(report)

    def selected(self, diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
        """The diagnostics without the warnings that are not selected, and without silences that a scale uses."""
        used_paths = {f"$.lint.ignore[{index}]" for index in self._used_silences}
        return [
            item
            for item in diagnostics
            if not (item.severity != "error" and item.code in CHECK_WARNINGS and item.code not in self.codes)
            and not (item.code == UNUSED_SILENCE and item.path in used_paths)
        ]


def _is_locked(spec_file: str | None) -> bool:
    """Whether the lock file beside a spec has an entry for it. A damaged lock file is not the rules' matter."""
    if spec_file is None or spec_file == STDIN_NAME:
        return False
    path = Path(spec_file).parent / LOCK_FILE
    try:
        if not path.is_file() or os.path.getsize(path) > MAX_LOCK_BYTES:
            return False
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    specs = document.get("specs") if isinstance(document, dict) else None
    return isinstance(specs, dict) and Path(spec_file).name in specs


def _data_facts(data: DataCheck) -> DataFacts:
    counts = {part: len(samples) for part, samples in data.samples.items()}
    classes = {output: dict(parts["train"]) for output, parts in data.class_counts.items() if "train" in parts}
    return DataFacts(counts, classes, _input_ranges(data), labels=data.labels)


def _input_ranges(data: DataCheck) -> Mapping[str, tuple[float, float]]:
    """The least and the greatest number of the first training samples, by input."""
    import numpy as np

    train = data.samples.get("train")
    ranges: dict[str, tuple[float, float]] = {}
    for name in train.inputs if train is not None else ():
        assert train is not None
        array = np.asarray(train.samples_of(name, slice(0, SAMPLES_FOR_RANGE)))
        finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
        if finite.size and finite.dtype.kind in "fiu":
            ranges[name] = (float(finite.min()), float(finite.max()))
    return ranges
