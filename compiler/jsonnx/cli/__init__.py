"""The command line: parses arguments, calls the pipeline and prints the results."""

from __future__ import annotations

import os
import sys
from collections import UserDict
from collections.abc import Iterator
from importlib import import_module
from keyword import iskeyword
from typing import Any

import click

from ..render.text.terminal import COLOR_CHOICES, ColorChoice, choose_color
from .completion import enable_completion
from .examples import epilog


class CommandGroup(click.Group):
    """The group of all commands. Ensures usable standard streams before it runs one."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        ensure_standard_streams()
        choose_color("auto")  # not the choice of an earlier command in this process
        return super().main(*arguments, **options)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except click.NoSuchOption as error:
            key = TRAINING_KEYS.get(error.option_name)
            command = error.ctx.command if error.ctx is not None else None
            if key is not None and command is not None and any(option.name == "changes" for option in command.params):
                hint = f"No such option '{error.option_name}'. It is a value of the spec: --set 'training.{key}'"
                raise click.UsageError(hint, error.ctx) from None
            raise


TRAINING_KEYS = {
    "--epochs": "epochs=3",
    "--batch-size": "batch_size=32",
    "--lr": "optimizer.learning_rate=0.001",
    "--learning-rate": "optimizer.learning_rate=0.001",
    "--optimizer": "optimizer=adam",
    "--loss": "loss=mse",
    "--metrics": 'metrics=["accuracy"]',
    "--validation-split": "data.validation_split=0.2",
}
"""Options of other training programs, and the change of the spec that takes their place."""


def ensure_standard_streams() -> None:
    """Replaces closed standard streams by the null device, and escapes characters that their encoding lacks.

    If a standard stream is closed, the next file that is opened gets its descriptor, and with it the printed output.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            null_device = open(os.devnull, mode)  # noqa: SIM115 (stays open until the process ends)
            setattr(sys, name, null_device)
        elif mode == "w" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def show_version(context: click.Context, option: click.Parameter, is_set: bool) -> None:
    if is_set:
        from ..backend import package_version

        click.echo(f"jsonnx, version {package_version()}")
        context.exit()


def set_color_choice(context: click.Context, option: click.Parameter, choice: ColorChoice | None) -> None:
    if choice is not None:
        choose_color(choice)


COLOR_OPTION = click.option(
    "--color",
    type=click.Choice(COLOR_CHOICES),
    is_eager=True,
    expose_value=False,
    callback=set_color_choice,
    help="Whether to color the output. auto: in a terminal, unless NO_COLOR is set or TERM=dumb, or if FORCE_COLOR is.",
)
"""An option of `jsonnx` and of every command."""


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=show_version,
    help="Show the version and exit.",
)
@COLOR_OPTION
def main() -> None:
    """Check, compile and train neural networks that are written as JSON files."""


class CommandTable(UserDict[str, click.Command]):
    """The commands by name. A command's module is imported when the command is used or all are listed."""

    def __getitem__(self, name: str) -> click.Command:
        if name not in self.data and name in COMMAND_MODULES:
            module = import_module(f".{COMMAND_MODULES[name]}", __name__)
            command = COLOR_OPTION(getattr(module, f"{name}_" if iskeyword(name) else name))
            command.epilog = epilog(name)
            enable_completion(command)
            self.data[name] = command
        return self.data[name]

    def __contains__(self, name: object) -> bool:
        return name in COMMAND_MODULES

    def __iter__(self) -> Iterator[str]:
        return iter(COMMAND_MODULES)

    def __len__(self) -> int:
        return len(COMMAND_MODULES)


COMMAND_MODULES = {
    "validate": "specs",
    "lint": "lint",
    "summary": "specs",
    "fmt": "specs",
    "diff": "specs",
    "data": "data",
    "init": "data",
    "trace": "network",
    "draw": "network",
    "profile": "profile",
    "compile": "models",
    "quantize": "quantize",
    "train": "train",
    "sweep": "sweep",
    "evaluate": "evaluate",
    "runs": "runs",
    "compare": "runs",
    "lock": "runs",
    "report": "report",
    "predict": "models",
    "drift": "data",
    "inspect": "models",
    "import": "import_model",
    "export": "servers.export",
    "lsp": "servers.standard_streams",
    "mcp": "servers.standard_streams",
    "serve": "servers.serve",
    "client": "servers.client",
    "conform": "servers.conform",
    "schema": "info",
    "layers": "info",
    "explain": "info",
    "providers": "info",
    "parity": "info",
    "completion": "shells",
}
"""The module of each command, which has a function of the command's name (`import_` for `import`)."""

main.commands = CommandTable()
main.epilog = epilog("jsonnx")
