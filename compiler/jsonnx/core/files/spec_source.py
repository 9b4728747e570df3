"""The spec that data belong to: its file, the folders that its data may be in, and positions in it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ..diagnostics import Diagnostic, JsonPath, Locator, Note, path_text
from .spec_folders import SpecFolders, existing_folders


@dataclass(frozen=True, eq=False)
class SpecSource:
    """The spec that a plan was made from."""

    file: str | None = None
    """The spec's file; data files are looked up in its folder."""
    locate: Locator | None = None
    data_roots: tuple[Path, ...] = ()
    """Further folders whose files the spec may name as data."""

    @property
    def folders(self) -> SpecFolders:
        """The folders of the spec's data files."""
        own = Path(self.file).resolve().parent if self.file else Path.cwd()
        return SpecFolders.of(own, self.data_roots)

    def with_data_roots(self, roots: Iterable[str | os.PathLike[str]]) -> SpecSource:
        """The source with these folders allowed, and no others but the spec's own."""
        return replace(self, data_roots=existing_folders(roots))

    def locate_diagnostic(self, diagnostic: Diagnostic, path: JsonPath) -> Diagnostic:
        """The diagnostic, moved to the value at a path of the spec."""
        line, column = self._position(path)
        return replace(diagnostic, path=path_text(path), file=self.file, line=line, column=column)

    def note(self, message: str, path: JsonPath) -> Note:
        """A note on the value at a path of the spec."""
        line, column = self._position(path)
        return Note(message, path_text(path), self.file, line, column)

    def _position(self, path: JsonPath) -> tuple[int | None, int | None]:
        return (self.locate(path, False) if self.locate else None) or (None, None)


NO_SPEC = SpecSource()
"""The source of data that belong to no file of a spec."""
