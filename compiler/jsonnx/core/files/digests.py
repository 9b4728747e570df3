"""The digests that model and weight files carry in their metadata, and their comparison with the contents."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..diagnostics import Diagnostic
from .files import open_without_links

if TYPE_CHECKING:
    from hashlib import _Hash

CONTENT_DIGEST_KEY, TENSOR_DIGESTS_KEY = "jsonnx.digest", "jsonnx.tensor_digests"
"""The keys of the digests in a file's metadata. Neither value is covered by the digest of the contents.

There are two, so that a damaged key is found: a file has both or none.
"""

DIGEST_KEYS = (CONTENT_DIGEST_KEY, TENSOR_DIGESTS_KEY)
MAX_NAMES_SHOWN = 8
_TENSOR_DIGEST_DIGITS = 16

MISMATCH_HELP = (
    "copy or create the file again; if another program changed it on purpose, `--unverified` "
    "(in Python `verify=False`) accepts it"
)


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits. Raises OSError."""
    with open(path, "rb", opener=open_without_links) as file:
        return file_digest(file, "sha256").hexdigest()


def hashed_parts(parts: Iterable[Any], digest: _Hash) -> Iterator[Any]:
    """The parts of a file, each of which updates a digest when it is taken."""
    for part in parts:
        digest.update(part)
        yield part


@dataclass(frozen=True)
class ContentDigests:
    """SHA-256 digests in hexadecimal digits: of a file's contents, and of each tensor by name."""

    contents: str
    tensors: Mapping[str, str]

    def to_metadata(self) -> dict[str, str]:
        """The entries that record the digests. Those of tensors only tell which one is damaged: they are shortened."""
        tensors = {name: digest[:_TENSOR_DIGEST_DIGITS] for name, digest in sorted(self.tensors.items())}
        text = json.dumps(tensors, ensure_ascii=False, separators=(",", ":"))
        return {CONTENT_DIGEST_KEY: f"sha256:{self.contents}", TENSOR_DIGESTS_KEY: text}


def records_digests(metadata: Mapping[str, str]) -> bool:
    """Whether a file's metadata have digests, or at least a part of them."""
    return any(key in metadata for key in DIGEST_KEYS)


def digest_errors(metadata: Mapping[str, str], actual: ContentDigests, file: str, other_parts: str) -> list[Diagnostic]:
    """An error if the contents of a file differ from its recorded digests, which are in its `metadata`. `other_parts`
    names what the file has besides tensors.
    """
    expected = actual.to_metadata()
    if all(metadata.get(key) == expected[key] for key in DIGEST_KEYS):
        return []
    if metadata.get(CONTENT_DIGEST_KEY) == expected[CONTENT_DIGEST_KEY]:
        error = "the record of digests in its metadata is damaged"
    else:
        tensors, recorded = _parsed(expected[TENSOR_DIGESTS_KEY]), _parsed(metadata.get(TENSOR_DIGESTS_KEY, ""))
        changed = [name for name in {**recorded, **tensors} if recorded.get(name) != tensors.get(name)]
        names = ", ".join(repr(name[:200]) for name in changed[:MAX_NAMES_SHOWN])
        more = f" and {len(changed) - MAX_NAMES_SHOWN:,} more" if len(changed) > MAX_NAMES_SHOWN else ""
        subject = f"{names}{more}" if recorded and changed else other_parts
        error = f"its contents are not those of its recorded digest: {subject} changed after it was written"
    return [Diagnostic("digest-mismatch", error, file=file, help=MISMATCH_HELP)]


def _parsed(text: str) -> dict[str, str]:
    """The digests of tensors in a record; empty for a damaged one."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
