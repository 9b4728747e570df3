"""What a spec uses the columns of a table for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...sections.columns import (
    SAMPLE_WEIGHT,
    AssignedColumns,
    assigned_columns,
    has_patterns,
    matching_columns,
    weight_columns,
)
from ...sections.data_section import DataSection
from ..rows.row_columns import row_columns
from ..samples.data_spec import DataSpec
from .data_columns import target_columns


@dataclass(frozen=True)
class ColumnUses:
    """The columns of each input, target and weighted output, and those that divide, order or measure the rows."""

    inputs: Mapping[str, Sequence[str]]
    targets: Mapping[str, Sequence[str]]
    weights: Mapping[str, Sequence[str]]
    rows: Mapping[str, Sequence[str]]
    """Columns by the setting that names them, such as `windows.time`, and lengths of sequences."""

    def roles(self) -> dict[str, list[str]]:
        """What each used column is used as, such as `input size`, `sample weight of y` or `split.group`."""
        kinds = {"input ": self.inputs, "target ": self.targets, "sample weight of ": self.weights, "": self.rows}
        roles: dict[str, list[str]] = {}
        for kind, columns in kinds.items():
            for key, names in columns.items():
                for name in names:
                    roles.setdefault(name, []).append(f"{kind}{key}")
        return roles


def column_uses(
    section: DataSection | None,
    data_spec: DataSpec,
    names: Sequence[str],
    folder_columns: tuple[str, str] | None = None,
) -> ColumnUses:
    """The uses of the columns of a table with these names. Of a folder, `folder_columns` are the columns of the files
    and of their classes, which the only input and the only target take by default."""
    targets = assigned_columns(getattr(section, "y", None), "y", data_spec.targets)
    inputs = assigned_columns(getattr(section, "x", None), "x", data_spec.inputs)
    taken, existing = target_columns(section, data_spec), dict.fromkeys(names)
    for key, own in inputs.items():
        if own.path is not None and has_patterns(own.names, existing):
            others = {name for other in inputs if other != key for name in inputs[other].names}
            inputs[key] = own._replace(names=matching_columns(own.names, existing, {*taken, *others}).names)
    if folder_columns is not None:
        for assigned, column in zip((inputs, targets), folder_columns, strict=True):
            for key, own in assigned.items():
                if len(assigned) == 1 and own.path is None:
                    assigned[key] = AssignedColumns((column,), None)
    weights = weight_columns(getattr(section, SAMPLE_WEIGHT, None), data_spec.sample_weights)
    rows = {".".join(map(str, column.path[-2:])): [column.name] for column in row_columns(section, with_split=True)}
    if section is not None and section.sequences is not None:
        assigned_names = [name for own in (*inputs.values(), *targets.values()) for name in own.names]
        rows |= {f"lengths of {name}": [f"{name}_lengths"] for name in assigned_names if f"{name}_lengths" in existing}
    return ColumnUses(_names(inputs), _names(targets), _names(weights), rows)


def _names(columns: Mapping[str, AssignedColumns]) -> dict[str, Sequence[str]]:
    return {key: own.names for key, own in columns.items()}
