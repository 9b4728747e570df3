"""The pages of the commands of the command line."""

from __future__ import annotations


def command_pages() -> dict[str, str]:
    """The Markdown of each page by its path in docs/: `reference/commands/train.md`."""
    return {}


def command_names() -> dict[str, str]:
    """The page of each command: `jsonnx train`."""
    return {}
