"""Groups the rows of a summary by blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ...ir.polynomial import Polynomial

if TYPE_CHECKING:
    from ...lowering.cost import LayerCost
    from ...lowering.module_costs import ModuleCost

DEFAULT_MODULE_LEVELS = 1
MAX_OPERATORS_SHOWN = 3


class SummaryRow(NamedTuple):
    """A layer, or a use of a block with its layers. `nesting_level` is the number of blocks around it."""

    name: str
    type: str
    nesting_level: int
    rows: Sequence[LayerCost]
    is_block: bool = False
    is_collapsed: bool = False
    """Whether the layers of the block are hidden."""

    module: ModuleCost | None = None
    """The module of the layer that the row is for, if it is not for the whole layer."""

    @property
    def parameters(self) -> int:
        return self.module.parameters if self.module else sum(row.parameters for row in self.rows)

    @property
    def trainable(self) -> int:
        return self.module.trainable if self.module else sum(row.trainable for row in self.rows)

    @property
    def sources(self) -> list[str]:
        """The values that the layers take from other layers, in order."""
        if self.module:
            return []
        own_names = {row.name for row in self.rows}
        sources = dict.fromkeys(source for row in self.rows for source in row.sources)
        if not self.is_block:
            return list(self.rows[0].sources)
        return [source for source in sources if source.partition(".")[0] not in own_names]

    @property
    def macs(self) -> Polynomial:
        return self.module.macs if self.module else sum((row.macs for row in self.rows), Polynomial())


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
            lines += _module_rows(row, nesting_level, max_depth)
        elif (inner := groups.pop(row.block_path[nesting_level], None)) is not None:
            is_collapsed = max_depth is not None and nesting_level >= max_depth
            lines.append(SummaryRow(*row.block_path[nesting_level], nesting_level, inner, True, is_collapsed))
            lines += [] if is_collapsed else _rows_at_level(inner, nesting_level + 1, max_depth)
    return lines


def _module_rows(row: LayerCost, nesting_level: int, max_depth: int | None) -> list[SummaryRow]:
    """The modules of an ONNX file: the outermost ones, or down to `max_depth` levels of blocks and modules."""
    levels = DEFAULT_MODULE_LEVELS if max_depth is None else max_depth - nesting_level
    return [
        SummaryRow(module.path, _operators_text(module), nesting_level + 1 + module.level, [row], module=module)
        for module in row.modules
        if module.level < levels
    ]


def _operators_text(module: ModuleCost) -> str:
    """The most frequent operators of a module with their numbers, such as `4 Conv, 3 Relu, 2 others`."""
    ordered = sorted(module.operators.items(), key=lambda item: (-item[1], item[0]))
    parts = [f"{count} {op}" for op, count in ordered[:MAX_OPERATORS_SHOWN]]
    others = sum(count for _, count in ordered[MAX_OPERATORS_SHOWN:])
    return ", ".join([*parts, *([f"{others} others"] if others else [])])
