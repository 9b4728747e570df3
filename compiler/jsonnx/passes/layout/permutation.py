"""Orders of axes, as Transpose takes them: axis i of the result is axis perm[i] of the operand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ...core.types import Dim
from ...ir import Value

Perm = tuple[int, ...]


class View(NamedTuple):
    """A value as the transpose of another one: axis i of it is axis perm[i] of the physical value."""

    physical: Value
    perm: Perm


def permute(items: Sequence[Any], perm: Perm) -> tuple[Any, ...]:
    """What Transpose makes of a shape; for a permutation, of two transposes the one."""
    return tuple(items[axis] for axis in perm)


def inverse(perm: Perm) -> Perm:
    return tuple(perm.index(axis) for axis in range(len(perm)))


def identity(rank: int) -> Perm:
    return tuple(range(rank))


def is_identity(perm: Perm) -> bool:
    return perm == identity(len(perm))


def keeps_element_order(shape: Sequence[Dim], perm: Perm) -> bool:
    """Whether a transpose moves only axes of size one, and so no element."""
    moved = [axis for axis in perm if shape[axis] != 1]
    return moved == sorted(moved)


def drop_axes(perm: Perm, axes: Iterable[int]) -> Perm:
    """The permutation of the axes that are left where a view loses some."""
    gone = set(axes)
    rest = [axis for place, axis in enumerate(perm) if place not in gone]
    rank_of = {axis: place for place, axis in enumerate(sorted(rest))}
    return tuple(rank_of[axis] for axis in rest)
