"""Opens Keras files: a model's JSON, a `.keras` archive or folder, an `.h5` file, a weights file.

The format is detected from the contents. The configuration and the arrays are read, but not interpreted.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from ...core.diagnostics import Diagnostic, UsageError
from ...core.files.file_kinds import (
    HDF5,
    JSON,
    KERAS,
    SAVED_MODEL,
    SIGNATURE_BYTES,
    file_kind,
    is_saved_model,
    kind_error,
)
from ...core.files.files import UnsafePath, error_reason, open_beneath, open_file
from ...core.limits import MAX_KERAS_JSON_CONTAINERS, MAX_KERAS_JSON_DEPTH, MAX_READ_TEXT_BYTES
from ...frontend.json.json_reader import Limits, Source, read_text
from ...frontend.schema.phrases import name_list
from ..file_slice import FileSlice
from ..hdf5 import Hdf5Weights, is_hdf5, read_hdf5, spool_to_temporary_file
from ..read_budget import ReadBudget, damaged_file_error, unsafe_file_error
from ..zip_reader import ZipArchive

CONFIG_FILE, METADATA_FILE, WEIGHTS_FILE = "config.json", "metadata.json", "model.weights.h5"
WEIGHT_MAP_KEY = "weight_map"
JSON_LIMITS = Limits(
    max_bytes=MAX_READ_TEXT_BYTES,
    max_depth=MAX_KERAS_JSON_DEPTH,
    max_containers=MAX_KERAS_JSON_CONTAINERS,
    max_keys=2 * MAX_KERAS_JSON_CONTAINERS,
)
"""The depth of the JSON: each nested model adds about eight levels; a chain of calls adds none."""

A_KERAS_FILE = "a Keras model (.keras, .h5 or JSON)"
"""The files that the import takes, for messages."""

FileFormat = Literal["json", "keras", "h5", "weights"]


@dataclass(frozen=True)
class KerasFile:
    """The contents of a Keras file."""

    file: str | None
    """The file's name, for messages; None for JSON text."""
    file_format: FileFormat
    """`h5` is the format before `.keras`, `weights` a file without a model."""
    source: Source | None
    """The model's JSON with positions; None for a weights file."""
    version: str | None = None
    """The version of Keras, such as `2.13.1`, if the file states it."""
    compile_config: Source | None = None
    """The arguments of `compile`, which an `.h5` file stores separately."""
    weights: Hdf5Weights | None = None
    weights_file: str | None = None
    """The file of the weights, if it is another one."""
    assets: Mapping[str, bytes] = field(default_factory=dict)
    """Vocabularies and the like, by path below `assets/` in the archive."""
    notices: tuple[Diagnostic, ...] = ()
    """Warnings about contents that are ignored or missing."""

    @property
    def config(self) -> Any:
        """The model's JSON."""
        return None if self.source is None else self.source.value


def open_keras(path_or_text: str | os.PathLike[str], budget: ReadBudget | None = None) -> KerasFile:
    """Reads a Keras file, a folder, or a model's JSON text.

    Raises UsageError if the file cannot be opened, CompileError if it is damaged, unsafe, too large, or of another
    format.
    """
    text = path_or_text if isinstance(path_or_text, str) and path_or_text.lstrip()[:1] in ("{", "[") else None
    if text is not None:
        return _read_json(text, None, budget or ReadBudget())
    name = os.fspath(path_or_text)
    budget = budget or ReadBudget()
    budget.file = name
    if os.path.isdir(name):
        if is_saved_model(name) and (error := kind_error(SAVED_MODEL, name, A_KERAS_FILE)):
            raise error
        return _read_model_archive(_UnpackedArchive(Path(name), budget), budget)
    try:
        with open_file(name) as file:
            return _read_by_signature(file, Path(name), budget)
    except OSError as error:
        raise UsageError("unreadable-file", f"cannot read {name!r}: {error_reason(error)}") from error


def read_open_keras_file(file: IO[bytes], name: str) -> KerasFile:
    """Reads an open Keras file; `name` is for messages. Opening it again by name could yield another file."""
    return _read_by_signature(file, Path(name), ReadBudget(name))


def _read_by_signature(file: IO[bytes], path: Path, budget: ReadBudget) -> KerasFile:
    """Detects the format from the first bytes."""
    start = file.read(SIGNATURE_BYTES)
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if error := kind_error(file_kind(start), budget.file, A_KERAS_FILE, (KERAS, HDF5, JSON)):
        raise error
    if is_hdf5(start[:8]):
        return _read_h5(FileSlice(file.fileno(), 0, size), budget)
    if start.startswith(b"PK"):
        return _read_model_archive(ZipArchive(file, budget), budget)
    if start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[", b""):
        budget.take_text(size, "the file")
        return _read_json(file.read(size), path, budget)
    help = "supported are a model's JSON, a .keras archive, and an .h5 file"
    raise damaged_file_error(budget.file, "not a Keras file", help)


# -- JSON --------------------------------------------------------------------------------------------------------------


def _read_json(text: str | bytes, path: Path | None, budget: ReadBudget) -> KerasFile:
    source = read_text(text, budget.file, JSON_LIMITS, non_finite=True)
    value = source.value
    if isinstance(value, dict) and WEIGHT_MAP_KEY in value and path is not None:
        return KerasFile(budget.file, "weights", None, weights=_read_shards(value[WEIGHT_MAP_KEY], path, budget))
    version = value.get("keras_version") if isinstance(value, dict) else None
    return KerasFile(budget.file, "json", source, version if isinstance(version, str) else None)


def _read_shards(weight_map: Any, index_path: Path, budget: ReadBudget) -> Hdf5Weights:
    """Reads weights that are split into several files, which must be in the folder of their index."""
    values = list(weight_map.values()) if isinstance(weight_map, dict) else [weight_map]
    names = [name for value in values for name in (value if isinstance(value, list) else [value])]
    if not all(isinstance(name, str) for name in names):
        raise damaged_file_error(budget.file, f"{WEIGHT_MAP_KEY!r} must map each group to a file name")
    weights = Hdf5Weights()
    for name in dict.fromkeys(names):
        if name != os.path.basename(name) or "\\" in name:
            raise unsafe_file_error(budget.file, f"the index refers to {name!r}, which is not in its folder")
        with _open_member(index_path.parent, name, budget) as file:
            size = os.fstat(file.fileno()).st_size
            shard = read_hdf5(FileSlice(file.fileno(), 0, size), budget)
        weights.arrays |= shard.arrays
        weights.attributes |= shard.attributes
        weights.skipped_groups += shard.skipped_groups
    return weights


# -- HDF5 --------------------------------------------------------------------------------------------------------------


def _read_h5(file: FileSlice, budget: ReadBudget) -> KerasFile:
    """Reads an `.h5` file of any version, with or without a model."""
    weights = read_hdf5(file, budget)
    version = weights.text_attribute("", "keras_version") or weights.text_attribute("model_weights", "keras_version")
    notices = tuple(_optimizer_state_warnings(weights, budget))
    config = weights.text_attribute("", "model_config")
    if config is None:
        return KerasFile(budget.file, "weights", None, version, weights=weights, notices=notices)
    training = weights.text_attribute("", "training_config")
    return KerasFile(
        budget.file,
        "h5",
        read_text(config, budget.file, JSON_LIMITS, non_finite=True),
        version,
        None if training is None else read_text(training, budget.file, JSON_LIMITS, non_finite=True),
        weights,
        notices=notices,
    )


def _optimizer_state_warnings(weights: Hdf5Weights, budget: ReadBudget) -> Iterator[Diagnostic]:
    if weights.skipped_groups:
        message = "the optimizer's state is not imported: training starts with a new one"
        yield Diagnostic("not-imported", message, file=budget.file, severity="warning")


# -- .keras ------------------------------------------------------------------------------------------------------------


class _UnpackedArchive:
    """A folder with the members of an archive, with the interface of ZipArchive."""

    def __init__(self, path: Path, budget: ReadBudget) -> None:
        self.path, self.budget = path, budget
        self._open_files: list[IO[bytes]] = []
        try:
            paths = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
        except OSError as error:
            raise UsageError("unreadable-file", f"cannot read {str(path)!r}: {error_reason(error)}") from error
        budget.take_objects(len(paths), "the folder's files")
        self._member_names = [member.relative_to(path).as_posix() for member in paths]

    def member_names(self) -> list[str]:
        return self._member_names

    def read(self, name: str) -> bytes:
        with _open_member(self.path, name, self.budget) as file:
            size = os.fstat(file.fileno()).st_size
            self.budget.take_text(size, f"the file {name!r}")
            return file.read(size)

    def member_slice(self, name: str) -> FileSlice | None:
        file = _open_member(self.path, name, self.budget)
        self._open_files.append(file)
        return FileSlice(file.fileno(), 0, os.fstat(file.fileno()).st_size)

    def chunks(self, name: str) -> Iterator[bytes]:
        yield self.read(name)


def _open_member(folder: Path, name: str, budget: ReadBudget) -> IO[bytes]:
    try:
        return open_beneath(folder, name)
    except UnsafePath as error:
        raise unsafe_file_error(budget.file, str(error)) from None


def _read_model_archive(members: ZipArchive | _UnpackedArchive, budget: ReadBudget) -> KerasFile:
    names = members.member_names()
    if CONFIG_FILE not in names:
        help = "model.save() of Keras writes .keras archives"
        raise damaged_file_error(budget.file, f"the archive has no {CONFIG_FILE!r}", help)
    source = read_text(members.read(CONFIG_FILE), budget.file, JSON_LIMITS, non_finite=True)
    version, messages = None, []
    if METADATA_FILE in names:
        metadata = read_text(members.read(METADATA_FILE), budget.file, JSON_LIMITS, non_finite=True).value
        recorded = metadata.get("keras_version") if isinstance(metadata, dict) else None
        version = recorded if isinstance(recorded, str) else None
    else:
        messages.append(f"the archive has no {METADATA_FILE!r}: the version of Keras is unknown")
    weights = _read_archive_weights(members, names, budget)
    if weights is None:
        messages.append(f"the archive has no {WEIGHTS_FILE!r}: the model is imported without weights")
    assets = {name.removeprefix("assets/"): members.read(name) for name in names if name.startswith("assets/")}
    model_files = {CONFIG_FILE, METADATA_FILE, WEIGHTS_FILE, "model.weights.npz"}
    if extra := [name for name in names if name not in model_files and not name.startswith("assets/")]:
        messages.append(f"the archive has members that are not part of a model: {name_list(extra)}")
    notices = [Diagnostic("not-imported", message, file=budget.file, severity="warning") for message in messages]
    notices += _optimizer_state_warnings(weights, budget) if weights else []
    return KerasFile(budget.file, "keras", source, version, weights=weights, assets=assets, notices=tuple(notices))


def _read_archive_weights(
    members: ZipArchive | _UnpackedArchive, names: list[str], budget: ReadBudget
) -> Hdf5Weights | None:
    if WEIGHTS_FILE not in names:
        return None
    file_slice = members.member_slice(WEIGHTS_FILE)
    if file_slice is not None:
        return read_hdf5(file_slice, budget)
    with spool_to_temporary_file(members.chunks(WEIGHTS_FILE), budget) as file:
        return read_hdf5(FileSlice(file.fileno(), 0, file.seek(0, io.SEEK_END)), budget)
