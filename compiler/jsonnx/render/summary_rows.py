"""The rows of a network's layers, those of one use of a block together under a heading of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ..lowering.cost import Row


class Line(NamedTuple):
    """A layer, or a use of a block with the layers in it; `level` says in how many blocks it stands."""

    name: str
    type: str
    level: int
    rows: Sequence[Row]
    is_block: bool = False
    is_closed: bool = False
    """Whether what is in the block is not shown."""

    @property
    def parameters(self) -> int:
        return sum(row.parameters for row in self.rows)

    @property
    def trainable(self) -> int:
        return sum(row.trainable for row in self.rows)

    @property
    def macs(self) -> int | None:
        known = [row.macs for row in self.rows if row.macs is not None]
        return sum(known) if len(known) == len(self.rows) else None


def grouped(rows: Sequence[Row], depth: int | None = None) -> list[Line]:
    """A line a layer, and one before the layers of each use of a block; of blocks in `depth` others the line alone."""
    return _lines(rows, 0, depth)


def _lines(rows: Sequence[Row], level: int, depth: int | None) -> list[Line]:
    lines: list[Line] = []
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if len(row.blocks) > level:
            groups.setdefault(row.blocks[level], []).append(row)
    for row in rows:
        if len(row.blocks) == level:
            lines.append(Line(row.name, row.type, level, [row]))
        elif (inner := groups.pop(row.blocks[level], None)) is not None:
            closed = depth is not None and level >= depth
            lines.append(Line(*row.blocks[level], level, inner, True, closed))
            lines += [] if closed else _lines(inner, level + 1, depth)
    return lines
