"""Inputs of the network that are made by repetition: `"field": {"shape": [], "repeat": 20}`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report
from ...core.limits import MAX_INPUTS
from ..schema.phrases import short_name
from .evaluator import EvaluationScope, Evaluator, ExpansionTooLarge
from .expression_values import Values
from .expressions import INDEX
from .repetition import RepetitionReader
from .template import Copies

INPUTS: JsonPath = ("inputs",)
COLUMNS: JsonPath = ("training", "data", "x")
"""The sections of a spec whose keys are names of inputs."""


def has_repeated_inputs(document: Mapping[str, Json]) -> bool:
    inputs = document.get("inputs")
    return isinstance(inputs, dict) and any(isinstance(entry, dict) and "repeat" in entry for entry in inputs.values())


@dataclass(eq=False, repr=False)
class InputExpander:
    """Expands the inputs of a network, and what is written by the name of an input."""

    evaluator: Evaluator
    values: Values
    scope: EvaluationScope
    invalid_paths: list[JsonPath]
    """Paths of the flat document with errors, to which those of the inputs are added."""
    counts: dict[str, int] = field(default_factory=dict)
    """The numbers of copies of the repeated inputs."""
    copies: dict[str, Copies] = field(default_factory=dict)
    written_names: dict[str, str] = field(default_factory=dict)
    """The names of the repeated inputs, by the names of their copies."""

    @property
    def report(self) -> Report:
        return self.evaluator.report

    def expanded_inputs(self, section: Mapping[str, Json]) -> dict[str, Json]:
        """The inputs of the flat document."""
        reader = RepetitionReader(self.evaluator, self.values, self.scope)
        for name, entry in section.items():
            if isinstance(entry, dict) and "repeat" in entry:
                count = reader.count(entry, (*INPUTS, name))
                self.counts[name] = 1 if count is None else count
                self._check_count(name)
                members = [f"{name}_{number}" for number in range(1, self.counts[name] + 1)]
                self.copies[name] = Copies(name, (*INPUTS, name), members, count is not None)
                for member in members:
                    self.written_names[member] = name
                    if member in section:
                        message = f"the name {short_name(member)} is that of a copy of {short_name(name)}"
                        notes = [((*INPUTS, name), f"{short_name(name)} is repeated here")]
                        path, help = (*INPUTS, member), "rename one of them"
                        self.report.add("duplicate-name", path, message, help=help, notes=notes, at_key=True)
        without_repeat = {
            name: {key: value for key, value in entry.items() if key != "repeat"} if name in self.counts else entry
            for name, entry in section.items()
        }
        return dict(self._by_copy(without_repeat, INPUTS))

    def expanded_columns(self, section: Mapping[str, Json]) -> dict[str, Json]:
        """The columns by input of the flat document."""
        return dict(self._by_copy(section, COLUMNS))

    def _by_copy(self, section: Mapping[str, Json], path: JsonPath) -> Iterator[tuple[str, Json]]:
        """Yields the names of the inputs with their values; a value of a repeated input is evaluated for each copy."""
        for name, raw in section.items():
            for index in range(self.counts.get(name, 1)):
                member = f"{name}_{index + 1}" if name in self.counts else name
                values = {**self.values, INDEX: index} if name in self.counts else self.values
                invalid_paths: list[JsonPath] = []
                value = self.evaluator.evaluate(raw, values, (*path, name), invalid_paths, self.scope)
                self.invalid_paths += [(*path, member, *invalid[len(path) + 1 :]) for invalid in invalid_paths]
                yield member, value

    def _check_count(self, name: str) -> None:
        """Reports an error and raises ExpansionTooLarge if there are too many inputs."""
        if sum(self.counts.values()) > MAX_INPUTS:
            message = f"this expands to more than {MAX_INPUTS:,} inputs"
            self.report.add("too-large", (*INPUTS, name), message, help="use fewer repetitions")
            raise ExpansionTooLarge
