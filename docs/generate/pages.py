"""All generated pages of the site.

`python docs/generate/pages.py` writes them below docs/reference/.
"""

from __future__ import annotations


def generated_pages() -> dict[str, str]:
    """The Markdown of every generated page, by its path in docs/: `reference/layers/LSTM.md`."""
    return {"reference/index.md": "# Reference\n"}


def pages_by_name() -> dict[str, str]:
    """The page of each name that code in a guide may mention, by the name, where the name has one page only.

    Layers and operators by their types, other components by the names that specs have, errors and rules by their
    codes, commands as `jsonnx train`, public names as `jsonnx.Trainer`.
    """
    return {}
