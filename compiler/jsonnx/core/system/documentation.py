"""Where the site of the documentation has the page of a thing, if a user has set the site's address."""

from __future__ import annotations

import os

from ..diagnostics import UsageError

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

PREFIXES = {"operator": "ops.", "block": "std."}
"""What the names of a kind begin with, and the names of their pages do not."""


def page_path(kind: str, name: str) -> str:
    """The page of a name without its suffix: `reference/layers/LSTM`, `reference/errors/shape-mismatch`."""
    return f"reference/{FOLDERS[kind]}/{name.removeprefix(PREFIXES.get(kind, ''))}"


def page_address(kind: str, name: str) -> str | None:
    """The address of the page of a name; None if no address of the site is set. Raises UsageError as `site_address`."""
    address = site_address()
    return f"{address}/{page_path(kind, name)}.html" if address else None


def site_address() -> str | None:
    """The address of the folder of the site; None if none is set. Raises UsageError for what is no address."""
    text = os.environ.get(ADDRESS_VARIABLE, "").strip()
    if not text:
        return None
    if not _is_address(text):
        raise UsageError(
            "bad-option",
            f"the environment variable {ADDRESS_VARIABLE} is {text!r}, not the address of a site",
            "give the address of the folder with the site's index.html, such as https://docs.example/jsonnx or "
            "file:///home/me/jsonnx/build/docs, or unset it",
        )
    return text.removesuffix("index.html").rstrip("/")


def _is_address(text: str) -> bool:
    from urllib.parse import urlsplit  # only if an address is set: commands start sooner

    try:
        parts = urlsplit(text)
    except ValueError:  # such as a bracket without its partner
        return False
    is_complete = bool(parts.netloc) if parts.scheme in ("http", "https") else parts.path.startswith("/")
    has_more = bool(parts.query or parts.fragment) or any(map(str.isspace, text))
    return text.startswith(("http://", "https://", "file://")) and is_complete and not has_more
