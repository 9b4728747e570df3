"""Keras' files, by what is in them: a model's JSON, a `.keras` archive or folder, an `.h5` file, a file of weights.

Comes in: a path or the JSON text itself. Goes out: `KerasFile`, the configuration as it was written, with positions,
and the arrays by their paths in the file. What they mean is not asked here.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from ...core.diagnostics import CompileError, Diagnostic, UsageError
from ...core.files import UnsafePath, error_reason, open_beneath, open_file
from ...frontend.json_reader import Limits, Source, read_text
from ..file_slice import FileSlice
from ..hdf5 import Hdf5Weights, is_hdf5, read_hdf5, spool_to_temporary_file
from ..limits import ReadBudget, damaged_file_error
from ..zip_reader import ZipArchive

CONFIG_FILE, METADATA_FILE, WEIGHTS_FILE = "config.json", "metadata.json", "model.weights.h5"
WEIGHT_MAP_KEY = "weight_map"
JSON_LIMITS = Limits(max_depth=256)
"""Keras nests a model within a model some eight levels deeper; a chain of calls does not nest."""

FileFormat = Literal["json", "keras", "h5", "weights"]


@dataclass(frozen=True)
class KerasFile:
    """What one of Keras' files holds."""

    file: str | None
    """As shown to the user; None where the JSON text was given."""
    file_format: FileFormat
    """Where it came from: `h5` is the format before `.keras`, `weights` a file without a model."""
    source: Source | None
    """The model's JSON and where everything in it stands; None in a file of weights."""
    version: str | None = None
    """Keras' version as written, such as `2.13.1`."""
    compile_config: Source | None = None
    """How the model was compiled, where an `.h5` file keeps that apart."""
    weights: Hdf5Weights | None = None
    weights_file: str | None = None
    """Where the weights came from, where that is another file."""
    assets: Mapping[str, bytes] = field(default_factory=dict)
    """Vocabularies and the like, by their paths in the archive below `assets/`."""
    notices: tuple[Diagnostic, ...] = ()
    """What was seen and left out: warnings."""

    @property
    def config(self) -> Any:
        """The model's JSON as it was written."""
        return None if self.source is None else self.source.value


def open_keras(path_or_text: str | os.PathLike[str], budget: ReadBudget | None = None) -> KerasFile:
    """Read one of Keras' files, or a model's JSON text.

    Raises UsageError where there is no such file, CompileError for one that is damaged, unsafe, too large, or not one
    of Keras'.
    """
    text = path_or_text if isinstance(path_or_text, str) and path_or_text.lstrip()[:1] in ("{", "[") else None
    if text is not None:
        return _read_json(text, None, budget or ReadBudget())
    name = os.fspath(path_or_text)
    budget = budget or ReadBudget()
    budget.file = name
    if os.path.isdir(name):
        return _read_model_archive(_UnpackedArchive(Path(name), budget), budget)
    try:
        with open_file(name) as file:
            return _read_by_signature(file, Path(name), budget)
    except OSError as error:
        raise UsageError("unreadable-file", f"cannot read {name!r}: {error_reason(error)}") from error


def read_open_keras_file(file: IO[bytes], name: str) -> KerasFile:
    """The same of an open file of that name, not opened again, lest another one lies there by then."""
    return _read_by_signature(file, Path(name), ReadBudget(name))


def _read_by_signature(file: IO[bytes], path: Path, budget: ReadBudget) -> KerasFile:
    """A file by its first bytes; names say nothing."""
    start = file.read(8)
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if is_hdf5(start):
        return _read_h5(FileSlice(file.fileno(), 0, size), budget)
    if start.startswith(b"PK"):
        return _read_model_archive(ZipArchive(file, budget), budget)
    if start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[", b""):
        budget.take_text(size, "the file")
        return _read_json(file.read(size), path, budget)
    help = "a model's JSON, a .keras archive, or an .h5 file"
    raise damaged_file_error(budget.file, "not one of Keras' files", help)


# -- JSON --------------------------------------------------------------------------------------------------------------


def _read_json(text: str | bytes, path: Path | None, budget: ReadBudget) -> KerasFile:
    source = read_text(text, budget.file, JSON_LIMITS, non_finite=True)
    value = source.value
    if isinstance(value, dict) and WEIGHT_MAP_KEY in value and path is not None:
        return KerasFile(budget.file, "weights", None, weights=_read_shards(value[WEIGHT_MAP_KEY], path, budget))
    version = value.get("keras_version") if isinstance(value, dict) else None
    return KerasFile(budget.file, "json", source, version if isinstance(version, str) else None)


def _read_shards(weight_map: Any, index_path: Path, budget: ReadBudget) -> Hdf5Weights:
    """The arrays of weights that lie in several files beside their index."""
    values = list(weight_map.values()) if isinstance(weight_map, dict) else [weight_map]
    names = [name for value in values for name in (value if isinstance(value, list) else [value])]
    if not all(isinstance(name, str) for name in names):
        raise damaged_file_error(budget.file, f"{WEIGHT_MAP_KEY!r} has to say in which file each group lies")
    whole = Hdf5Weights()
    for name in dict.fromkeys(names):
        if name != os.path.basename(name) or "\\" in name:
            raise _unsafe_file_error(budget, f"the index names the file {name!r}, which does not lie beside it")
        with _open_member(index_path.parent, name, budget) as file:
            size = os.fstat(file.fileno()).st_size
            part = read_hdf5(FileSlice(file.fileno(), 0, size), budget)
        whole.arrays |= part.arrays
        whole.attributes |= part.attributes
        whole.skipped_groups += part.skipped_groups
    return whole


# -- HDF5 --------------------------------------------------------------------------------------------------------------


def _read_h5(file: FileSlice, budget: ReadBudget) -> KerasFile:
    """A whole model, or weights alone, of any version."""
    stored = read_hdf5(file, budget)
    version = stored.text_attribute("", "keras_version") or stored.text_attribute("model_weights", "keras_version")
    notices = tuple(_optimizer_state_warnings(stored, budget))
    config = stored.text_attribute("", "model_config")
    if config is None:
        return KerasFile(budget.file, "weights", None, version, weights=stored, notices=notices)
    training = stored.text_attribute("", "training_config")
    return KerasFile(
        budget.file,
        "h5",
        read_text(config, budget.file, JSON_LIMITS, non_finite=True),
        version,
        None if training is None else read_text(training, budget.file, JSON_LIMITS, non_finite=True),
        stored,
        notices=notices,
    )


def _optimizer_state_warnings(stored: Hdf5Weights, budget: ReadBudget) -> Iterator[Diagnostic]:
    if stored.skipped_groups:
        message = "the optimizer's state is not taken over: training starts with a fresh one"
        yield Diagnostic("not-imported", message, file=budget.file, severity="warning")


# -- .keras ------------------------------------------------------------------------------------------------------------


class _UnpackedArchive:
    """The unpacked form of an archive."""

    def __init__(self, path: Path, budget: ReadBudget) -> None:
        self.path, self.budget = path, budget
        self._open_files: list[IO[bytes]] = []
        try:
            found = [Path(at, name) for at, _, files in os.walk(path) for name in files]
        except OSError as error:
            raise UsageError("unreadable-file", f"cannot read {str(path)!r}: {error_reason(error)}") from error
        budget.take_objects(len(found), "the folder's files")
        self._member_names = [file.relative_to(path).as_posix() for file in found]

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
        raise _unsafe_file_error(budget, str(error)) from None


def _unsafe_file_error(budget: ReadBudget, message: str) -> CompileError:
    return CompileError([Diagnostic("unsafe-file", message, file=budget.file)])


def _read_model_archive(members: ZipArchive | _UnpackedArchive, budget: ReadBudget) -> KerasFile:
    names = members.member_names()
    if CONFIG_FILE not in names:
        raise damaged_file_error(
            budget.file, f"the archive has no {CONFIG_FILE!r}", "a .keras archive is written by model.save()"
        )
    source = read_text(members.read(CONFIG_FILE), budget.file, JSON_LIMITS, non_finite=True)
    version, notices = None, []
    if METADATA_FILE in names:
        about = read_text(members.read(METADATA_FILE), budget.file, JSON_LIMITS, non_finite=True).value
        found = about.get("keras_version") if isinstance(about, dict) else None
        version = found if isinstance(found, str) else None
    else:
        notices.append(f"the archive has no {METADATA_FILE!r}: which version of Keras wrote it is not known")
    weights = _read_archive_weights(members, names, budget)
    if weights is None:
        notices.append(f"the archive has no {WEIGHTS_FILE!r}: the model comes without weights")
    assets = {name.removeprefix("assets/"): members.read(name) for name in names if name.startswith("assets/")}
    known = {CONFIG_FILE, METADATA_FILE, WEIGHTS_FILE, "model.weights.npz"}
    if extra := [name for name in names if name not in known and not name.startswith("assets/")]:
        shown = ", ".join(map(repr, extra[:8])) + (f" and {len(extra) - 8} more" if len(extra) > 8 else "")
        notices.append(f"the archive has members that are no part of a model: {shown}")
    told = [Diagnostic("not-imported", text, file=budget.file, severity="warning") for text in notices]
    told += _optimizer_state_warnings(weights, budget) if weights else []
    return KerasFile(budget.file, "keras", source, version, weights=weights, assets=assets, notices=tuple(told))


def _read_archive_weights(
    members: ZipArchive | _UnpackedArchive, names: list[str], budget: ReadBudget
) -> Hdf5Weights | None:
    if WEIGHTS_FILE not in names:
        return None
    window = members.member_slice(WEIGHTS_FILE)
    if window is not None:
        return read_hdf5(window, budget)
    with spool_to_temporary_file(members.chunks(WEIGHTS_FILE), budget) as file:
        return read_hdf5(FileSlice(file.fileno(), 0, file.seek(0, io.SEEK_END)), budget)
