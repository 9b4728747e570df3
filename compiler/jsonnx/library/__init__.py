"""The standard library: blocks that every spec can use as types `std.NAME`, written in the spec language.

`NAME.json` is a spec of its own. Its first block is the one of that name, further ones are parts of it, and its network
is an example. A file is read when a spec uses its block.

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
    """The types of all blocks, sorted: `std.Bottleneck`, ..."""
    return tuple(sorted(f"{PREFIX}{file.name.removesuffix('.json')}" for file in _folder() if _is_spec(file.name)))


def source_text(type_: str) -> str:
    """The text of the spec that defines the block of a type. Raises KeyError if there is no such block."""
    name = type_.removeprefix(PREFIX)
    for file in _folder():
        if file.name == f"{name}.json" and type_ == f"{PREFIX}{name}":
            return file.read_text(encoding="utf-8")
    raise KeyError(type_)


@cache
def library_spec(type_: str) -> dict[str, Any]:
    """The spec that defines the block of a type and uses it. Raises KeyError if there is no such block.

    Callers share it and must not change it.
    """
    return json.loads(source_text(type_))


def example(type_: str) -> dict[str, Any]:
    """The example of a block, a spec that uses it by its type. Raises KeyError if there is no such block."""
    spec = library_spec(type_)
    main = type_.removeprefix(PREFIX)
    layers = [entry | {"type": type_} if entry["type"] == main else entry for entry in spec["layers"]]
    return {key: value for key, value in spec.items() if key != "blocks"} | {"layers": layers}


def block_definitions(type_: str) -> dict[str, Any]:
    """The definitions that the block of a type consists of, by type, as in the section `blocks` of a spec.

    The first is the block itself; the others are the further blocks of its file, such as `std.MLP.hidden`, which specs
    cannot use. Raises KeyError if there is no such block.
    """
    blocks = library_spec(type_)["blocks"]
    main = type_.removeprefix(PREFIX)
    types = {name: type_ if name == main else f"{type_}.{name}" for name in blocks}
    return {
        types[name]: block
        | {"layers": [entry | {"type": types.get(entry["type"], entry["type"])} for entry in block["layers"]]}
        for name, block in blocks.items()
    }


def _folder() -> list[Any]:
    """The files of this package, which may be in an archive."""
    from importlib.resources import files  # takes longer to import than a spec without these blocks to check

    return list(files(__package__).iterdir())


def _is_spec(name: str) -> bool:
    return name.endswith(".json")
