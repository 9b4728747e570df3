"""Where the site of the documentation has the page of a thing, if a user has set the site's address."""

from __future__ import annotations

import os

ADDRESS_VARIABLE = "JSONNX_DOCS_URL"
"""The environment variable with the address of the site: that of the folder with its index.html, also a file:// one."""

FOLDERS = {
    "layer": "layers",
    "operator": "operators",
    "block": "blocks",
    "activation": "activations",
    "initializer": "initializers",
    "regularizer": "regularizers",
    "constraint": "constraints",
    "relative_position": "relative_positions",
    "loss": "losses",
    "metric": "metrics",
    "optimizer": "optimizers",
    "schedule": "schedules",
    "tracker": "trackers",
    "error": "errors",
    "rule": "rules",
    "command": "commands",
    "function": "python",
}
"""The folder of the pages of each kind below `reference/`."""


def page_path(kind: str, name: str) -> str:
    """The page of a name without its suffix: `reference/layers/LSTM`, `reference/errors/shape-mismatch`."""
    return f"reference/{FOLDERS[kind]}/{name}"


def page_address(kind: str, name: str) -> str | None:
    """The address of the page of a name; None if no address of the site is set."""
    address = os.environ.get(ADDRESS_VARIABLE, "").rstrip("/")
    return f"{address}/{page_path(kind, name)}.html" if address else None
