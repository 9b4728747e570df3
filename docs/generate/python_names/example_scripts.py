"""The examples of the pages of public Python names: one script a page, in the folder python_examples.

A line `# -- Trainer.fit` begins the example of a member, which goes on from the lines before it; `# -- WandB: needs the
extra wandb` that of one which is not run where the extra is not installed. A comment behind `print` is what it prints.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).with_name("python_examples")

MARKER = re.compile(r"^# -- (?P<name>[\w.]+)(?:: (?P<needs>needs .+))?\n", re.MULTILINE)


class PythonExample(NamedTuple):
    """The code of an example, and what it needs besides jsonnx, such as `needs the extra ray`."""

    code: str
    needs: str = ""


def example_names() -> list[str]:
    """The pages that have examples, by their names."""
    return sorted(file.stem for file in FOLDER.glob("*.py"))


@cache
def examples_of(name: str) -> dict[str, PythonExample]:
    """The examples of a page, in their order: that of the name itself, and those of its members."""
    first, *parts = MARKER.split((FOLDER / f"{name}.py").read_text("utf-8"))
    members = {
        member: PythonExample(code.strip("\n"), needs or "")
        for member, needs, code in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    }
    return {name: PythonExample(first.strip("\n")), **members}
