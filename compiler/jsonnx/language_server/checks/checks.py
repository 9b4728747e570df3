"""The check of one version of a document: diagnostics, types, and the costs of layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.diagnostics import CompileError, Diagnostic, JsonPath, UsageError
from ...frontend.json.json_reader import read_text
from ..documents.documents import Document
from .entry_facts import EntryFacts, entry_facts

if TYPE_CHECKING:
    from ...lowering.cost import LayerCost
    from ...pipeline.check.check import CheckedSpec


class CheckCancelled(Exception):
    """A newer version of the document is to be checked instead."""


@dataclass(frozen=True, eq=False)
class SpecCheck:
    """The facts about a version of a document. `checked` is None if its text is not JSON."""

    document: Document
    diagnostics: list[Diagnostic]
    checked: CheckedSpec | None = None
    costs: Mapping[str, LayerCost] = field(default_factory=dict)
    """The costs of layers by name; empty until they are computed, and if the spec has errors."""

    @cached_property
    def facts(self) -> dict[JsonPath, EntryFacts]:
        """The facts about each entry of `layers`, by its path in the spec."""
        return entry_facts(self.checked, self.costs) if self.checked is not None else {}

    @property
    def has_types(self) -> bool:
        return self.checked is not None and self.checked.typed_network is not None


def check_document(
    document: Document, is_cancelled: Callable[[], bool], open_text: Callable[[Path], str | None]
) -> SpecCheck:
    """Checks a document. Raises CheckCancelled between two stages if it is cancelled."""
    from ...pipeline.validate.lint_spec import LintOptions
    from ...pipeline.validate.validate import validate_source

    def stop_if_cancelled(stage: str, value: object) -> None:
        if is_cancelled():
            raise CheckCancelled

    def buffer(path: Path) -> bytes | None:
        text = open_text(path)
        return None if text is None else text.encode(errors="surrogatepass")

    try:
        source = read_text(document.text, document.path, repairs=False)
        stop_if_cancelled("text", source)
        try:
            checked, diagnostics = validate_source(source, stop_if_cancelled, buffer, LintOptions())
        except UsageError as error:  # in the configuration of the rules
            checked, diagnostics = validate_source(source, stop_if_cancelled, buffer)
            diagnostics = [*diagnostics, error.diagnostic]
    except CompileError as error:
        return SpecCheck(document, error.diagnostics)
    except UsageError as error:
        return SpecCheck(document, [error.diagnostic])
    return SpecCheck(document, diagnostics, checked)


def compute_costs(check: SpecCheck) -> SpecCheck:
    """The check with the costs of its layers, if it has no errors. Imports onnx."""
    from ...lowering.cost import cost_table
    from ...pipeline.compile.graphs import costed_graph

    if check.checked is None or not check.has_types:
        return check
    try:
        rows = cost_table(check.checked.require(), costed_graph(check.checked))
    except CompileError:
        return check
    return SpecCheck(check.document, check.diagnostics, check.checked, {row.name: row for row in rows})
