"""Names of classes that are numbers: in targets and in `class_weight`, integers are then names and not indices."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

NAMES_HELP = "integers are names of classes here, not indices, since there are labels that are integers"
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?")


def classes_by_number(labels: Sequence[str]) -> Mapping[int, int]:
    """The class indices by the integers that are names of classes; empty if integers are class indices, as they are
    where no label is an integer, and where each is its own index."""
    numbers: dict[int, int] = {}
    for index, label in enumerate(labels):
        if _WHOLE_NUMBER.fullmatch(label):
            numbers.setdefault(int(label.partition(".")[0]), index)
    return {} if list(numbers.items()) == [(index, index) for index in range(len(labels))] else numbers


def classes_by_boolean(labels: Sequence[str]) -> Mapping[int, int]:
    """The class indices by the booleans that are the names of both classes; else those by number."""
    booleans = [label.lower() for label in labels]
    if sorted(booleans) == ["false", "true"]:
        return {False: booleans.index("false"), True: booleans.index("true")}
    return classes_by_number(labels)
