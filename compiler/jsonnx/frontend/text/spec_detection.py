"""Tells specs from other JSON files, for hooks that are handed all JSON files of a repository."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ...core.diagnostics import CompileError, UsageError
from ..json.json_reader import read_bytes

SPEC_SCHEMA = "model.schema.json"
LAYERS_KEY = "layers"
FURTHER_KEYS = ("inputs", "outputs", "training", "blocks", "parameters", "scales", "labels", "sweep")
"""Keys of a spec besides `layers`, without keys that files of many kinds have, such as `name`."""

_KEY_PATTERN = re.compile(rb'"([a-z$]+)"\s*:\s*("[^"\n]*")?')


def is_spec_file(path: str) -> bool:
    """Whether a file is a spec, valid or not: its `$schema` is that of specs, or it has `layers` and another key.

    A file that cannot be read counts as one, so that its reader reports it; one that is too large for a spec does not.
    In damaged JSON, the keys of all objects count.
    """
    try:
        data = read_bytes(path)
    except UsageError:
        return True
    except CompileError:  # too large
        return False
    if b'"layers"' not in data and SPEC_SCHEMA.encode() not in data:
        return False
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        matches = _KEY_PATTERN.finditer(data)
        document = {match[1].decode(): (match[2] or b"").decode(errors="replace").strip('"') for match in matches}
    return isinstance(document, dict) and has_keys_of_a_spec(document)


def has_keys_of_a_spec(document: Mapping[str, Any]) -> bool:
    """Whether an object has the keys of a spec."""
    schema = document.get("$schema")
    if isinstance(schema, str) and schema.endswith(SPEC_SCHEMA):
        return True
    return LAYERS_KEY in document and any(key in document for key in FURTHER_KEYS)
