"""The command `completion`: prints a shell's completion script, or installs it for the user."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import NamedTuple

import click

from ..core.diagnostics import UsageError
from ..core.files.files import display_path, make_folders, write_atomically
from .common import handles_errors, print_document, print_status

SHELLS = ("bash", "zsh", "fish")
COMPLETE_VARIABLE = "_JSONNX_COMPLETE"

ZSH_PREFIX = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }\n"
"""zsh's completion must be initialized before a script registers one, which a start-up file may not do."""


class Installation(NamedTuple):
    """The file of a shell's completion script, and the start-up file with a line that reads it, if one is needed."""

    script: Path
    startup_file: Path | None = None

    @property
    def line(self) -> str:
        script = shlex.quote(str(self.script))
        return f"[ -r {script} ] && . {script}  # completion of jsonnx"


@click.command(short_help="Print or install completion for bash, zsh or fish.")
@click.argument("shell", metavar="[SHELL]", required=False, type=click.Choice(SHELLS))
@click.option("--install", is_flag=True, help="Install it for the current user; run this again after an upgrade.")
@handles_errors
def completion(shell: str | None, install: bool) -> None:
    """Print the script that completes commands, options, files, layers and error codes, or install it.

    SHELL is bash, zsh or fish; without it, the one that the variable SHELL names. --install writes the script to a file
    and, for bash and zsh, adds a line that reads it to ~/.bashrc or ~/.zshrc, once.
    """
    shell = shell or _login_shell()
    if install:
        _install(completion_script(shell), _installation(shell))
    else:
        print_document(completion_script(shell).rstrip("\n"))


def _login_shell() -> str:
    """The shell that the variable SHELL names. Raises UsageError if it is none of SHELLS."""
    name = Path(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        message = f"there is no completion for the shell {name!r}" if name else "the variable SHELL is not set"
        raise UsageError("bad-option", message, "name bash, zsh or fish")
    return name


def completion_script(shell: str) -> str:
    """The text that a shell reads to complete `jsonnx`."""
    from click.shell_completion import ShellComplete, get_completion_class

    shell_class = get_completion_class(shell)
    assert shell_class is not None  # click has one for each of SHELLS
    # not the method of its class for bash, which starts a bash to ask for its version
    main = click.get_current_context().find_root().command
    source = ShellComplete.source(shell_class(main, {}, "jsonnx", COMPLETE_VARIABLE))
    return (ZSH_PREFIX if shell == "zsh" else "") + source


def _installation(shell: str) -> Installation:
    try:
        home = Path.home()
    except RuntimeError as error:
        raise UsageError("unwritable-file", "there is no home folder", "set the variable HOME") from error
    if shell == "fish":
        return Installation(_folder("XDG_CONFIG_HOME", home / ".config") / "fish" / "completions" / "jsonnx.fish")
    script = _folder("XDG_DATA_HOME", home / ".local" / "share") / "jsonnx" / f"completion.{shell}"
    startup_file = home / ".bashrc" if shell == "bash" else _folder("ZDOTDIR", home) / ".zshrc"
    return Installation(script, startup_file)


def _folder(variable: str, default: Path) -> Path:
    """The folder that a variable names; the default if it is not set, empty or relative."""
    folder = Path(os.environ.get(variable) or default)
    return folder if folder.is_absolute() else default


def _install(script: str, place: Installation) -> None:
    """Writes the script, adds the line to the start-up file if it lacks it, and prints what was changed."""
    make_folders(place.script.parent)
    write_atomically(place.script, script.encode())
    print_status(f"wrote {display_path(place.script)}")
    if place.startup_file is not None:
        text = _read_startup_file(place.startup_file)
        if place.line not in text.splitlines():
            separator = "" if not text or text.endswith("\n") else "\n"
            content = f"{text}{separator}{place.line}\n"
            write_atomically(place.startup_file, content.encode(errors="surrogateescape"))
            print_status(f"added a line to {display_path(place.startup_file)}")
    print_status("open a new shell to use it")


def _read_startup_file(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="surrogateescape")
    except FileNotFoundError:
        return ""
