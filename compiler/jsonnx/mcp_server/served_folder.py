"""The folder that a server is confined to: early answers to paths of a client that lead out of it.

The boundary itself is `core/files/boundary.py`, in the processes that open files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..core.diagnostics import UsageError, or_list
from ..core.files.boundary import OUTSIDE_HELP, hidden_folder, is_beneath
from ..core.files.file_patterns import is_pattern
from ..core.files.run_layout import RunPaths
from ..core.files.spec_folders import suffix_error
from ..frontend.schema.phrases import short_repr
from ..hyperparameter_search.sweep_folder import SweepFolder

CONFIGURATION_FILE = "jsonnx.toml"
MAX_PATH_BYTES = 4_096
OUTPUT_HELP = "write to a file of your own, in a folder of your own"


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
        try:
            is_path = name and "\0" not in name and len(os.fsencode(name)) <= MAX_PATH_BYTES
        except UnicodeEncodeError:
            is_path = False
        if not is_path:
            raise UsageError("unsafe-path", f"{short_repr(name)} is not a path", OUTSIDE_HELP)
        resolved = os.path.realpath(self.path / name)
        if not is_beneath(resolved, str(self.path)):
            raise UsageError("unsafe-path", f"{name!r} leads out of the served folder", OUTSIDE_HELP)
        return os.path.relpath(resolved, self.path)

    def data(self, name: str) -> str:
        """The path of a data file or a folder, or a pattern."""
        return name if is_pattern(name) else self.relative(name)

    def output(self, name: str, suffixes: Sequence[str]) -> str:
        """The path of a file that a tool writes, with one of these suffixes.

        Raises UsageError `unsafe-path`, also for hidden files and files of a RUN or SWEEP folder, `bad-option`.
        """
        relative = self.relative(name)
        if error := suffix_error(relative, tuple(suffixes), "such"):
            raise UsageError("bad-option", error[0], f"`output` ends in {or_list(suffixes)}")
        path = self.path / relative
        if path.name.startswith(".") or hidden_folder(str(self.path), str(path)):
            raise UsageError("unsafe-path", f"{name!r} is hidden, and other programs may execute it", OUTPUT_HELP)
        for folder in path.parents:
            if not is_beneath(str(folder), str(self.path)):
                break
            if RunPaths(folder).run_info.exists() or SweepFolder(folder).has_sweep:
                raise UsageError("unsafe-path", f"{name!r} lies in a RUN or SWEEP folder", OUTPUT_HELP)
        return relative

    def configuration(self, spec: str | None) -> str | None:
        """The `jsonnx.toml` nearest to a spec's file, or to the folder for None; only one beneath the served folder."""
        folder = self.path if spec is None else (self.path / self.relative(spec)).parent
        while folder != self.path and not (folder / CONFIGURATION_FILE).exists():
            folder = folder.parent
        name = str((folder / CONFIGURATION_FILE).relative_to(self.path))
        return self.relative(name) if (self.path / name).exists() else None
