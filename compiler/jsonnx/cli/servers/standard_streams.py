"""The commands `lsp` and `mcp`, which serve editors and language models on standard input and output."""

from __future__ import annotations

import sys

import click

from ..common import handles_errors, print_status


@click.command(short_help="Serve editors: diagnostics, completion, shapes, renaming.")
@click.option("--stdio", is_flag=True, help="Use standard input and output, as without it; many editors give it.")
@click.option("--log", metavar="FILE", help="Append messages and exceptions of the server to this file.")
@handles_errors
def lsp(stdio: bool, log: str | None) -> None:
    """Serve an editor over the Language Server Protocol, on standard input and output.

    Editors start it: docs/guides/tools/editors.md says how in VS Code, Neovim, Helix, Zed and JetBrains. Needs the
    extra `lsp`: `pip install ".[lsp]"` in a checkout.
    """
    from ...core.system.optional_packages import require_package

    require_package("pygls", "lsp", "the language server")
    from ...language_server.start import start

    sys.exit(start(log))


@click.command(short_help="Serve a folder's specs to language models, by the Model Context Protocol.")
@click.option(
    "--root",
    default=".",
    show_default=True,
    metavar="DIR",
    help="Folder that the tools are confined to: they neither read nor write beside it.",
)
@handles_errors
def mcp(root: str) -> None:
    """Serve tools that check, explain, change, train and run specs, by the Model Context Protocol.

    A client starts this command and talks to it on standard input and output. Needs the extra `mcp`.
    """
    from ...core.system.optional_packages import require_package

    require_package("mcp.server.mcpserver", "mcp", "the server")  # a module of mcp 2
    from ...mcp_server.server import serve

    if sys.stdin.isatty():
        print_status("waiting for a client on standard input; Ctrl-C ends the server")
    serve(root)
