"""A scene: files and commands that make the command line print a diagnostic, and short specs for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..markdown import Lines, code_block, spec_text

CHECK = "jsonnx validate spec.json --data"

MAX_LINES, MAX_ROWS = 24, 8
"""The largest number of lines that a page shows of a spec, and of a table or another file."""


class Scene(NamedTuple):
    """A command that prints a diagnostic, in a folder with files, after the commands of `setup`."""

    command: str
    files: dict[str, str] = {}
    spec: dict[str, Any] | None = None
    """The spec in the file spec.json."""
    setup: tuple[str, ...] = ()

    def all_files(self) -> dict[str, str]:
        """The files of the folder, the spec included."""
        return {**self.files, **({"spec.json": spec_text(self.spec)} if self.spec is not None else {})}

    def lines(self) -> Lines:
        """The files, each with its name before it, and the commands of `setup`, in Markdown."""
        lines: Lines = []
        for name, text in self.all_files().items():
            lines += ["", f"`{name}`:" if text else f"`{name}` is empty.", *(_file_block(name, text) if text else [])]
        commands = ", ".join(f"`{command}`" for command in self.setup)
        return [*lines, *(["", f"After {commands}:"] if commands else [])]


def _file_block(name: str, text: str) -> Lines:
    """The first lines of a file."""
    lines, is_json = text.splitlines(), name.endswith(".json")
    count = MAX_LINES if is_json else MAX_ROWS
    if len(lines) > count:
        return code_block("text", "\n".join([*lines[:count], "..."]))
    return code_block("json" if is_json else "text", text)


def rows(header: str, *lines: str) -> str:
    """The text of a table."""
    return "\n".join([header, *lines]) + "\n"


def number_spec(
    data: dict[str, Any] | None = None, *, width: int = 1, inputs: Sequence[str] = ("x",), **training: Any
) -> dict[str, Any]:
    """A spec that predicts a number, with its data and further keys of `training`."""
    merge = [{"type": "Concatenate", "from": [*inputs]}] if len(inputs) > 1 else []
    return {
        "inputs": {name: {"shape": [width]} for name in inputs},
        "layers": [*merge, {"type": "Dense", "name": "y", "units": 1}],
        "training": {"loss": "mse", "epochs": 1, **({"data": data} if data else {}), **training},
    }


def class_spec(data: dict[str, Any], *, classes: int | None = None, **training: Any) -> dict[str, Any]:
    """A spec that tells two classes apart by one output, or several by one each."""
    units, activation, loss = (
        (classes, "softmax", "sparse_categorical_crossentropy") if classes else (1, "sigmoid", "binary_crossentropy")
    )
    return {
        "inputs": {"x": {"shape": [1]}},
        "layers": [{"type": "Dense", "name": "kind", "units": units, "activation": activation}],
        "training": {"loss": loss, "metrics": ["accuracy"], "data": data, **training},
    }


def series_spec(windows: dict[str, Any]) -> dict[str, Any]:
    """A spec that forecasts sales from windows of a table."""
    return {
        "inputs": {"x": {"shape": [7, 1]}},
        "layers": [{"type": "Flatten"}, {"type": "Dense", "name": "y", "units": 1}],
        "training": {
            "loss": "mse",
            "data": {"train": "sales.csv", "x": "sales", "y": "sales", "windows": windows},
        },
    }
