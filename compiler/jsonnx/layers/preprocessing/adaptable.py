"""The base class of layers whose state is computed from the training data before training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from ..base import Layer

if TYPE_CHECKING:
    import numpy as np

    from ...ir import Builder, Value


class Adaptable(Layer):
    """Base class of layers whose states are determined by the data, like Keras layers with `adapt`.

    `adapt_input` emits the values that the layer adapts to, given its input; `adapt` takes these values for the whole
    data set, in batches, and returns the states by their names within the layer.
    """

    @property
    def needs_adapt(self) -> bool:
        """Whether any state has to be computed from the data."""
        raise NotImplementedError

    if TYPE_CHECKING:
        adapt_input: ClassVar[Callable[[Any, Builder, Value], Value]]
        adapt: ClassVar[Callable[[Any, Iterable[np.ndarray]], dict[str, np.ndarray]]]
