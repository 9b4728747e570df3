"""MultiOptimizer: several optimizers, each for the weights whose names a pattern matches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from ...core.components import ComponentCodec, DictCodec, attr
from ...core.types import ShapeError, require
from .optimizer import OPTIMIZERS, Optimizer, matches_weight
from .schedules import LearningRate

if TYPE_CHECKING:
    from ...core.diagnostics import JsonPath
    from ...ir import Builder, Parameter, Value

COMMON_ATTRIBUTES = ("use_ema", "ema_overwrite_frequency", "gradient_accumulation_steps")
"""Attributes that concern a step as a whole, so that the optimizers of single weights cannot have them."""


@OPTIMIZERS.register()
class MultiOptimizer(Optimizer):
    """Several optimizers: each updates the weights whose names its pattern matches, and the default all others."""

    default_optimizer: Optimizer = attr(doc="Optimizer of the weights that no pattern matches.")
    optimizer_map: Annotated[dict[str, Optimizer], DictCodec(ComponentCodec(OPTIMIZERS))] = attr(
        doc="Optimizers by patterns for the names of weights: of a layer (`encoder*`), of a weight in any layer "
        "(`bias`), or of both (`head/*`). The first pattern that matches a name applies."
    )
    weight_decay = None
    exclude_from_weight_decay = ()
    clipnorm = None
    clipvalue = None
    global_clipnorm = None
    slot_dtype = "float32"

    @property  # type: ignore[misc]
    def learning_rate(self) -> LearningRate:
        """The learning rate of the default optimizer. Callbacks change the others in proportion to it."""
        return self.default_optimizer.learning_rate

    @property
    def optimizers(self) -> tuple[Optimizer, ...]:
        """The default optimizer, then the optimizers of the patterns, in their order."""
        return (self.default_optimizer, *self.optimizer_map.values())

    def located_optimizers(self) -> Iterator[tuple[JsonPath, Optimizer]]:
        yield ("default_optimizer",), self.default_optimizer
        yield from ((("optimizer_map", pattern), optimizer) for pattern, optimizer in self.optimizer_map.items())

    def weight_patterns(self) -> Iterator[tuple[str, JsonPath, bool]]:
        for pattern, path, at_key in self.default_optimizer.weight_patterns():
            yield pattern, ("default_optimizer", *path), at_key
        for key, optimizer in self.optimizer_map.items():
            yield key, ("optimizer_map", key), True
            for pattern, path, at_key in optimizer.weight_patterns():
                yield pattern, ("optimizer_map", key, *path), at_key

    def optimizer_index(self, weight_name: str) -> int:
        patterns = enumerate(self.optimizer_map, 1)
        return next((index for index, pattern in patterns if matches_weight(pattern, weight_name)), 0)

    def check(self) -> None:
        super().check()
        places = ("as default_optimizer", *(f"for {pattern!r}" for pattern in self.optimizer_map))
        for place, optimizer in zip(places, self.optimizers, strict=True):
            is_nested = isinstance(optimizer, MultiOptimizer)
            require(not is_nested, f"has a MultiOptimizer {place}, which cannot be nested", code="invalid-value")
            for name in COMMON_ATTRIBUTES:
                message = f"has {optimizer.type_name} with `{name}` {place}, which concerns all weights"
                require(not getattr(optimizer, name), message, code="invalid-value", help=f"move `{name}` one level up")
            try:
                optimizer.check()
            except ShapeError as error:
                message = f"has {optimizer.type_name} {place}, which {error.message}"
                raise ShapeError(message, code=error.code, help=error.help) from error

    @property
    def decays_weights(self) -> bool:
        return any(optimizer.decays_weights for optimizer in self.optimizers)

    def for_weight(self, weight: Parameter) -> Optimizer:
        return self.optimizers[self.optimizer_index(weight.name)].for_weight(weight)

    def clip(self, g: Builder, gradients: dict[Parameter, Value]) -> dict[Parameter, Value]:
        """Each optimizer bounds the gradients of its own weights; `global_clipnorm` is the norm of these only."""
        clipped: dict[Parameter, Value] = {}
        for index, optimizer in enumerate(self.optimizers):
            own = {weight: d for weight, d in gradients.items() if self.optimizer_index(weight.name) == index}
            clipped |= optimizer.clip(g, own)
        return {weight: clipped[weight] for weight in gradients}
