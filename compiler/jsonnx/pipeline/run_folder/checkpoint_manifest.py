"""The manifest of a folder of checkpoints: the file `SHA256SUMS`, which `sha256sum --check` reads.

It is written after the checkpoints that it lists and before older ones are removed. So all that it lists are there; if
a process was killed in between, it lacks the newest checkpoint, or has the hash of one that has been replaced. Whether
a checkpoint is undamaged is decided by its own checksum, and the manifest tells whether one is missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ...core.files.files import read_without_links, write_atomically

_LINE = re.compile(r"([0-9a-f]{64})  ([^/\\\0]+)")


def write_manifest(path: Path, digests: Mapping[str, str]) -> None:
    """Writes the SHA-256 of files by their names. Raises UsageError `unwritable-file`."""
    lines = [f"{digest}  {name}\n" for name, digest in sorted(digests.items())]
    write_atomically(path, "".join(lines).encode(), follows_links=False)


def read_manifest(path: Path) -> dict[str, str]:
    """The SHA-256 of files by their names; none without a manifest. Raises ValueError for a damaged one, OSError."""
    try:
        text = read_without_links(path).decode()
    except FileNotFoundError:
        return {}
    matches = [_LINE.fullmatch(line) for line in text.splitlines()]
    if not text.endswith("\n") or None in matches:
        raise ValueError("a line is not a hash and a name")
    return {match[2]: match[1] for match in matches if match}
