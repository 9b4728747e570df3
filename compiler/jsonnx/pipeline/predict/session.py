"""The public Session: it also runs tables, by the columns of the model's spec."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...core.files.spec_source import NO_SPEC
from ...data.files.table_arguments import from_tables
from ...data.samples.array_arguments import is_table
from ...data.samples.array_samples import from_arrays
from ...data.samples.data_spec import DataSpec
from ...data.samples.dataset import Dataset
from ...runtime.session.load_model import model_file
from ...runtime.session.session import Session as ArraySession
from ..check.check import CheckedSpec
from ..check.data_spec import input_spec
from ..compile.model import Model
from ..train.model_spec import checked_spec_of


class Session(ArraySession):
    __doc__ = ArraySession.__doc__
    __slots__ = ("_checked", "_folder")

    def __init__(self, model: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(model, *arguments, **options)
        is_path = isinstance(model, str | os.PathLike)
        self._folder = Path(model_file(model)).parent if is_path else None
        """The folder of the model's file."""
        if isinstance(model, Model) and model.network.tokenizations:
            self._checked: CheckedSpec | None = model.checked

    def run(self, feeds: Mapping[str, Any] | Any) -> dict[str, np.ndarray]:
        """The outputs by name. Feeds are arrays by input name, a single array if there is one input, or a table.

        If the tokenizer of a model lies beside it, as in a RUN folder, texts may be given in place of its tokens.

        A table is a frame of pandas or polars, a table of Arrow, or a list of rows as dicts; the model's spec assigns
        its columns.

        The first axis counts the samples. Axes of size 1 at the end of a sample may be missing, and its last axes
        flattened, as in data files. Raises FeedError if the values do not fit.
        """
        if is_table(feeds):
            samples = self._samples_of(feeds)
            feeds = samples.take(slice(len(samples)))
        elif self._has_texts(feeds):
            feeds = self._tokens_of(feeds)
        return super().run(feeds)

    def _has_texts(self, feeds: Mapping[str, Any] | Any) -> bool:
        """Whether feeds are texts that a Tokenizer reads, not the inputs of the model."""
        if isinstance(feeds, Mapping):
            return not feeds.keys() <= {*self.inputs, *self.random_inputs} and self._data_spec() is not None
        return len(self.inputs) > 1 and self._data_spec() is not None

    def _tokens_of(self, feeds: Mapping[str, Any] | Any) -> dict[str, np.ndarray]:
        """The inputs of the model for texts. Raises FeedError."""
        data_spec = self._data_spec()
        assert data_spec is not None
        drawn = {name: feeds[name] for name in self.random_inputs if isinstance(feeds, Mapping) and name in feeds}
        given = {name: array for name, array in feeds.items() if name not in drawn} if drawn else feeds
        samples = from_arrays(given, None, data_spec, targets=False).with_common_width()
        return samples.take(slice(None)) | drawn

    def _data_spec(self) -> DataSpec | None:
        """What the model takes, with texts in place of tokens; None if its tokenizer is missing, or if it has none."""
        checked = self._checked_spec()
        data_spec = None if checked is None else input_spec(checked.require())
        return data_spec if data_spec is not None and data_spec.tokenizations else None

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
            self._checked = checked_spec_of(self, "the model", self._folder)
        return self._checked
