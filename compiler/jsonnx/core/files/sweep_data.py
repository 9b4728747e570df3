"""The folder of the data of the specs in a SWEEP folder: that of the spec that the sweep was started from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..diagnostics import UsageError
from .files import UnsafePath, open_beneath

SWEEP_FILE, SPEC_FILE = "sweep.json", "spec.json"
"""The description of a sweep, and the text of its spec."""
MAX_DESCRIPTION_BYTES = 1 << 20


def sweep_roots(folder: Path) -> tuple[Path, ...]:
    """The folder whose files the specs in a SWEEP folder may name as the first spec does; empty for other folders.

    Someone else may have made the SWEEP folder: the other one must lie beneath the current folder, or have the spec.
    """
    if not os.path.isfile(folder / SWEEP_FILE):
        return ()
    description = _read_object(folder, SWEEP_FILE)
    name, spec = description.get("spec_folder"), description.get("spec")
    if not isinstance(name, str) or not isinstance(spec, str) or "\0" in name + spec:
        return ()
    root = Path(os.path.realpath(folder / name))
    is_beneath = root.is_relative_to(os.path.realpath(os.curdir))
    return (root,) if root.is_dir() and (is_beneath or _has_same_spec(root, spec, folder)) else ()


def _has_same_spec(root: Path, name: str, folder: Path) -> bool:
    own = _read_object(folder, SPEC_FILE)
    return "layers" in own and _read_object(root, name) == own


def _read_object(folder: Path, name: str) -> dict[str, Any]:
    """The object in a JSON file; empty if it cannot be read."""
    try:
        with open_beneath(folder, name) as file:
            value = json.loads(file.read(MAX_DESCRIPTION_BYTES))
    except (OSError, UsageError, UnsafePath, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
