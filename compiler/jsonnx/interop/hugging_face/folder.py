"""Opens the files of a folder that comes from a stranger: only files that lie in it, and no links but those of the
cache of Hugging Face."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from ...core.diagnostics import CompileError, Diagnostic, UsageError
from ...core.files.files import MissingFile, UnsafePath, open_beneath, safe_path_parts
from ...frontend.json.json_reader import Limits, Source, read_text
from ..read_budget import ReadBudget, damaged_file_error, unsafe_file_error

JSON_LIMITS = Limits()
CACHED_FILES, CACHED_VERSIONS, CACHED_MODEL = "blobs", "snapshots", "models--"
"""The cache of Hugging Face has `models--OWNER--NAME/snapshots/VERSION`, whose files are links into `blobs` beside
`snapshots`."""


class ModelFolder:
    """A folder with `config.json`, such as a version of a model in the cache of Hugging Face. All its files share one
    budget."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.budget = ReadBudget(os.fspath(path))
        self.opened: set[str] = set()
        """The names of the files that have been opened."""

    def file_name(self, name: str) -> str:
        """The path of a file of the folder, for messages."""
        return os.path.join(self.path, name)

    def open(self, name: str) -> IO[bytes]:
        """Opens a file. Raises CompileError `unsafe-file` for a name or a link that leads out of the folder, UsageError
        for a file that cannot be read: a MissingFile if there is none."""
        self.opened.add(name)
        try:
            return self._open_cached(name) or open_beneath(self.path, name)
        except UnsafePath as error:
            help = "copy the folder with the files that its links lead to: cp -RL FOLDER COPY"
            raise unsafe_file_error(os.fspath(self.path), str(error), help) from None

    def _open_cached(self, name: str) -> IO[bytes] | None:
        """Opens a file of the cache by its link; None for a name that is no such link. What the link leads to has to be
        a file in `blobs` of the same model, and no link again."""
        version = Path(os.path.abspath(self.path))
        model, link = version.parent.parent, version.joinpath(*safe_path_parts(name))
        if (
            version.parent.name != CACHED_VERSIONS
            or not model.name.startswith(CACHED_MODEL)
            or not os.path.islink(link)
        ):
            return None
        target = Path(os.path.normpath(link.parent / os.readlink(link)))
        return open_beneath(model / CACHED_FILES, target.name) if target.parent == model / CACHED_FILES else None

    def has(self, name: str) -> bool:
        """Whether the folder has an entry of this name, even one that cannot be opened."""
        return os.path.lexists(self.path / name)

    def read_json(self, name: str, kind: type = dict) -> Source:
        """Reads a JSON document whose value is an object, or a list. Raises CompileError, UsageError."""
        with self.open(name) as file:
            size = os.fstat(file.fileno()).st_size
            self.budget.take_text(size, f"the file {name!r}")
            data = file.read(size)
        source = read_text(data, self.file_name(name), JSON_LIMITS, repairs=False)
        if not isinstance(source.value, kind):
            noun = "object" if kind is dict else "array"
            raise damaged_file_error(self.file_name(name), f"{name!r} has to be a JSON {noun}")
        return source


def no_model_error(folder: ModelFolder, error: MissingFile) -> UsageError:
    """The error for a folder without `config.json`."""
    help = "a folder that save_pretrained() of transformers writes has config.json and model.safetensors"
    if os.path.isdir(folder.file_name(CACHED_VERSIONS)):
        help = f"in the cache of Hugging Face, give one of the folders in {folder.file_name(CACHED_VERSIONS)!r}"
    return UsageError("unreadable-file", error.diagnostic.message, help)


def unsupported(file: str, message: str, help: str | None = None) -> CompileError:
    """The error for a model that a spec cannot express."""
    return CompileError([Diagnostic("unsupported-model", message, file=file, help=help)])
