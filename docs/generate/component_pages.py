"""The pages of layers, operators, blocks of the library, losses, metrics, optimizers and other components."""

from __future__ import annotations


def component_pages() -> dict[str, str]:
    """The Markdown of each page by its path in docs/: `reference/layers/LSTM.md`."""
    return {}


def component_names() -> dict[str, str]:
    """The page of each name that belongs to one component only."""
    return {}
