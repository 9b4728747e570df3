"""The state of a training run in one file: arrays in the safetensors format, everything else as JSON in its header.

A digest in the header covers the names, types, shapes and bytes of all arrays and the JSON, so that any flipped bit is
found.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from math import nan
from typing import Any, NoReturn

import numpy as np

from ...core.diagnostics import CompileError, Diagnostic
from ...core.files.digests import hashed_parts
from ...core.files.files import error_reason, open_file, write_atomically
from ...core.json_shapes import COUNT, METRIC, NUMBER, TEXT, has_shape
from ...core.reserved_names import LEARNING_RATE, callback_arrays
from ...data.samples.array_digest import update_digest
from ...interop.bfloat16 import typed
from ...interop.safetensors_file import SafetensorsFile, safetensors_parts
from ..callbacks.callback_states import SavedStates

FORMAT_VERSION = 2
_METADATA_KEY = "jsonnx"


def save(path: str, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> str:
    """Write a checkpoint atomically. Returns the SHA-256 of the file. Raises UsageError `unwritable-file`."""
    text = json.dumps({"format": FORMAT_VERSION, **state})
    header = json.dumps({"sha256": _digest(sorted(arrays.items()), text), "state": text})
    digest = sha256()
    write_atomically(path, hashed_parts(safetensors_parts(arrays, {_METADATA_KEY: header}), digest))
    return digest.hexdigest()


def load(path: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the state. Large arrays are views of the file, which cannot be written.

    Raises UsageError `unreadable-file`, CompileError `bad-checkpoint`.
    """
    with open_file(path) as file:
        try:
            stored = SafetensorsFile(file)
            fields = json.loads(stored.metadata[_METADATA_KEY])
            text, digest = fields["state"], fields["sha256"]
            if digest != _digest(((name, typed(stored.read(name))) for name in stored.names), text):
                raise_bad_checkpoint(path, "its contents do not match its checksum")
            arrays = {name: typed(array) for name, array in stored.arrays().items()}
            return arrays, _checked_state(path, json.loads(text))
        except OSError as error:  # such as a bad sector
            raise_bad_checkpoint(path, f"it cannot be read ({error_reason(error)})")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise_bad_checkpoint(path, f"it is damaged or not a checkpoint ({str(error) or type(error).__name__})")


def _checked_state(path: str, state: Any) -> dict[str, Any]:
    """The state in a file, with all entries. Raises CompileError `bad-checkpoint`."""
    state.setdefault("learning_rate", None)  # in files of earlier versions
    state.setdefault("callbacks", None)  # in files of runs without states of callbacks
    if isinstance(state.get("progress"), dict):
        state["progress"].setdefault("plateau", None)  # in files of runs without one
    if state["format"] != FORMAT_VERSION:
        raise_bad_checkpoint(
            path, f"its format is {state['format']}, this version of jsonnx reads format {FORMAT_VERSION}"
        )
    if not has_shape(state, _STATE_SHAPE) or not _has_short_history(state["progress"]):
        raise_bad_checkpoint(path, "its description of the run is malformed")
    history = state["progress"]["history"] if state["progress"] is not None else None
    if history is not None and history["epoch"]:
        history["history"].setdefault(LEARNING_RATE, [nan] * len(history["epoch"]))  # in files of earlier versions
    return dict(state)


def split_callbacks(
    path: str, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], SavedStates]:
    """The arrays of a checkpoint without the callbacks' arrays, and the callbacks' states. Raises CompileError
    `bad-checkpoint`."""
    entries = callback_arrays(arrays)
    values = {number: arrays[name].copy() for name, number in entries.items()}
    try:
        saved = SavedStates.decoded(state["callbacks"], values)
    except (ValueError, TypeError) as error:
        raise_bad_checkpoint(path, f"its states of callbacks are malformed ({error})")
    return {name: array for name, array in arrays.items() if name not in entries}, saved


_STATE_SHAPE: dict[str, Any] = {
    "format": COUNT,
    "spec": {"": TEXT},
    "vocabulary_files": {"": TEXT},
    "initial_weights": TEXT,
    "seed": COUNT,
    "steps": COUNT,
    "learning_rate": [None, NUMBER],
    "environment": {"": None},
    "progress": [
        None,
        {
            **dict.fromkeys(("offset", "epoch", "batch"), COUNT),
            "finished": None,
            "totals": {"samples": COUNT, "sums": {"": None}},
            "history": {"history": {"": (METRIC,)}, "epoch": (COUNT,)},
            "watch": [None, {"best": NUMBER, "best_epoch": NUMBER, "wait": COUNT}],
            "setting": {"": None},
            "plateau": [None, {"best": NUMBER, "wait": COUNT, "cooldown": COUNT}],
        },
    ],
    "callbacks": [
        None,
        {"states": {"": {"": None}}, "event": [None, {"name": TEXT, "arguments": None, "uncalled": (TEXT,)}]},
    ],
}


def _has_short_history(progress: Mapping[str, Any] | None) -> bool:
    """Whether no metric has more values than there are epochs; those of callbacks may have fewer."""
    if progress is None:
        return True
    return all(len(values) <= len(progress["history"]["epoch"]) for values in progress["history"]["history"].values())


def raise_bad_checkpoint(path: str, message: str) -> NoReturn:
    raise CompileError([Diagnostic("bad-checkpoint", f"cannot resume the run from {path!r}: {message}", file=path)])


def _digest(arrays: Iterable[tuple[str, np.ndarray]], text: str) -> str:
    """The digest of arrays in the order of their names, which are taken one by one."""
    digest = sha256(text.encode())
    for name, array in arrays:
        update_digest(digest, [(name, array)])
        del array  # before the next one is read
    return digest.hexdigest()
