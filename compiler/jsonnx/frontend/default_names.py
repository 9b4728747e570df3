"""Default names of layers."""

from __future__ import annotations

from functools import cache
from itertools import count

from .. import library
from ..core.components import snake_case
from ..layers import LAYERS


@cache
def default_name(kind: str) -> str:
    """The default name of a layer or a block of the library, without a number.

    It is made of the main type name, even if `kind` is an alias.
    """
    layer = LAYERS.by_name.get(kind)
    type_name = getattr(layer, "stem", "") or layer.type_name if layer else kind.removeprefix(library.PREFIX)
    return snake_case(type_name) or "layer"


def free_name(base: str, used_names: set[str], last_numbers: dict[str, int], first: int) -> str:
    """The first unused of `dense`, `dense_1`, `dense_2`, ..., as Keras numbers layers.

    `first` is the first number to try. `last_numbers` remembers the last number of each base between calls.
    """
    for number in count(max(first, last_numbers.get(base, 0))):
        name = f"{base}_{number}" if number else base
        if name.lower() not in used_names:
            last_numbers[base] = number
            break
    return name
