"""Folders that appear whole: they are filled under another name, and then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..diagnostics import UsageError
from .boundary import OutsideRoot
from .files import error_reason, make_folders, remove_empty_folders, sync_file, sync_folder

_TEMPORARY_NAME = ".jsonnx-new-{}"


def refuse_existing(path: Path, replaces: bool, marker: str | None = None) -> None:
    """Raises UsageError `file-exists` if there is a file or a folder at a path, unless it may be replaced: a folder
    only if it has the file `marker`."""
    if not os.path.lexists(path):
        return
    if not replaces:
        raise UsageError("file-exists", f"{str(path)!r} exists", "give another name with -o, or add --force")
    is_own = not path.is_dir() if marker is None else path.is_dir() and (path / marker).is_file()
    if not is_own or path.is_symlink():
        message = f"{str(path)!r} exists, and this command did not write it"
        raise UsageError("file-exists", message, "give another name with -o")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which replaces the one at `path` when the context ends without an error.

    Raises UsageError `unwritable-file`.
    """
    created = make_folders(path.parent)
    try:
        with _as_usage_error(path):
            temporary = _temporary_folder(path.parent)
        try:
            with _as_usage_error(path):
                yield temporary
                _sync_tree(temporary)
                _replace(path, temporary)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except BaseException:
        remove_empty_folders(created)
        raise


@contextmanager
def _as_usage_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OutsideRoot as error:
        raise error.as_usage_error() from error
    except OSError as error:
        raise UsageError("unwritable-file", f"cannot write {str(path)!r}: {error_reason(error)}") from error


def _temporary_folder(parent: Path) -> Path:
    path = parent / _TEMPORARY_NAME.format(os.urandom(4).hex())
    path.mkdir()
    return path


def _replace(path: Path, new: Path) -> None:
    """Renames a folder. One that is there before is kept until the new one has its name."""
    if not os.path.lexists(path):
        new.rename(path)
    else:
        with_old = _temporary_folder(path.parent)
        old = path.rename(with_old / path.name)
        try:
            new.rename(path)
        except OSError:
            old.rename(path)
            raise
        finally:
            shutil.rmtree(with_old, ignore_errors=True)
    sync_folder(path.parent)


def _sync_tree(folder: Path) -> None:
    """Waits until the files and folders in a folder are on the disk."""
    for name, _, files in os.walk(folder):
        for file in files:
            sync_file(Path(name) / file)
        sync_folder(Path(name))


def write_files(folder: Path, contents: Mapping[str, str | bytes]) -> None:
    """Writes files of a new folder by their paths in it. Raises OSError."""
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def copy_file(source: Path, target: Path) -> None:
    """Copies the content of a file to a new folder. Raises OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
