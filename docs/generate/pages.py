"""All generated pages of the site, which the extension of Sphinx writes below docs/ before a build."""

from __future__ import annotations

from .codes.code_pages import code_names, code_pages
from .commands.command_pages import command_names, command_pages
from .components.component_pages import component_names, component_pages
from .index_pages import index_pages
from .project_pages import project_pages
from .python_names.python_pages import python_names, python_pages


def generated_pages() -> dict[str, str]:
    """The Markdown of every generated page, by its path in docs/: `reference/layers/LSTM.md`."""
    return index_pages() | component_pages() | code_pages() | command_pages() | python_pages() | project_pages()


def pages_by_name() -> dict[str, str]:
    """The page of each name that code in a guide may mention, by the name, where the name has one page only.

    Layers and operators by their types, other components by the names that specs have, errors and rules by their
    codes, commands as `jsonnx train`, public names as `jsonnx.Trainer`.
    """
    return component_names() | code_names() | command_names() | python_names()
