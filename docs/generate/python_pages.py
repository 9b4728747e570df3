"""The pages of the public names of the Python package."""

from __future__ import annotations


def python_pages() -> dict[str, str]:
    """The Markdown of each page by its path in docs/: `reference/python/Trainer.md`."""
    return {}


def python_names() -> dict[str, str]:
    """The page of each public name: `jsonnx.Trainer`."""
    return {}
