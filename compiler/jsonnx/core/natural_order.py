"""The order of names in which numbers count as numbers: `a-2` comes before `a-10`."""

from __future__ import annotations

import re


def natural_key(name: str) -> list[str | int]:
    """The sort key of a name: texts and numbers in turn, beginning with a text that may be empty."""
    return [int(part) if index % 2 else part for index, part in enumerate(re.split(r"([0-9]+)", name))]
