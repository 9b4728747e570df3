"""The pages that find others: the index of the reference, by task, and by names of Keras and PyTorch."""

from __future__ import annotations


def index_pages() -> dict[str, str]:
    """The Markdown of each page by its path in docs/: `reference/index.md`."""
    return {"reference/index.md": "# Reference\n"}
