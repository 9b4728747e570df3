"""Outputs whose samples may have any number of labels, and errors of `label_separator` in a spec."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from ..core.diagnostics import JsonPath
from ..core.types import TensorType
from ..training.losses.losses import BinaryLoss, Loss
from .columns import ColumnError, assigned_columns
from .data_section import DataSection


def label_set_outputs(outputs: Mapping[str, TensorType], losses: Mapping[str, Loss | None]) -> list[str]:
    """The outputs [batch, labels] that a binary loss compares label by label."""
    return [name for name, loss in losses.items() if isinstance(loss, BinaryLoss) and _has_units(outputs[name])]


def _has_units(output: TensorType) -> bool:
    return output.rank == 2 and isinstance(output.shape[1], int) and output.shape[1] > 1


def label_separator_errors(
    data: DataSection, targets: Collection[str], with_labels: Collection[str]
) -> Iterator[ColumnError]:
    """A `label_separator` that is empty, or that no target's texts have. `with_labels` are the outputs among those with
    targets that `label_set_outputs` gives."""
    path: JsonPath = ("training", "data", "label_separator")
    if data.label_separator is None:
        return
    if not data.label_separator:
        yield ColumnError("invalid-value", "`label_separator` is empty", path, 'give the mark between two labels: ";"')
        return
    columns = assigned_columns(data.y, "y", targets)
    if any(len(columns[name].names) == 1 for name in with_labels):
        return
    if with_labels:
        message = "`label_separator` is for a target in one column, and `y` names several"
        help = "name the column with the texts, or leave `label_separator` out: columns of 0 and 1 need none"
    else:
        message = "`label_separator` divides texts into labels, and no output takes several labels"
        help = "such an output has one unit for each label, the activation sigmoid and the loss binary_crossentropy"
    yield ColumnError("loss-mismatch", message, path, help)
