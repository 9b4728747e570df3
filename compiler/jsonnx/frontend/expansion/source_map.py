"""Maps paths of the flat document to paths of the source document."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

from ...core.components import Json
from ...core.diagnostics import JsonPath, SourceLocation
from ..network import BLOCK_USES
from ..schema.phrases import short_name
from .expressions import sole_name
from .parameters import read_parameters
from .repeated_inputs import COLUMNS, INPUTS
from .template import BlockUse, block_use_notes

MAX_HOPS = 200
"""Parameters that a value is followed through, from a use of a block to the enclosing one."""


class ScopedPath(NamedTuple):
    """The source path of a layer of the flat document, and the use of the block that contains it."""

    path: JsonPath
    block_use: BlockUse | None = None
    source_indexes: Sequence[int] | None = None
    """The index in the source's `from` of each name in `from`, if they differ."""


class ExpansionSourceMap:
    """Maps paths of the flat document to paths of the source document."""

    def __init__(
        self,
        document: Mapping[str, Json],
        layer_paths: Sequence[ScopedPath],
        use_paths: Sequence[ScopedPath] = (),
        input_names: Mapping[str, str] = {},
        written_indexes: Mapping[JsonPath, Sequence[int]] = {},
        written_keys: Mapping[JsonPath, str] = {},
    ) -> None:
        """`layer_paths` are the paths of `layers`, and `use_paths` the paths of uses of blocks, at `(BLOCK_USES,
        index)`. `input_names` are the written names of repeated inputs, by the names of their copies,
        `written_indexes` the written indexes of the items of lists of outputs, and `written_keys` the written keys that
        name outputs, by their paths."""
        self.document, self.input_names, self.written_indexes = document, input_names, written_indexes
        self.written_keys = written_keys
        self.sections = {"layers": layer_paths, BLOCK_USES: use_paths}

    def __call__(self, path: JsonPath, key: bool = False) -> SourceLocation:
        """The source of a value. An expression that is only a name, such as `"${width}"`, is followed to the
        argument or default that gave the parameter its value."""
        layer, rest, instance = self._written_place(path)
        source_path, value, rest = self._descend(layer.path, rest)
        notes: list[tuple[JsonPath, str]] = []
        block_use = layer.block_use
        for _ in range(0 if key and not rest else MAX_HOPS):
            parameter = sole_name(value)
            argument = self._argument_path(parameter, block_use) if parameter else None
            if argument is None:
                break
            notes.append((source_path, f"{short_name(str(parameter))} is used here"))
            block_use = argument.block_use
            source_path, value, rest = self._descend(argument.path, rest)
        return SourceLocation(source_path, (*notes[:1], *block_use_notes(layer.block_use)), instance)

    def _written_place(self, path: JsonPath) -> tuple[ScopedPath, JsonPath, Hashable]:
        """The layer that a path leads to, the rest of the path as written, and the instance of the written value."""
        layer, rest = ScopedPath(()), path
        instance: Hashable = None
        section = self.sections.get(str(path[0]), ()) if len(path) > 1 else ()
        if section and isinstance(path[1], int) and path[1] < len(section):
            layer, rest, instance = section[path[1]], path[2:], path[1]
        if layer.source_indexes and len(rest) == 2 and rest[0] == "from" and isinstance(rest[1], int):
            instance = instance, rest[1]
            rest = ("from", *layer.source_indexes[rest[1] : rest[1] + 1])
        for section_path in (INPUTS, COLUMNS):
            if path[: len(section_path)] == section_path and path[len(section_path) :][:1]:
                name = str(path[len(section_path)])
                instance = name if name in self.input_names else None
                rest = (*section_path, self.input_names.get(name, name), *path[len(section_path) + 1 :])
        for length in range(len(path) if self.written_keys else 0, 0, -1):
            if path[:length] in self.written_keys:
                rest = (*path[: length - 1], self.written_keys[path[:length]], *path[length:])
        if path and isinstance(path[-1], int) and path[:-1] in self.written_indexes:
            rest = (*path[:-1], self._written_key(path))
        return layer, rest, instance

    def _written_key(self, path: JsonPath) -> int | str:
        """The index or the key, as written, of an item of a list of outputs."""
        index = self.written_indexes[path[:-1]][int(path[-1])]
        outputs = self.document.get("outputs")
        return [*outputs][index] if path[:-1] == ("outputs",) and isinstance(outputs, Mapping) else index

    def _descend(self, path: JsonPath, rest: JsonPath) -> tuple[JsonPath, Json, JsonPath]:
        """Follows `path` and then `rest` as far as it exists; returns the path, its value, and the remaining steps."""
        value: Json = self.document
        for step in path:
            value = value[step]
        for number, step in enumerate(rest):
            is_item = isinstance(step, int) and isinstance(value, list) and 0 <= step < len(value)
            if not is_item and not (isinstance(value, dict) and step in value):
                return (*path, *rest[:number]), value, rest[number:]
            value = value[step]
        return (*path, *rest), value, ()

    def _argument_path(self, name: str, block_use: BlockUse | None) -> ScopedPath | None:
        """The path of a parameter's value: of an argument, or of its default."""
        if block_use is None or name in block_use.block.globals:
            section = self.document.get("parameters")
            parameter = read_parameters(section if isinstance(section, Mapping) else {}, ("parameters",)).get(name)
            return ScopedPath(parameter.default_path) if parameter else None
        if name not in block_use.block.parameters:
            return None
        _, entry, _ = self._descend(block_use.arguments_path, ())
        if block_use.name and name in entry:
            return ScopedPath((*block_use.arguments_path, name), block_use.outer)
        return ScopedPath(block_use.block.parameters[name].default_path, block_use)
