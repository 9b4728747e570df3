"""Replaces the names of outputs by names of layers, wherever a document names outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.components import Json
from ...core.diagnostics import JsonPath
from ..network import auxiliary_output_names
from ..schema.fast_validator import is_valid
from ..schema.schema import root_schema
from .output_keys import with_output_names
from .references import ReferenceResolver
from .template import Ref

OUTPUTS: JsonPath = ("outputs",)
AUXILIARY_OUTPUTS: JsonPath = ("training", "auxiliary_outputs")


class OutputResolver:
    """Resolves the names of outputs, which may be those of uses of blocks and of copies."""

    def __init__(
        self,
        resolver: ReferenceResolver,
        default_outputs: Mapping[str, Ref],
        invalid_paths: list[JsonPath],
    ) -> None:
        """`default_outputs` are those of a document that names none."""
        self.resolver, self.default_outputs, self.invalid_paths = resolver, default_outputs, invalid_paths
        self.written_indexes: dict[JsonPath, list[int]] = {}
        """For each item of the lists of outputs, its index in the list as written."""
        self.written_keys: dict[JsonPath, str] = {}
        """The keys that name outputs as written, by the paths that they have in the flat document."""
        self._names: dict[str, str] = {}
        """The names of layers, by the names of outputs as written."""

    def resolved(self, flat: Mapping[str, Json], last_name: str) -> dict[str, Json]:
        """A flat document with names of layers as outputs; `last_name` is the name of its last layer."""
        document = {**flat, **self._outputs(flat, last_name)}
        if names := auxiliary_output_names(document):
            training: Any = document["training"]
            names = self._resolved_names(list(names), AUXILIARY_OUTPUTS)
            document["training"] = {**training, AUXILIARY_OUTPUTS[-1]: names}
        document, self.written_keys = with_output_names(document, self._output_names(document))
        return document

    def _outputs(self, flat: Mapping[str, Json], last_name: str) -> dict[str, Json]:
        """The `outputs` of the flat document, which are left out if the last layer is the only one."""
        if "outputs" not in flat:
            refs = [*self.default_outputs.values()]
            return {"outputs": refs if len(refs) > 1 else refs[0]} if refs not in ([], [last_name]) else {}
        outputs = flat["outputs"]
        if isinstance(outputs, dict) and is_valid(outputs, root_schema()["properties"]["outputs"]):
            outputs = list(outputs)
        if not isinstance(outputs, (str, list)):
            return {"outputs": outputs}
        names = self._resolved_names(outputs, OUTPUTS)
        return {"outputs": names[0] if isinstance(outputs, str) and len(names) == 1 else names}

    def _resolved_names(self, written: str | list[Json], path: JsonPath) -> list[Json]:
        names: list[Json] = []
        indexes = self.written_indexes.setdefault(path, [])
        for index, name in enumerate(written if isinstance(written, list) else [written]):
            name_path = (*path, index) if isinstance(written, list) else path
            refs = self.resolver.resolve_all(name, name_path, self.invalid_paths) if isinstance(name, str) else []
            names += refs or [name]
            indexes += [index] * (len(refs) or 1)
            self._names |= {str(name): str(ref) for ref in refs if len(refs) == 1}
        return names

    def _output_names(self, document: Mapping[str, Json]) -> dict[str, str]:
        """The names of outputs in the flat document, by the other names that lead to them."""
        reference = document.get("outputs", [*self.default_outputs.values()])
        written = reference if isinstance(reference, list) else [reference]
        outputs = {name for name in (*written, *auxiliary_output_names(document)) if isinstance(name, str)}
        names = {**self.resolver.results_by_name(), **self.default_outputs, **self._names}
        return {name: str(ref) for name, ref in names.items() if ref in outputs and name not in outputs}
