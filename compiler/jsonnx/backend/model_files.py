"""Writes a model to its file and, beside it, its labels, and its large tensors if it is too large for one file."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from ..core.diagnostics import UsageError
from ..core.files.files import error_reason, read_without_links, refuse_special_files, remove_file, write_atomically
from ..core.files.run_layout import labels_path
from .external_data import data_digest, data_parts, needs_external_data, require_one_message, split_model
from .model_writer import ModelWriter

DATA_SUFFIX = ".data"
_NAME_DIGEST_DIGITS = 16


def write_model(
    writer: ModelWriter, path: str | os.PathLike[str], labels: bytes | None = None, *, follows_links: bool = True
) -> None:
    """Writes a model atomically. `labels` is the content of its labels file, None if it has none.

    The tensors of a large model are written first, to a file that has their digest in its name, so that a reader sees
    the earlier model with its tensors until the new one is complete. Afterwards the files of tensors of earlier models
    at this path are removed. The labels file of an earlier model is removed before, unless it has the same content, and
    the new one is written last, so that there are never labels of another model. Raises UsageError `unwritable-file`,
    `unreadable-file` for its folder, `too-large` for a large model and no regular file.
    """
    target = _regular_target(path)
    if target is not None:
        _remove_other_labels(labels_path(target), labels)
    if target is None or not needs_external_data(writer):
        require_one_message(writer)
        write_atomically(path, writer.parts(), follows_links=follows_links)
        data_file = None
    else:
        if not follows_links:
            refuse_special_files([Path(path)])
        arrays = split_model(writer, "").arrays
        name = f"{target.stem}-{data_digest(arrays)[:_NAME_DIGEST_DIGITS]}{DATA_SUFFIX}"
        data_file = target.with_name(name)
        write_atomically(data_file, [*data_parts(arrays)], follows_links=False)
        _copy_permissions(target, data_file)
        write_atomically(path, split_model(writer, name).writer.parts(), follows_links=follows_links)
    for file in model_data_files(target) if target is not None else ():
        if file != data_file:
            remove_file(file)
    if target is not None and labels is not None:
        write_atomically(labels_path(target), labels, follows_links=False)


def _remove_other_labels(path: Path, labels: bytes | None) -> None:
    """Removes a labels file whose content differs."""
    try:
        if read_without_links(path) == labels:
            return
    except FileNotFoundError:
        return
    except OSError:  # a link, which is removed itself, or a file that cannot be read
        pass
    remove_file(path)


def _copy_permissions(source: Path, target: Path) -> None:
    """Gives a file the permissions of another one, if there is that one, which is about to be replaced."""
    with suppress(OSError):
        os.chmod(target, stat.S_IMODE(source.stat().st_mode))


def model_data_files(model: Path) -> list[Path]:
    """The files with tensors of the model at a path, and of earlier models there; none in a folder that may be written
    to and not be listed. Raises UsageError `unreadable-file`."""
    digits = f"[0-9a-f]{{{_NAME_DIGEST_DIGITS}}}"
    pattern = re.compile(f"{re.escape(model.stem)}-{digits}{re.escape(DATA_SUFFIX)}")
    try:
        with os.scandir(model.parent) as entries:
            return [model.parent / entry.name for entry in entries if pattern.fullmatch(entry.name) and entry.is_file()]
    except (FileNotFoundError, PermissionError):
        return []
    except OSError as error:
        raise UsageError("unreadable-file", f"cannot read {str(model.parent)!r}: {error_reason(error)}") from error


def _regular_target(path: str | os.PathLike[str]) -> Path | None:
    """The file that is replaced or created at a path, behind symbolic links; None for a pipe or a device.

    Raises UsageError `unwritable-file` for a folder, and if what is there cannot be told.
    """
    try:
        target = Path(os.path.realpath(path))
        mode = target.stat().st_mode
    except FileNotFoundError:
        return target
    except (OSError, ValueError) as error:
        raise UsageError("unwritable-file", f"cannot write {str(path)!r}: {error_reason(error)}") from error
    if stat.S_ISDIR(mode):
        raise UsageError("unwritable-file", f"cannot write {str(path)!r}: it is a folder")
    return target if stat.S_ISREG(mode) else None
