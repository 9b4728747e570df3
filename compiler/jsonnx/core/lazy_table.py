"""A table whose values are defined by modules that are imported when they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TypeVar

Value = TypeVar("Value")


class LazyTable(Mapping[str, Value]):
    """Values by name. A module that adds some of them is imported when one of its values is asked for."""

    def __init__(self, module_by_name: Mapping[str, str]) -> None:
        self._module_by_name = module_by_name
        self._loaded: dict[str, Value] = {}

    def add(self, name: str, value: Value) -> None:
        """Adds a value, unless its name is taken."""
        self._loaded.setdefault(name, value)

    def __getitem__(self, name: str) -> Value:
        if name not in self._loaded and name in self._module_by_name:
            import_module(self._module_by_name[name])
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._loaded or name in self._module_by_name

    def __iter__(self) -> Iterator[str]:
        yield from self._module_by_name
        yield from [name for name in self._loaded if name not in self._module_by_name]

    def __len__(self) -> int:
        return len(self._loaded.keys() | self._module_by_name.keys())

    def imported(self) -> dict[str, Value]:
        """The values whose modules are imported."""
        return dict(self._loaded)
