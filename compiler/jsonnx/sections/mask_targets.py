"""Targets that masks give: images of a segmentation whose pixels are classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..core.types import TensorType
from ..training.losses.losses import BinaryLoss, CategoricalLoss, Loss
from ..training.losses.margin_losses import OverlapLoss
from .columns import ColumnError
from .data_section import DataSection


def mask_class_counts(
    outputs: Mapping[str, TensorType], targets: Mapping[str, TensorType], losses: Mapping[str, Loss | None]
) -> dict[str, int]:
    """The number of classes of the pixels, by output whose loss compares it with the classes of pixels."""
    counts: dict[str, int] = {}
    for name, target in targets.items():
        loss, channels = losses.get(name), outputs[name].shape[-1]
        if "int" in target.dtype:
            is_mask = outputs[name].rank == 4 and target.rank == 3 and (loss is None or loss.has_class_targets)
        else:
            is_mask = target.rank == 4 and isinstance(loss, (BinaryLoss, CategoricalLoss, OverlapLoss))
        if is_mask and isinstance(channels, int):
            counts[name] = max(channels, 2)
    return counts


def mask_errors(data: DataSection, class_counts: Mapping[str, int]) -> Iterator[ColumnError]:
    """`mask_values` that do not name one value for each class of the masks."""
    values, path = data.images.mask_values, ("training", "data", "images", "mask_values")
    if values is None:
        return
    repeated = next((value for value in values if values.count(value) > 1), None)
    if repeated is not None:
        message = f"{repeated} is the value of several classes"
        yield ColumnError("invalid-value", message, path, "give each class another value")
    if not class_counts:
        help = "masks are targets of an output [height, width, classes] with a loss that compares classes"
        yield ColumnError("invalid-value", "no output takes masks as its target", path, help)
    for name, count in class_counts.items():
        if len(values) != count:
            message = f"there are {len(values)} values, and the masks of {name!r} have {count} classes"
            yield ColumnError("invalid-value", message, path, "give one value for each class, in their order")
