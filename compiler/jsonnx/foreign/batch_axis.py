"""Targets of Reshapes in files that fix the number of samples: which of their sizes counts the samples."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ..core.types import BATCH, Dim, Size, evaluate_size


def batched_target(target: Sequence[Dim], shape: Sequence[Dim], fixed_batch: int) -> list[Dim]:
    """The target of a Reshape of a value of this shape, with the symbolic batch where the file has `fixed_batch`.

    Axes of both shapes are matched from the left, in the smallest groups of equal numbers of elements. In the group
    that the batch falls into, the size that equals the file's number counts the samples, or else the first one. An
    explicit -1 counts them if the size would otherwise be another number of the file.
    """
    unchanged = list(target)
    sizes = [_with_fixed_batch(size, fixed_batch) for size in shape]
    explicit = [size for size in target if size != -1]
    if BATCH not in _symbols(shape) or not all(isinstance(size, int) for size in (*sizes, *explicit)):
        return unchanged
    known, wanted = [int(str(size)) for size in sizes], [int(str(size)) for size in target]
    if -1 in wanted:
        rest = prod(size for size in wanted if size != -1)
        wanted[wanted.index(-1)] = prod(known) // rest if rest else 0
    if prod(known) != prod(wanted) or prod(known) == 0:
        return unchanged
    axis = _batch_axis(shape, known, wanted, fixed_batch)
    if axis is None or (-1 in target and target[axis] not in (-1, fixed_batch)):
        return unchanged
    return [BATCH * (size // fixed_batch) if index == axis else size for index, size in enumerate(wanted)]


def _symbols(shape: Sequence[Dim]) -> set[Dim]:
    return {Size.named(symbol) for size in shape if isinstance(size, Size) for symbol, _ in size.terms}


def _with_fixed_batch(size: Dim, fixed_batch: int) -> Dim:
    try:
        return evaluate_size(size, {str(BATCH): fixed_batch})
    except ValueError:
        return size


def _batch_axis(shape: Sequence[Dim], known: list[int], wanted: list[int], fixed_batch: int) -> int | None:
    """The axis of the target that counts the samples."""
    start = end = 0
    for first, last in _groups(known, wanted):
        end = last[1]
        if any(isinstance(size, Size) for size in shape[first[0] : first[1]]):
            axes = sorted(range(start, end), key=lambda axis: wanted[axis] != fixed_batch)
            return next((axis for axis in axes if wanted[axis] % fixed_batch == 0), None)
        start = end
    return None


def _groups(known: list[int], wanted: list[int]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The smallest groups of axes of two shapes with equal numbers of elements, from the left."""
    groups, i, j = [], 0, 0
    while i < len(known) and j < len(wanted):
        first, second = (i, j), (known[i], wanted[j])
        i, j = i + 1, j + 1
        while second[0] != second[1]:
            if second[0] < second[1]:
                second, i = (second[0] * known[i], second[1]), i + 1
            else:
                second, j = (second[0], second[1] * wanted[j]), j + 1
        groups.append(((first[0], i), (first[1], j)))
    return groups
