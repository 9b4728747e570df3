"""How specs differ from their older versions: differences of networks, and specs that have only one version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..core.diagnostics import Diagnostic
from .changes import Comparison

State = Literal["unchanged", "changed", "new", "deleted", "invalid", "invalid-before"]

FAIL_ON = ("signature", "breaking", "any", "never")
"""Reasons for a comparison to fail: a signature that breaks; also weights that no longer load; any difference;
nothing."""


@dataclass(frozen=True)
class SpecChange:
    """A spec, and how it differs from its older version."""

    file: str
    old_file: str | None
    """The name of the older version; None for a new spec."""
    state: State
    comparison: Comparison | None = None
    """The differences; None if there is only one version, one of them is invalid, or both have the same values."""
    diagnostics: tuple[Diagnostic, ...] = ()
    """The errors of an invalid spec: of the new version, or else of the old one."""
    renamed: bool = False
    is_missing: bool = False
    """Whether the spec is missing."""

    @property
    def breaks_signature(self) -> bool:
        """Whether programs that run the old model must be changed."""
        return self.state == "deleted" or (self.comparison is not None and self.comparison.breaks_signature)

    @property
    def breaks_weights(self) -> bool:
        """Whether files of the old weights no longer load."""
        return self.comparison is not None and not self.comparison.weights.load

    def fails(self, fail_on: str) -> bool:
        """Whether the change fails a check; `fail_on` is one of FAIL_ON. An invalid spec always does."""
        if self.state == "invalid":
            return True
        return {
            "signature": self.breaks_signature,
            "breaking": self.breaks_signature or self.breaks_weights,
            "any": self.state != "unchanged" or self.renamed,
            "never": False,
        }[fail_on]


@dataclass(frozen=True)
class RevisionComparison:
    """Specs, and how they differ from a revision's."""

    against: str
    """The revision, as the user named it."""
    commit: str | None
    """Its commit; None if specs were compared with a file."""
    specs: Sequence[SpecChange]

    @property
    def has_missing_specs(self) -> bool:
        """Whether a spec is nowhere."""
        return any(change.is_missing for change in self.specs)

    def fails(self, fail_on: str) -> bool:
        """Whether a change fails a check; `fail_on` is one of FAIL_ON."""
        return any(change.fails(fail_on) for change in self.specs)
