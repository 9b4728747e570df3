"""One server for all tests that need no other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("pygls", reason="the language server needs the extra [lsp]")

from .lsp_client import FULL_CAPABILITIES, LspClient


@pytest.fixture(scope="session")
def client() -> Iterator[LspClient]:
    """A server that thinks that it serves VS Code."""
    with LspClient(FULL_CAPABILITIES) as client:
        yield client
