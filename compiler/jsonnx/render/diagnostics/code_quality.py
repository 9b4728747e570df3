"""Diagnostics as a GitLab Code Quality report, which a merge request shows beside the changed lines."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ...core.diagnostics import Diagnostic
from ...core.invisible_characters import escape_invisible
from .fingerprints import fingerprints, repository_path

SEVERITIES = {"error": "major", "warning": "minor", "note": "info"}
"""GitLab's severities: info, minor, major, critical and blocker."""


def render_code_quality(diagnostics: Sequence[Diagnostic], files: Sequence[str]) -> str:
    """One entry a diagnostic; one without a line is at the first line of its file."""
    entries = [
        {
            "description": escape_invisible(diagnostic.message + (f"; {diagnostic.help}" if diagnostic.help else "")),
            "check_name": diagnostic.code,
            "fingerprint": fingerprint,
            "severity": SEVERITIES[diagnostic.severity],
            "location": {
                "path": escape_invisible(repository_path(diagnostic.file or "document")),
                "lines": {"begin": diagnostic.line or 1},
            },
        }
        for diagnostic, fingerprint in zip(diagnostics, fingerprints(diagnostics), strict=True)
    ]
    return json.dumps(entries, indent=2)
