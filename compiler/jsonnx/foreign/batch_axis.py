"""Targets of Reshapes in files that fix the number of samples: which of their sizes counts the samples."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from ..core.types import BATCH, Dim, Size, evaluate_size


class BatchedTarget(NamedTuple):
    """The target of a Reshape."""

    sizes: list[Dim]
    is_inner: bool = False
    """Whether the samples are the faster index of an axis that has them and others, as in rows of steps and samples.
    Otherwise they are the slower one, as in an axis of samples and heads."""


def batched_target(
    target: Sequence[Dim], shape: Sequence[Dim], fixed_batch: int, is_inner: bool = False
) -> BatchedTarget:
    """The target of a Reshape of a value of this shape, with the symbolic batch where the file has `fixed_batch`.

    The samples keep their place in the order of the elements: the sizes before them have the same product in both
    shapes. A size that equals the file's number counts them; where none does, they are merged with the axis that
    begins at their place, or with the one that ends there. An explicit -1 counts them if the size would otherwise be
    another number of the file. The target itself is returned if no size can count them.
    """
    unchanged = BatchedTarget(list(target))
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
    source = next(axis for axis, size in enumerate(shape) if isinstance(size, Size))
    found = _batch_axis(source, known, wanted, fixed_batch, is_inner)
    if found is None or (-1 in target and target[found[0]] not in (-1, fixed_batch)):
        return unchanged
    batched = [BATCH * (size // fixed_batch) if axis == found[0] else size for axis, size in enumerate(wanted)]
    return BatchedTarget(batched, found[1])


def _symbols(shape: Sequence[Dim]) -> set[Dim]:
    return {Size.named(symbol) for size in shape if isinstance(size, Size) for symbol, _ in size.terms}


def _with_fixed_batch(size: Dim, fixed_batch: int) -> Dim:
    try:
        return evaluate_size(size, {str(BATCH): fixed_batch})
    except ValueError:
        return size


def _batch_axis(
    source: int, known: list[int], wanted: list[int], fixed_batch: int, is_inner: bool
) -> tuple[int, bool] | None:
    """The axis of the target that counts the samples, and whether they are its faster index."""
    before = prod(known[:source]) * (known[source] // fixed_batch if is_inner else 1)
    possible = [axis for axis, size in enumerate(wanted) if size % fixed_batch == 0]
    begins = [axis for axis in possible if prod(wanted[:axis]) == before]
    ends = [axis for axis in possible if prod(wanted[: axis + 1]) == before * fixed_batch and axis not in begins]
    own = [axis for axis in begins if wanted[axis] == fixed_batch]
    if own:
        return (source if source in own else own[0]), False
    following = known[source + 1 : source + 2]
    if begins and not (ends and (begins[0] == len(wanted) - 1 or following == [wanted[begins[0]]])):
        return begins[0], False
    return (ends[-1], True) if ends else None
