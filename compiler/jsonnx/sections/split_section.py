"""The parts of `training.data` that make samples of rows: `split`, `windows` and `sequences`."""

from __future__ import annotations

from typing import Annotated, Literal

from ..core.components import ArrayCodec, NullableCodec, ScalarCodec, UnionCodec, attr, is_list, is_string
from ..core.time_step import TimeStep
from .section_base import Section

Step = Annotated[
    str | float | None,
    NullableCodec(
        UnionCodec(
            (is_string, ScalarCodec(type="string")),
            (lambda value: True, ScalarCodec(type="number", exclusiveMinimum=0)),
        )
    ),
]
"""The time between rows: a text such as `1d`, or a number."""
InputNames = Annotated[
    str | tuple[str, ...] | None,
    NullableCodec(
        UnionCodec((is_string, ScalarCodec(type="string")), (is_list, ArrayCodec(ScalarCodec(type="string"))))
    ),
]
"""An input, or a list of inputs."""

ROW_COLUMN_KEYS = {"windows": ("by", "time"), "split": ("key", "group", "time", "stratify")}
"""The keys that name columns which divide or order rows, by their section."""


class SplitSection(Section):
    """Divides the rows of the training files into training, validation and test data.

    A row belongs to a part by a hash of its identity, so that further rows move none.
    """

    validation: float = attr(0.0, doc="Share of the rows for validation.", minimum=0, below=1)
    test: float = attr(0.0, doc="Share of the rows for the test after training.", minimum=0, below=1)
    key: str | None = attr(
        None,
        doc="Column that identifies a row; by default the values of all inputs do, so that equal rows stay together.",
    )
    group: str | None = attr(
        None, doc="Column whose equal values stay in one part, such as the patient of several measurements."
    )
    time: str | None = attr(
        None, doc="Column of numbers or dates: the last rows are for the test, those before them for validation."
    )
    stratify: str | None = attr(
        None, doc="Column, mostly that of the classes, each of whose values is divided by the shares."
    )
    folds: int | None = attr(
        None, doc="Number of parts of equal size for cross-validation; `fold` is the one for validation.", minimum=2
    )
    fold: int = attr(0, doc="Index of the fold that is for validation, from 0.", minimum=0)
    seed: int = attr(0, doc="Number that is hashed with the identities; another one gives another split.", minimum=0)

    @property
    def parts(self) -> tuple[str, ...]:
        """The keys of `training.data` that the split provides."""
        has_validation = self.validation > 0 or self.folds is not None
        return ("train", *(["validation"] if has_validation else []), *(["test"] if self.test > 0 else []))


class WindowsSection(Section):
    """Cuts windows of consecutive rows out of one or several time series: each window is a sample."""

    length: int = attr(doc="Number of rows in a window.", minimum=1, maximum=1 << 20)
    horizon: int = attr(
        1,
        doc="Number of steps from the window's last row to the row of the target. A target of that size takes all the "
        "steps up to it. With 0, the target is that of the last row.",
        minimum=0,
        maximum=1 << 20,
    )
    stride: int = attr(1, doc="Number of rows from one window's start to the next one's.", minimum=1, maximum=1 << 20)
    by: str | None = attr(None, doc="Column whose values tell several series apart; no window has rows of two.")
    time: str | None = attr(
        None, doc="Column of numbers or dates that orders the rows of a series; by default the order in the file does."
    )
    step: Step = attr(
        None,
        doc="Time from one row of a series to the next: a number, or for dates a text such as `15min`, `1h`, `1d`, "
        "`1w`, `1mo` or `1y`; null for the most frequent difference in the training data.",
    )
    gaps: Literal["error", "skip", "fill", "ignore"] = attr(
        "error",
        doc="What to do where rows of a series are missing: `error`; `skip` leaves out the windows that cross a gap; "
        "`fill` adds the missing rows, with the inputs of the row before (missing values for inputs that an Imputation "
        "fills), and leaves out windows whose target was added; `ignore` takes rows as steps whatever their times, as "
        "for business days.",
    )
    future: InputNames = attr(
        None,
        doc="Input, or list of inputs, whose values are known in advance, such as promotions and holidays: they have "
        "the rows of the horizon in place of those of the window, and the shape `[horizon, columns]`.",
    )

    @property
    def future_inputs(self) -> tuple[str, ...]:
        """The inputs that have the rows of the horizon."""
        return (self.future,) if isinstance(self.future, str) else self.future or ()

    @property
    def rows_of_sample(self) -> int:
        """The number of rows, one for each step, that a prediction is made from."""
        return self.length + (self.horizon if self.future_inputs else 0)

    def rows_of_input(self, name: str) -> tuple[int, int]:
        """The offsets, from the first row of a window, of the first row that an input has, and of that after its last
        one."""
        return (self.length, self.length + self.horizon) if name in self.future_inputs else (0, self.length)

    @property
    def time_step(self) -> TimeStep | None:
        """The step that the spec gives; None if it gives none."""
        return None if self.step is None else TimeStep.of(self.step)


class SequencesSection(Section):
    """Takes lists and recordings of different lengths as sequences, which are padded to the longest one of a batch."""

    pad_value: float = attr(
        0.0,
        doc="Value behind the end of a sequence of numbers; SequenceMask, Masking or `mask_zero` tells it from the "
        "steps.",
    )
    bucket_by_length: bool = attr(
        False, doc="Whether shuffled batches consist of samples of similar lengths, so that less is padded."
    )
