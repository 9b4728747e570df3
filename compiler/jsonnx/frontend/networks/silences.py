"""The findings that a spec silences, and which of its silences have silenced any."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ...core.diagnostics import SourceMap, path_text
from ...sections.lint_section import IgnoredFinding
from ..network import Network
from .layer_patterns import selected_names


class _Silence(NamedTuple):
    code: str
    layers: frozenset[str] | None
    """The names of the layers where the code is silenced; None for the whole spec."""
    paths: frozenset[str]
    """The paths of these layers in the user's file, as text."""
    has_reason: bool
    """Whether the author says why, in words that no fix removes."""


class Silences:
    """The entries of `lint.ignore` of one network."""

    def __init__(self, network: Network, source_map: SourceMap) -> None:
        self.used: set[int] = set()
        """The indexes of the entries that have silenced a finding."""
        self.entries = [self._silence(ignored, network, source_map) for ignored in network.ignored_findings]

    @staticmethod
    def _silence(ignored: IgnoredFinding, network: Network, source_map: SourceMap) -> _Silence:
        if ignored.layers is None:
            return _Silence(ignored.code, None, frozenset(), ignored.reason is not None)
        owners = {call.owner for call in network.calls}
        names = frozenset(selected_names(ignored.layers, owners))
        paths = {path_text(source_map(call.path, False).path) for call in network.calls if call.owner in names}
        return _Silence(ignored.code, names, frozenset(paths), ignored.reason is not None)

    def covers_layer(self, code: str, layer: str | None) -> bool:
        """Whether a finding at a layer, or at none, is silenced."""
        return self._covers(code, lambda silence: layer is not None and layer in (silence.layers or ()))

    def covers_path(self, code: str, path: str) -> bool:
        """Whether a diagnostic at a path of the user's file, as text, is silenced."""
        return self._covers(code, lambda silence: any(_is_at_or_below(path, layer) for layer in silence.paths))

    def _covers(self, code: str, matches: Callable[[_Silence], bool]) -> bool:
        covering = [
            index
            for index, silence in enumerate(self.entries)
            if silence.code == code and (silence.layers is None or matches(silence))
        ]
        self.used.update(covering)
        return bool(covering)


def _is_at_or_below(path: str, other: str) -> bool:
    return path == other or path.startswith((f"{other}.", f"{other}["))
