"""The rows of a network's layers, those of one use of a block together under a heading of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ..lowering.cost import LayerCost


class SummaryRow(NamedTuple):
    """A layer, or a use of a block with the layers in it; `nesting_level` says in how many blocks it stands."""

    name: str
    type: str
    nesting_level: int
    rows: Sequence[LayerCost]
    is_block: bool = False
    is_collapsed: bool = False
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


def summary_rows(rows: Sequence[LayerCost], max_depth: int | None = None) -> list[SummaryRow]:
    """A line a layer, and one before the layers of each use of a block; of blocks in `max_depth` others the line alone."""
    return _rows_at_level(rows, 0, max_depth)


def _rows_at_level(rows: Sequence[LayerCost], nesting_level: int, max_depth: int | None) -> list[SummaryRow]:
    lines: list[SummaryRow] = []
    groups: dict[tuple[str, str], list[LayerCost]] = {}
    for row in rows:
        if len(row.block_path) > nesting_level:
            groups.setdefault(row.block_path[nesting_level], []).append(row)
    for row in rows:
        if len(row.block_path) == nesting_level:
            lines.append(SummaryRow(row.name, row.type, nesting_level, [row]))
        elif (inner := groups.pop(row.block_path[nesting_level], None)) is not None:
            closed = max_depth is not None and nesting_level >= max_depth
            lines.append(SummaryRow(*row.block_path[nesting_level], nesting_level, inner, True, closed))
            lines += [] if closed else _rows_at_level(inner, nesting_level + 1, max_depth)
    return lines
