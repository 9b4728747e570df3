"""The public Session: it also runs tables, by the columns of the model's spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...core.files.spec_source import NO_SPEC
from ...data.files.table_arguments import from_tables
from ...data.samples.array_arguments import is_table
from ...data.samples.data_spec import DataSpec
from ...data.samples.dataset import Dataset
from ...runtime.session.session import Session as ArraySession
from ..check.check import CheckedSpec
from ..check.data_spec import input_spec
from ..train.model_spec import checked_spec_of


class Session(ArraySession):
    __doc__ = ArraySession.__doc__
    __slots__ = ("_checked",)

    def run(self, feeds: Mapping[str, Any] | Any) -> dict[str, np.ndarray]:
        """The outputs by name. Feeds are arrays by input name, a single array if there is one input, or a table.

        A table is a frame of pandas or polars, a table of Arrow, or a list of rows as dicts; the model's spec assigns
        its columns.

        The first axis counts the samples. Axes of size 1 at the end of a sample may be missing, and its last axes
        flattened, as in data files. Raises FeedError if the values do not fit.
        """
        if is_table(feeds):
            samples = self._samples_of(feeds)
            feeds = samples.take(slice(len(samples)))
        return super().run(feeds)

    def _samples_of(self, table: Any) -> Dataset:
        """The inputs in a table: by the spec of the model, without one by the names of the inputs."""
        checked = self._checked_spec()
        if checked is None:
            return from_tables(table, None, None, DataSpec(self.inputs, {}), NO_SPEC, targets=False)
        typed = checked.require()
        training = typed.network.training
        section = training.data if training is not None else None
        return from_tables(table, None, section, input_spec(typed), NO_SPEC, targets=False).with_common_width()

    def _checked_spec(self) -> CheckedSpec | None:
        """The spec in the model, which is checked once; None if it has none."""
        if not hasattr(self, "_checked"):
            self._checked: CheckedSpec | None = checked_spec_of(self, "the model")
        return self._checked
