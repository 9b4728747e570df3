"""The command lsp."""

from __future__ import annotations

import sys

import click

from .common import handles_errors


@click.command(short_help="Serve editors: diagnostics, completion, shapes, renaming.")
@click.option("--stdio", is_flag=True, help="Use standard input and output, as without it; many editors give it.")
@click.option("--log", metavar="FILE", help="Append messages and exceptions of the server to this file.")
@handles_errors
def lsp(stdio: bool, log: str | None) -> None:
    """Serve an editor over the Language Server Protocol, on standard input and output.

    Editors start it: docs/editors.md says how in VS Code, Neovim, Helix, Zed and JetBrains. Needs the extra `lsp`:
    `pip install ".[lsp]"` in a checkout.
    """
    from ..core.system.optional_packages import require_package

    require_package("pygls", "lsp", "the language server")
    from ..language_server.start import start

    sys.exit(start(log))
