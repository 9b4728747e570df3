"""Masks of the padding behind the end of sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..core.components import attr
from ..core.types import PaddingMask, TensorType, require, shape_text
from .axes import position_indices
from .base import Layer, layer, require_in_range

if TYPE_CHECKING:
    from ..ir import Builder, Value


@layer
class SequenceMask(Layer):
    """Masks the padding behind the end of each sequence: it is set to 0, and later layers skip it.

    The input is [batch, steps, ...]. A sequence ends with its last step that differs from `pad_value`. The optional
    second input gives the numbers of steps instead, one for each sample; an input with a mask keeps its mask, as behind
    an Embedding with `mask_zero` or another SequenceMask.

    Unlike the masks of Keras, this one passes convolutions, spectrograms and pooling without padding, which map it to
    their own steps: the result for a sequence does not depend on how far it was padded. (Convolutions with padding
    `same` and strides are aligned to the end of the longest sequence.) Behind the end, results are arbitrary: a last
    SequenceMask sets them to 0, which is the blank of CTC. Keras has no such layer.
    """

    formula = """
        if len(xs) == 2:
            mask = arange(x.shape[1]) < xs[1][:, None]
        else:
            is_step = any((x != pad_value).reshape(len(x), x.shape[1], -1), axis=-1)
            mask = cumsum(is_step[:, ::-1], axis=1)[:, ::-1] > 0
        y = where(mask.reshape(*mask.shape, *[1] * (x.ndim - 2)), x, 0)
    """
    keras_name = ""
    arity = (1, 2)
    supports_masking = True
    reads_masks = True

    pad_value: float = attr(0.0, doc="Value of all features of a padded step, unless lengths or a mask are given.")

    def infer(self, x: TensorType, lengths: TensorType | None = None) -> TensorType:
        require(x.rank >= 2, f"needs sequences, [batch, steps, ...], got {x}")
        require(x.dtype not in ("string", "bool"), f"needs numbers, got {x}")
        if lengths is not None:
            fits = lengths.dtype not in ("string", "bool") and lengths.shape == x.shape[:1]
            message = f"needs lengths of shape {shape_text(x.shape[:1])}, got {lengths}"
            require(fits, message, 'an input with one integer for each sample is {"shape": [], "dtype": "int32"}')
        require_in_range(self.pad_value, x.dtype, "pad_value")
        is_comparable = x.dtype.startswith("float") or self.pad_value.is_integer()
        require(is_comparable, f"has the pad_value {self.pad_value}, which no element of {x} equals")
        return x

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        x, mask = inputs[0], masks[0]
        fits = mask is None or len(inputs) > 1 or mask.shape == x.shape[:2]
        require(fits, f"needs a mask of the steps, {shape_text(x.shape[:2])}, got {mask}")
        return PaddingMask.of(x)

    def lower_mask(self, g: Builder, inputs: Sequence[Value], masks: Sequence[Value | None]) -> Value:
        x, *lengths = inputs
        if masks[0] is not None and not lengths:
            return masks[0]
        if lengths:
            return g.Less(position_indices(g, x, 1, (1, -1)), g.Unsqueeze(g.cast(lengths[0], "int64"), [1]))
        is_step = g.cast(g.Not(g.Equal(x, g.const(self.pad_value, x.dtype))), "int32")
        is_step = is_step if x.rank == 2 else g.ReduceMax(is_step, list(range(2, x.rank)), keepdims=0)
        return g.Greater(g.CumSum(is_step, 1, reverse=1), 0)

    def lower(self, g: Builder, *inputs: Value, masks: Sequence[Value | None]) -> Any:
        x = inputs[0]
        mask = self.lower_mask(g, inputs, masks)
        return g.Where(mask if x.rank == 2 else g.Unsqueeze(mask, list(range(2, x.rank))), x, g.const(0, x.dtype))
