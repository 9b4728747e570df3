"""Numbers of steps that depend on the length of a training: all of them, those of some epochs, or a fraction."""

from __future__ import annotations

from typing import Annotated, ClassVar, NamedTuple

from ...core.components import Component, IntegerCodec, Json, ScalarCodec, SectionCodec, UnionCodec, attr, is_string
from ...core.types import require

ALL = "all"
RELATIVE_STEPS_DOC = 'or `{"epochs": N}` or `{"fraction": F}` of all steps'
"""What the documentation of such an attribute says besides its meaning."""


class TrainingLength(NamedTuple):
    """The number of steps of a training."""

    steps_per_epoch: int
    epochs: int

    @property
    def steps(self) -> int:
        return self.steps_per_epoch * self.epochs


class RelativeSteps(Component):
    """A number of steps that the length of the training determines."""

    has_type_key: ClassVar[bool] = False
    epochs: float | None = attr(None, doc="Number of epochs that the steps take.", above=0, maximum=1e6)
    fraction: float | None = attr(None, doc="Fraction of all steps of the training.", above=0, maximum=1)

    def check(self) -> None:
        """Raises ShapeError unless there is one number; none stands for all steps."""
        message = "has a number of steps with both `epochs` and `fraction`"
        require(self.epochs is None or self.fraction is None, message, "give one of them", code="invalid-value")

    def steps_in(self, length: TrainingLength) -> int:
        """The number of steps in a training."""
        if self.epochs is not None:
            return max(1, round(self.epochs * length.steps_per_epoch))
        return max(1, round((1.0 if self.fraction is None else self.fraction) * length.steps))

    @property
    def is_all(self) -> bool:
        return self.epochs is None and self.fraction is None

    def __str__(self) -> str:
        return f"{'epochs' if self.fraction is None else 'fraction'} {self.fraction or self.epochs}"


class _RelativeStepsCodec(SectionCodec):
    """An object with one entry, or `all`."""

    def __init__(self) -> None:
        super().__init__(RelativeSteps)

    def schema(self) -> dict[str, Json]:
        return super().schema() | {"minProperties": 1}

    def read(self, value: Json) -> Component:
        return super().read({} if value == ALL else value)

    def write(self, value: Component) -> Json:
        return super().write(value) or ALL


def is_relative(value: Json) -> bool:
    return isinstance(value, (dict, RelativeSteps))


class _AllCodec(_RelativeStepsCodec):
    """The text `all`."""

    def schema(self) -> dict[str, Json]:
        return ScalarCodec(type="string", enum=[ALL]).schema()


_INTEGER = (lambda value: True, IntegerCodec())
Steps = Annotated[int | RelativeSteps, UnionCodec((is_relative, _RelativeStepsCodec()), _INTEGER)]
"""A number of steps."""
AllSteps = Annotated[
    int | RelativeSteps, UnionCodec((is_string, _AllCodec()), (is_relative, _RelativeStepsCodec()), _INTEGER)
]
"""A number of steps, which may be all."""
