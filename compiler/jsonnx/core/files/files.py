"""Atomic writes, and opening only regular files; files named by a spec must lie beneath the spec's folder."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from ..diagnostics import UsageError
from .boundary import OutsideRoot

TEMPORARY_NAME = ".jsonnx-{}.tmp"
SPECIAL_FILE_HELP = "remove it, or choose another folder: runs and sweeps are written to files of their folder only"


class UnsafePath(ValueError):
    """A path in a spec leads, or may lead, out of the spec's folder."""


class LinkInFolder(UnsafePath):
    """A symbolic link among the files of a folder or a pattern, none of which the spec names."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path!r} is a symbolic link")


class MissingFile(UsageError):
    """A file that a spec names does not exist."""


def write_atomically(path: str | os.PathLike[str], data: bytes | Iterable[Any], *, follows_links: bool = True) -> None:
    """Writes a file so that readers see either the old content or the complete new content, even after a crash.

    `data` is the content, or its parts: objects with contiguous memory, such as bytes and arrays of bytes, each taken
    when those before it are written. A symbolic link is kept, and its target replaced; without `follows_links` it is
    refused, and so is a pipe, as in folders that someone else may have made. Raises UsageError `unwritable-file`.
    """
    if not follows_links:
        refuse_special_files([Path(path)])
    target = Path(path)
    parts: Iterable[Any] = [data] if isinstance(data, bytes) else data
    try:
        mode = target.stat().st_mode if target.exists() else None
        if mode is not None and stat.S_ISDIR(mode):
            raise OSError("it is a folder")
        if mode is not None and not stat.S_ISREG(mode):  # a device or a pipe
            with open(target, "wb") as file:
                file.writelines(parts)
            return
        if mode is not None:  # keep a symbolic link and replace its target: /dev/stdout may lead to a file
            target = Path(os.path.realpath(target))
        temporary = target.with_name(TEMPORARY_NAME.format(os.urandom(4).hex()))
        try:
            _write_through(temporary, parts)
            if mode is not None:  # keep the permissions of the replaced file
                os.chmod(temporary, stat.S_IMODE(mode))
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(target.parent)
    except OutsideRoot as error:
        raise error.as_usage_error() from error
    except (OSError, ValueError) as error:
        raise UsageError("unwritable-file", f"cannot write {str(path)!r}: {error_reason(error)}") from error


def refuse_special_files(paths: Iterable[Path]) -> None:
    """Raises UsageError `unwritable-file` if one of these paths is a symbolic link, whose target would be replaced, a
    pipe or a device."""
    for path in paths:
        try:
            mode = os.lstat(path).st_mode
        except (OSError, ValueError):  # it is missing, or the write that follows fails
            continue
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            kind = "a symbolic link" if stat.S_ISLNK(mode) else "no regular file"
            raise UsageError("unwritable-file", f"cannot write {str(path)!r}: it is {kind}", SPECIAL_FILE_HELP)


def require_writable_folder(path: Path) -> None:
    """Raises UsageError `unwritable-file` if no file can be created at a path, before a long computation for it.

    A file that exists is left to the write itself: it may be a device or a pipe, whose folder need not be writable.
    """
    folder, error = path.parent, f"cannot write {str(path)!r}"
    if os.path.exists(path):
        return
    if not os.path.isdir(folder):
        help = f"create the folder {str(folder)!r}, or choose another file"
        raise UsageError("unwritable-file", f"{error}: its folder does not exist", help)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError("unwritable-file", f"{error}: its folder is not writable")


def open_without_links(path: str, flags: int) -> int:
    """An opener for `open` that follows no symbolic link and waits for no pipe. Raises OSError, also for what is no
    regular file."""
    if os.path.islink(path):
        raise OSError(errno.ELOOP, "it is a symbolic link")
    handle = os.open(path, flags | _NO_FOLLOW_FLAG | getattr(os, "O_NONBLOCK", 0), 0o666)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
    except OSError:
        os.close(handle)
        raise
    return handle


def read_without_links(path: Path) -> bytes:
    """The content of a file of a run. Raises OSError, also for a symbolic link and for what is no regular file."""
    with open(path, "rb", opener=open_without_links) as file:
        return file.read()


def refuse_overwrite(inputs: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Raises UsageError `is-an-input` if an output file is also an input file."""
    input_paths = {os.path.realpath(path) for path in inputs}
    for path in outputs:
        if os.path.realpath(path) in input_paths or _is_same_file(path, input_paths):
            message = f"{str(path)!r} is read by this command"
            raise UsageError("is-an-input", message, "choose another output file with -o")


def _is_same_file(path: Path, others: Iterable[str]) -> bool:
    """Whether a path is another name of one of the files: a hard link, or a name in different case."""
    return os.path.isfile(path) and any(os.path.isfile(other) and path.samefile(other) for other in others)


def _write_through(path: Path, parts: Iterable[Any]) -> None:
    """Creates a file and waits until its content is on the disk."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    with os.fdopen(handle, "wb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


def sync_file(path: Path) -> None:
    """Waits until the content of a file is on the disk. Raises UsageError `unwritable-file`."""
    try:
        handle = os.open(path, os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise UsageError("unwritable-file", f"cannot write {str(path)!r}: {error_reason(error)}") from error


def remove_file(path: Path) -> None:
    """Removes a file if it exists. Raises UsageError `unwritable-file`."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError("unwritable-file", f"cannot remove {str(path)!r}: {error_reason(error)}") from error


def file_exists(path: Path) -> bool:
    """Whether there is a file or a folder of this name. Raises UsageError `unreadable-file` if that cannot be told, as
    when a file server does not answer."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise UsageError("unreadable-file", f"cannot read {str(path)!r}: {error_reason(error)}") from error
    return True


def make_folders(path: Path) -> list[Path]:
    """Creates a folder and those above it that are missing, and waits until their entries are on the disk.

    Returns the folders that it created, the outermost first. Raises UsageError `unwritable-file`; then it has removed
    them again.
    """
    created: list[Path] = []
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            try:
                folder.mkdir()
            except FileExistsError:
                continue  # another process has just created it
            created.append(folder)
            sync_folder(folder.parent)
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "it is not a folder")
    except OutsideRoot as error:
        remove_empty_folders(created)
        raise error.as_usage_error() from error
    except (OSError, ValueError) as error:
        remove_empty_folders(created)
        raise UsageError("unwritable-file", f"cannot make the folder {str(path)!r}: {error_reason(error)}") from error
    return created


def remove_empty_folders(folders: Iterable[Path]) -> None:
    """Removes the empty ones of these folders. A folder stands before the folders inside it."""
    for folder in reversed([*folders]):
        with suppress(OSError):
            folder.rmdir()


_NO_FOLDER_SYNC = (errno.EINVAL, errno.EBADF, errno.EACCES, errno.EOPNOTSUPP)
"""Errors of folders that cannot be flushed: some network file systems do not implement it, and it needs the permission
to list the folder."""


def sync_folder(folder: Path) -> None:
    """Waits until the entries of a folder are on the disk, if the file system and the folder's permissions allow it."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def remove_temporary_files(folder: Path) -> None:
    """Removes temporary files that killed processes left behind."""
    for path in folder.glob(TEMPORARY_NAME.format("*")):
        path.unlink(missing_ok=True)


def error_reason(error: Exception) -> str:
    """The message of an error as a clause of a sentence, beginning in lower case."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text[0].lower() + text[1:]


def open_file(path: str | os.PathLike[str]) -> IO[bytes]:
    """Opens a regular file that the user named. Raises UsageError `unreadable-file`."""
    try:
        return _open_regular_file(os.open(path, _READ_FLAGS))
    except OutsideRoot as error:
        raise error.as_usage_error() from error
    except (OSError, ValueError) as error:
        raise UsageError("unreadable-file", f"cannot read {os.fspath(path)!r}: {error_reason(error)}") from error


def open_beneath(folder: Path, relative: str) -> IO[bytes]:
    """Opens a regular file that a spec names, beneath the spec's folder.

    Raises UnsafePath if the path is absolute or contains `..` or a symbolic link; UsageError `unreadable-file` if the
    file cannot be read: a MissingFile if there is none.
    """
    parts = safe_path_parts(relative)
    try:
        return _open_regular_file(
            _open_by_dir_fd(folder, parts) if os.open in os.supports_dir_fd else _open_by_path(folder, parts)
        )
    except (OSError, ValueError) as error:
        raise _path_error(folder / relative, error) from error


def check_beneath(folder: Path, relative: str) -> None:
    """Checks the path of a file that a spec names without opening the file. Raises what `open_beneath` raises, except
    for a file whose permissions forbid reading."""
    path = folder
    try:
        for part in safe_path_parts(relative):
            path = path / part
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                raise UnsafePath(f"{part!r} is a symbolic link")
        _require_regular_file(mode)
    except (OSError, ValueError) as error:
        raise _path_error(folder / relative, error) from error


class FolderEntry(NamedTuple):
    """A file or a folder in a folder; a symbolic link counts as neither."""

    name: str
    is_folder: bool
    is_link: bool


def list_beneath(folder: Path, relative: str = "") -> list[FolderEntry]:
    """The entries of a folder that a spec names, beneath the spec's folder, sorted by name.

    Raises UnsafePath as `open_beneath` does, and UsageError `unreadable-file`: a MissingFile if there is no folder.
    """
    parts = safe_path_parts(relative) if relative else []
    try:
        if os.scandir in os.supports_fd:
            handle = _open_by_dir_fd(folder, parts, os.O_RDONLY | os.O_DIRECTORY)
            try:
                return _entries(handle)
            finally:
                os.close(handle)
        _refuse_special_files(folder, parts)
        return _entries(folder.joinpath(*parts))
    except (OSError, ValueError) as error:
        raise _path_error(folder / relative, error) from error


def _entries(folder: int | Path) -> list[FolderEntry]:
    with os.scandir(folder) as entries:
        found = [FolderEntry(e.name, e.is_dir(follow_symlinks=False), e.is_symlink()) for e in entries]
    return sorted(found)


def is_folder_beneath(folder: Path, relative: str) -> bool:
    """Whether a path that a spec names leads to a folder. Raises UnsafePath as `open_beneath` does."""
    path, mode = folder, 0
    try:
        for part in safe_path_parts(relative):
            path = path / part
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                raise UnsafePath(f"{part!r} is a symbolic link")
    except OSError:
        return False
    return stat.S_ISDIR(mode)


def _path_error(path: Path, error: OSError | ValueError) -> Exception:
    """The error that is raised if a file that a spec names cannot be opened."""
    if isinstance(error, OutsideRoot):
        return error.as_usage_error()
    if isinstance(error, UnsafePath):
        return error
    is_missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
    kind = MissingFile if is_missing else UsageError
    return kind("unreadable-file", f"cannot read {display_path(path)!r}: {error_reason(error)}")


def display_path(path: Path) -> str:
    """A path relative to the current folder if it lies beneath it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (OSError, ValueError):  # the current folder was deleted, or does not contain the path
        return str(path)


# O_NONBLOCK: opening a named pipe must not wait for a writer. O_NOFOLLOW: a link may be created after the check.
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_FOLLOW_FLAG = getattr(os, "O_NOFOLLOW", 0)


def safe_path_parts(relative: str) -> list[str]:
    """The parts of a relative path. Raises UnsafePath if it is absolute or contains `..` or a NUL."""
    parts = [part for part in re.split(r"[/\\]" if os.name == "nt" else "/", relative) if part not in ("", ".")]
    absolute = os.path.isabs(relative) or os.path.splitdrive(relative)[0] or relative.startswith(("/", "\\", "~"))
    if absolute or ".." in parts or "\0" in relative or not parts:
        raise UnsafePath(f"{relative!r} does not lie beneath the folder of the file that names it")
    return parts


def _open_by_dir_fd(folder: Path, parts: list[str], flags: int = _READ_FLAGS) -> int:
    """Opens a path folder by folder, so that a folder cannot be replaced by a link between check and use."""
    parent = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            child = _open_at(parent, part, os.O_RDONLY | os.O_DIRECTORY | _NO_FOLLOW_FLAG)
            os.close(parent)
            parent = child
        return _open_at(parent, parts[-1], flags | _NO_FOLLOW_FLAG) if parts else os.dup(parent)
    finally:
        os.close(parent)


def _open_at(folder: int, name: str, flags: int) -> int:
    """Opens a name in an open folder. Raises UnsafePath if the name is a symbolic link."""
    try:
        return os.open(name, flags, dir_fd=folder)
    except OSError:
        if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise UnsafePath(f"{name!r} is a symbolic link") from None
        raise


def _open_by_path(folder: Path, parts: list[str]) -> int:
    """Opens a path by its name, where the system cannot open files relative to a folder's descriptor (Windows)."""
    return os.open(_refuse_special_files(folder, parts), _READ_FLAGS)


def _refuse_special_files(folder: Path, parts: list[str]) -> Path:
    """The path of these parts. Raises UnsafePath if one of them is a symbolic link."""
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise UnsafePath(f"{part!r} is a symbolic link")
    return path


def _open_regular_file(handle: int) -> IO[bytes]:
    """A file object for a descriptor. Closes it and raises ValueError unless it is a regular file."""
    try:
        _require_regular_file(os.fstat(handle).st_mode)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def _require_regular_file(mode: int) -> None:
    """Raises ValueError unless the mode is a regular file's."""
    if not stat.S_ISREG(mode):
        raise ValueError("it is a folder" if stat.S_ISDIR(mode) else "it is not a regular file")
