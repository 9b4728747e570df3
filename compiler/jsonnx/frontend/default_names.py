"""What a layer is called that has no name."""

from __future__ import annotations

from functools import cache
from itertools import count

from ..core.components import snake_case
from ..layers import LAYERS


@cache
def default_name(kind: str) -> str:
    """What a layer without a name is called: after its type, under its own name where that is an alias."""
    known = LAYERS.by_name.get(kind)
    return snake_case(getattr(known, "stem", "") or known.type_name if known else kind) or "layer"


def free_name(base: str, used_names: set[str], last_numbers: dict[str, int], first: int) -> str:
    """Keras' way: `dense`, `dense_1`, `dense_2`. `last_numbers` is what was last counted to, by base."""
    for number in count(max(first, last_numbers.get(base, 0))):
        name = f"{base}_{number}" if number else base
        if name.lower() not in used_names:
            last_numbers[base] = number
            break
    return name
