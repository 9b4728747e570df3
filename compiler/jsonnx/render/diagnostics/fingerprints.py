"""Identities of diagnostics in code scanning and code quality reports: paths in the repository, and fingerprints."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from ...core.diagnostics import Diagnostic
from ...core.files.files import display_path

FINGERPRINT_DIGITS = 32


def fingerprints(diagnostics: Sequence[Diagnostic]) -> list[str]:
    """A distinct fingerprint for each diagnostic, which stays the same when its line or its layer moves in the file.

    It is a hash of the file, the code, the message and the number of earlier diagnostics that have all these in common.
    """
    seen: Counter[tuple[str, ...]] = Counter()
    result = []
    for diagnostic in diagnostics:
        content = (repository_path(diagnostic.file or ""), diagnostic.code, diagnostic.message)
        text = "\0".join((*content, str(seen[content])))
        result.append(sha256(text.encode(errors="surrogateescape")).hexdigest()[:FINGERPRINT_DIGITS])
        seen[content] += 1
    return result


def repository_path(file: str) -> str:
    """A file's path with `/`, relative to the current folder if it lies beneath it: a checkout's root in CI."""
    return display_path(Path(os.path.normpath(file))).replace("\\", "/")
