"""The standard library: blocks that every spec can use as types `std.NAME`, written in the spec language.

`NAME.json` is a spec of its own. Its `blocks` define the block of that name, and its network is an example of a use.
A file is read when a spec uses its block.

The library belongs to the version of the language: a block of this version keeps its layers, weights and numbers, and
a further parameter has a default that changes none of them. So a model's metadata and a RUN folder, which contain the
spec as written, lead to the same network with every later release that reads the version.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

PREFIX = "std."
"""Begins the types that are blocks of the library. No block of a spec can have such a name."""


@cache
def block_types() -> tuple[str, ...]:
    """Returns the types of all blocks, sorted: `std.Bottleneck`, ..."""
    return tuple(sorted(f"{PREFIX}{file.name.removesuffix('.json')}" for file in _folder() if _is_spec(file.name)))


@cache
def library_spec(type_: str) -> dict[str, Any]:
    """Returns the spec that defines the block of a type and uses it. Raises KeyError if there is no such block.

    Callers share it and must not change it.
    """
    name = type_.removeprefix(PREFIX)
    for file in _folder():
        if file.name == f"{name}.json" and type_ == f"{PREFIX}{name}":
            return json.loads(file.read_text(encoding="utf-8"))
    raise KeyError(type_)


def library_block(type_: str) -> dict[str, Any]:
    """Returns the definition of the block of a type, as in the section `blocks` of a spec. Raises KeyError."""
    return library_spec(type_)["blocks"][type_.removeprefix(PREFIX)]


def _folder() -> list[Any]:
    """Returns the files of this package, which may be in an archive."""
    from importlib.resources import files  # takes longer to import than a spec without these blocks to check

    return list(files(__package__).iterdir())


def _is_spec(name: str) -> bool:
    return name.endswith(".json")
