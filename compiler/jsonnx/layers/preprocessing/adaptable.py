"""Layers that learn something from the training data before training starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from ..base import Layer

if TYPE_CHECKING:
    import numpy as np

    from ...ir import Builder, Value


class Adaptable(Layer):
    """Base of the layers whose states the data determine, as Keras' `adapt` does.

    `adapt_input` emits what a layer learns from, made of its input; `adapt` gets all of that, in batches, and answers
    the states by their names within the layer.
    """

    @property
    def needs_adapt(self) -> bool:
        """Whether anything is left to the data."""
        raise NotImplementedError

    if TYPE_CHECKING:
        adapt_input: ClassVar[Callable[[Any, Builder, Value], Value]]
        adapt: ClassVar[Callable[[Any, list[np.ndarray]], dict[str, np.ndarray]]]
