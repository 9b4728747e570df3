"""The folders whose files a spec may name: the spec's own folder, and further ones that the user allows."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple

from ..diagnostics import CompileError, UsageError, or_list, suggestion
from .data_formats import DATA_ONLY_SUFFIXES, MEDIA_SUFFIXES
from .file_patterns import expand_pattern, is_pattern
from .files import (
    FolderEntry,
    LinkInFolder,
    MissingFile,
    UnsafePath,
    check_beneath,
    display_path,
    is_folder_beneath,
    list_beneath,
    open_beneath,
    open_file,
    safe_path_parts,
)
from .run_layout import MODEL_FILE, WEIGHTS_FILE
from .sweep_data import sweep_roots

WEIGHT_FILE_SUFFIXES = (".safetensors", ".npz", ".keras", ".h5", ".hdf5", ".weights.json")
WEIGHTS_HELP = "give a RUN folder that `jsonnx train` wrote, or a file: .safetensors, .npz, .keras or .h5"

MODEL_SUFFIXES = (".onnx",)
MODEL_HELP = (
    "give a RUN folder that `jsonnx train` wrote, or an ONNX model, beneath the spec's folder or one that --data-root "
    "allows"
)

LOCK_FILE = "jsonnx.lock"
"""The file beside specs that says how their trainings are reproduced."""

OWN_FOLDER_HELP = "name a file below the spec's folder"
UNSAFE_DATA_HELP = (
    "name a file beneath the spec's folder, or allow the folder of the data with --data-root (in Python `data_roots`)"
)
LINK_HELP = (
    "links among the files of a folder or a pattern are not followed, also with --data-root: put the files in their "
    "place; `cp -RL FOLDER COPY` copies a folder with the files that its links lead to"
)
DATA_FOLDER_HELP = (
    "name the files, or a pattern of their names such as 'folder/*.csv'; a folder itself is one of images, recordings "
    "or texts"
)
REPLACEMENT_HELP = {
    "train": "`--data-root FOLDER` allows another folder, `--data FILE` takes a file in its place",
    "validation": "`train --validation-data FILE` takes a file in its place",
    "": "`--data-root FOLDER` allows another folder",
    "test": "`train --set training.data.test=null` does without it, `evaluate --data FILE` takes another file",
}
"""Help for a missing file, by the key in `training.data` that names it; empty for files that none of them names."""
_MAX_LISTED_NAMES = 10_000


def unsafe_data_help(error: UnsafePath) -> str:
    """What to do about a path of data that is refused."""
    return LINK_HELP if isinstance(error, LinkInFolder) else UNSAFE_DATA_HELP


class SpecFolders(NamedTuple):
    """The spec's own folder, and the folders whose data files the spec may name by an absolute or a relative path.

    A relative path refers to the spec's folder if it exists there, else to the first of `roots` in which it exists. A
    path may lead out of the spec's folder, by `..` or by symbolic links, to a file in one of `roots`.
    """

    own: Path
    roots: tuple[Path, ...] = ()

    @staticmethod
    def of(own: Path, roots: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> SpecFolders:
        """The spec's own folder and further ones; a single folder need not be in a list. In a SWEEP folder, the folder
        of the spec that the sweep was started from is one of them.

        Raises UsageError if there is no such folder.
        """
        return SpecFolders(own, (*existing_folders(roots), *sweep_roots(own)))

    def locate(self, name: str) -> tuple[Path, str]:
        """The folder that a data file is looked up in, and its path there. Raises UnsafePath for a path out of it."""
        if os.path.isabs(name):
            for root in self.roots:
                for folder in (root, Path(os.path.realpath(root))):
                    if Path(name).is_relative_to(folder):
                        return self._without_links(folder, str(Path(name).relative_to(folder)))
        try:
            safe_path_parts(name)
        except UnsafePath:
            if (place := self._place_in_roots(self.own / name)) is not None:
                return place
            if self.roots:
                where = or_list(map(_folder_text, self.roots))
                raise UnsafePath(f"{name!r} lies neither beneath the spec's folder nor in {where}") from None
            raise
        folder = next((folder for folder in (self.own, *self.roots) if os.path.lexists(folder / name)), self.own)
        return self._without_links(folder, name)

    def _without_links(self, folder: Path, name: str) -> tuple[Path, str]:
        """The target, in a root, of a path with symbolic links; the path itself if the target is outside."""
        is_direct = not self.roots or os.path.realpath(folder / name) == os.path.join(
            os.path.realpath(folder), os.path.normpath(name)
        )
        return (folder, name) if is_direct else self._place_in_roots(folder / name) or (folder, name)

    def _place_in_roots(self, path: Path) -> tuple[Path, str] | None:
        """The root that contains a path after all links and `..` are resolved, and the path in it.

        It has no links then, so it can be opened as any other.
        """
        if not self.roots or "\0" in str(path):
            return None
        resolved = Path(os.path.realpath(path))
        for root in self.roots:
            folder = Path(os.path.realpath(root))
            if resolved != folder and resolved.is_relative_to(folder):
                return folder, str(resolved.relative_to(folder))
        return None

    def path(self, name: str) -> Path:
        """The path of a data file. Raises UnsafePath."""
        folder, relative = self.locate(name)
        return folder / relative

    def open(self, name: str, part: str = "train") -> IO[bytes]:
        """Opens a data file: the `train`, `validation` or `test` part of the data; empty for other files.

        Raises UnsafePath, UsageError (a MissingFile has help).
        """
        folder, relative = self.locate(name)
        try:
            return open_beneath(folder, relative)
        except MissingFile as error:
            raise self._with_help(error, folder, relative, part) from error

    def check(self, name: str, part: str = "train") -> None:
        """Checks the path of a data file without opening it. Raises what `open` raises."""
        folder, relative = self.locate(name)
        try:
            check_beneath(folder, relative)
        except MissingFile as error:
            raise self._with_help(error, folder, relative, part) from error

    def expand(self, name: str) -> list[str]:
        """The files and folders that match a pattern, in sorted order; other names stand for themselves.

        Raises UnsafePath, and MissingFile if nothing matches.
        """
        folder, relative = self.locate(name)
        if not is_pattern(relative) or os.path.lexists(folder / relative):
            return [name]
        is_in_root = os.path.isabs(name) or ".." in Path(name).parts
        folders = (folder,) if is_in_root else (self.own, *self.roots)
        for folder in folders:
            if matches := expand_pattern(folder, relative):
                return [str(folder / match) for match in matches] if is_in_root else matches
        raise MissingFile("unreadable-file", f"no file matches {name!r}", _pattern_help(folders[0] / relative))

    def existing(self, name: str) -> list[Path]:
        """The paths of the files that match a name or a pattern; empty if it is unsafe or matches nothing."""
        try:
            return [self.path(match) for match in self.expand(name)]
        except (UnsafePath, UsageError, CompileError):  # reported when the file is read
            return []

    def subfolder(self, name: str) -> DataFolder | None:
        """The folder of this name; None if there is no such folder, for instance because it is a file. Raises
        UnsafePath."""
        folder, relative = self.locate(name)
        return DataFolder(folder, relative, self.roots) if is_folder_beneath(folder, relative) else None

    def parent(self, name: str) -> DataFolder:
        """The folder that a file of this name lies in. Raises UnsafePath."""
        folder, relative = self.locate(name)
        return DataFolder(folder, os.path.dirname(relative), self.roots)

    def _with_help(self, error: MissingFile, folder: Path, name: str, part: str) -> MissingFile:
        """The error with the folder that was looked in, similar names there, and the option that helps."""
        others = f", nor in {or_list(map(_folder_text, self.roots))}" if self.roots and folder == self.own else ""
        found = _missing_file_text(folder / name, others)
        help = f"{found}{' ' if found.endswith('?') else '; '}{REPLACEMENT_HELP[part]}"
        return MissingFile(error.diagnostic.code, error.diagnostic.message, help)


def existing_folders(folders: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> tuple[Path, ...]:
    """The absolute paths of one or several folders of the user. Raises UsageError if there is no such folder."""
    names = [folders] if isinstance(folders, (str, os.PathLike)) else folders
    paths = tuple(Path(os.path.abspath(name)) for name in names)
    for path in paths:
        if not path.is_dir():
            help = "name a folder that contains data files which the spec names"
            raise UsageError("unreadable-file", f"there is no folder {display_path(path)!r}", help)
    return paths


class DataFolder(NamedTuple):
    """A folder whose files data may name: `path` beneath `base`. Files that it lacks may be in `roots`."""

    base: Path
    path: str = ""
    roots: tuple[Path, ...] = ()

    def open(self, name: str) -> IO[bytes]:
        """Opens a file in the folder or below. Raises UnsafePath, UsageError (a MissingFile)."""
        if self.roots and not self._has(name):
            return SpecFolders(self.base / self.path, self.roots).open(name, "")
        safe_path_parts(name)
        return open_beneath(self.base, os.path.join(self.path, name))

    def _has(self, name: str) -> bool:
        """Whether there is a file of this name in the folder or below."""
        is_beneath = not os.path.isabs(name) and ".." not in Path(name).parts
        return is_beneath and os.path.lexists(os.path.join(self.base, self.path, name))

    def list(self, name: str = "") -> list[FolderEntry]:
        """The entries of the folder, or of one below it, sorted by name. Raises UnsafePath, UsageError."""
        return list_beneath(self.base, os.path.join(self.path, name))

    def may_hold_samples(self) -> bool:
        """Whether the folder holds a folder, an image, a recording or a text. Raises UnsafePath, UsageError."""
        return any(entry.is_folder or entry.name.lower().endswith(MEDIA_SUFFIXES) for entry in self.list())

    @staticmethod
    def at(path: str | os.PathLike[str], roots: tuple[Path, ...] = ()) -> DataFolder:
        """A folder that the user named."""
        return DataFolder(Path(path), "", roots)


def expand_user_path(path: str) -> list[str]:
    """The files and folders that match a pattern of the user, in sorted order; other paths stand for themselves. Raises
    UsageError: a MissingFile if nothing matches."""
    if not is_pattern(path) or os.path.lexists(path):
        return [path]
    base, pattern = os.path.split(path)
    while is_pattern(base):
        base, part = os.path.split(base)
        pattern = os.path.join(part, pattern)
    try:
        if matches := expand_pattern(Path(base or "."), pattern):
            return [os.path.join(base, match) for match in matches]
    except UnsafePath as error:
        help = LINK_HELP if isinstance(error, LinkInFolder) else None
        raise UsageError("unreadable-file", f"cannot read the files of {path!r}: {error}", help) from error
    raise MissingFile("unreadable-file", f"no file matches {path!r}", _pattern_help(Path(base, pattern)))


def _pattern_help(path: Path) -> str:
    """The folder in which a pattern matches nothing."""
    while is_pattern(str(path.parent)):
        path = path.parent
    return _missing_file_text(path)


def open_data_file(path: str | os.PathLike[str]) -> IO[bytes]:
    """Opens a data file that the user named. Raises UsageError, with help for a missing file."""
    try:
        return open_file(path)
    except UsageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            error.diagnostic = replace(error.diagnostic, help=_missing_file_text(Path(path)))
        raise


def _missing_file_text(path: Path, others: str = "") -> str:
    """The folder in which a file is missing, and the data files there with similar names."""
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {display_path(Path(os.path.abspath(folder)))!r}{others}"
    found = f"it is not in {_folder_text(folder)}{others}"
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, _MAX_LISTED_NAMES)]
    except OSError as error:
        return f"{found}, which cannot be listed ({error.strerror})"
    data_files = sorted(name for name in names if name.lower().endswith(DATA_ONLY_SUFFIXES))
    if suggested := suggestion(path.name, data_files):
        return f"{found}; {suggested}"
    return found if data_files else f"{found}, which has no data files"


def _folder_text(folder: Path) -> str:
    path = display_path(Path(os.path.abspath(folder)))
    return "the current folder" if path == "." else f"the folder {path!r}"


def spec_weight_file(folder: Path, name: str) -> str:
    """The name of a spec's weight file, relative to the spec's folder; the spec may name a RUN folder."""
    return os.path.join(name, WEIGHTS_FILE) if (folder / name / WEIGHTS_FILE).is_file() else name


def spec_model_file(folders: SpecFolders, name: str) -> str:
    """The name of the file of a model that a spec names, which may be a RUN folder. Raises UnsafePath."""
    return os.path.join(name, MODEL_FILE) if folders.path(name).is_dir() else name


def check_spec_model(folders: SpecFolders, name: str) -> str:
    """The name of the file of a model that a spec names. Raises UnsafePath, and UsageError as `SpecFolders.open`."""
    file = spec_model_file(folders, name)
    try:
        folders.check(file, "")
    except MissingFile as error:
        raise MissingFile(error.diagnostic.code, error.diagnostic.message, MODEL_HELP) from error
    return file


def suffix_error(name: str, suffixes: tuple[str, ...], noun: str) -> tuple[str, str] | None:
    """Message and help for a file whose name has none of the suffixes."""
    if name.lower().endswith(suffixes):
        return None
    suffix = os.path.splitext(name)[1].lower()
    message = f"the suffix of the file's name is {suffix!r}" if suffix else "the file's name has no suffix"
    return message, f"{noun} files end in {or_list(suffixes)}"
