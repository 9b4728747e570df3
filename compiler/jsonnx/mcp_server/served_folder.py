"""The folder that a server is confined to: paths of a client are resolved, and refused if they lead out of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from glob import iglob
from pathlib import Path
from typing import Any

from ..core.diagnostics import UsageError
from ..core.files.file_patterns import is_pattern
from ..core.files.files import open_file
from ..core.files.run_layout import SPEC_FILE, RunPaths

CONFIGURATION_FILE = "jsonnx.toml"
MAX_RUN_INFO_BYTES = 16 << 20

OUTSIDE_HELP = "name a path beneath the folder that `jsonnx mcp --root` serves"


class ServedFolder:
    """The folder, with all its symbolic links resolved."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.realpath(folder))
        if not self.path.is_dir():
            raise UsageError(
                "unreadable-file", f"there is no folder {os.fspath(folder)!r}", "name a folder with --root"
            )

    def relative(self, name: str) -> str:
        """A path of a client, which need not exist, relative to the folder and without symbolic links.

        Raises UsageError `unsafe-path` if it leads out of the folder: by `..`, as an absolute path or by a link.
        """
        if not name or "\0" in name:
            raise UsageError("unsafe-path", f"{name!r} is not a path", OUTSIDE_HELP)
        resolved = Path(os.path.realpath(self.path / name))
        if resolved != self.path and not resolved.is_relative_to(self.path):
            raise UsageError("unsafe-path", f"{name!r} leads out of the served folder", OUTSIDE_HELP)
        return str(resolved.relative_to(self.path))

    def model(self, name: str) -> str:
        """The path of a model file or a RUN folder, whose data and links do not lead out of the folder either."""
        relative = self.relative(name)
        folder = self.path / relative
        if folder.is_dir():
            self._check_links(folder)
            for path in _recorded_paths(folder):
                self.relative(os.path.relpath(folder / path, self.path))
        return relative

    def data(self, name: str) -> str:
        """The path of a data file or a folder, or a pattern; none of the files that it means lies outside."""
        if not is_pattern(name):
            relative = self.relative(name)
            self._check_links(self.path / relative)
            return relative
        fixed = Path(*[part for part in Path(name).parts if not is_pattern(part)] or ["."])
        self.relative(str(fixed))
        if ".." in Path(name).parts or os.path.isabs(name):
            raise UsageError("unsafe-path", f"{name!r} leads out of the served folder", OUTSIDE_HELP)
        for match in iglob(name, root_dir=self.path, recursive=True):
            self._check_links(self.path / self.relative(match))
        return name

    def configuration(self, spec: str | None) -> str | None:
        """The `jsonnx.toml` nearest to a spec's file, or to the folder for None; only one beneath the served folder."""
        folder = self.path if spec is None else (self.path / self.relative(spec)).parent
        while folder != self.path and not (folder / CONFIGURATION_FILE).exists():
            folder = folder.parent
        name = str((folder / CONFIGURATION_FILE).relative_to(self.path))
        return self.relative(name) if (self.path / name).exists() else None

    def _check_links(self, path: Path) -> None:
        """Raises UsageError `unsafe-path` if a link in a folder, at any depth, leads out of the served folder."""
        for folder, folders, files in os.walk(path, followlinks=False):
            for name in (*folders, *files):
                entry = os.path.join(folder, name)
                if os.path.islink(entry):
                    self.relative(os.path.relpath(entry, self.path))


def _recorded_paths(folder: Path) -> Iterator[str]:
    """The paths in a RUN folder's description that `evaluate` and `predict` use."""
    try:
        with open_file(RunPaths(folder).run_info) as file:
            info: Any = json.loads(file.read(MAX_RUN_INFO_BYTES))
    except (UsageError, ValueError, RecursionError):
        return  # the command reports it
    if not isinstance(info, dict):
        return
    data_files = info.get("data_files")
    spec = os.path.join(str(info.get("data_folder", ".")), str(info.get("spec", SPEC_FILE)))
    for path in (spec, info.get("data_folder"), *(data_files.values() if isinstance(data_files, dict) else ())):
        if isinstance(path, str):
            yield path
