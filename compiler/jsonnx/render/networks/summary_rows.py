"""Groups the rows of a summary by blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ...ir.polynomial import Polynomial

if TYPE_CHECKING:
    from ...lowering.cost import LayerCost


class SummaryRow(NamedTuple):
    """A layer, or a use of a block with its layers. `nesting_level` is the number of blocks around it."""

    name: str
    type: str
    nesting_level: int
    rows: Sequence[LayerCost]
    is_block: bool = False
    is_collapsed: bool = False
    """Whether the layers of the block are hidden."""

    @property
    def parameters(self) -> int:
        return sum(row.parameters for row in self.rows)

    @property
    def trainable(self) -> int:
        return sum(row.trainable for row in self.rows)

    @property
    def sources(self) -> list[str]:
        """The values that the layers take from other layers, in order."""
        own_names = {row.name for row in self.rows}
        sources = dict.fromkeys(source for row in self.rows for source in row.sources)
        if not self.is_block:
            return list(self.rows[0].sources)
        return [source for source in sources if source.partition(".")[0] not in own_names]

    @property
    def macs(self) -> Polynomial:
        return sum((row.macs for row in self.rows), Polynomial())


def summary_rows(rows: Sequence[LayerCost], max_depth: int | None = None) -> list[SummaryRow]:
    """One row a layer, and one row before the layers of each block.

    The layers of blocks that are nested `max_depth` levels deep are hidden.
    """
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
            is_collapsed = max_depth is not None and nesting_level >= max_depth
            lines.append(SummaryRow(*row.block_path[nesting_level], nesting_level, inner, True, is_collapsed))
            lines += [] if is_collapsed else _rows_at_level(inner, nesting_level + 1, max_depth)
    return lines
