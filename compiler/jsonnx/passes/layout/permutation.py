"""Permutations of axes, as in Transpose: axis i of the result is axis perm[i] of the operand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ...core.types import Dim
from ...ir import Value

Perm = tuple[int, ...]


class View(NamedTuple):
    """A logical value as the transpose of a physical one: axis i of it is axis perm[i] of the physical value."""

    physical: Value
    perm: Perm


def permute(items: Sequence[Any], perm: Perm) -> tuple[Any, ...]:
    """The items in the order of a permutation: a transposed shape, or the composition of two permutations."""
    return tuple(items[axis] for axis in perm)


def inverse(perm: Perm) -> Perm:
    return tuple(perm.index(axis) for axis in range(len(perm)))


def identity(rank: int) -> Perm:
    return tuple(range(rank))


def is_identity(perm: Perm) -> bool:
    return perm == identity(len(perm))


def keeps_element_order(shape: Sequence[Dim], perm: Perm) -> bool:
    """Whether a transpose moves only axes of size 1, which keeps the elements in their order."""
    moved = [axis for axis in perm if shape[axis] != 1]
    return moved == sorted(moved)


def drop_axes(perm: Perm, axes: Iterable[int]) -> Perm:
    """The permutation of a view without these logical axes."""
    dropped_axes = set(axes)
    kept_axes = [physical for logical, physical in enumerate(perm) if logical not in dropped_axes]
    new_axes = {physical: new for new, physical in enumerate(sorted(kept_axes))}
    return tuple(new_axes[physical] for physical in kept_axes)
