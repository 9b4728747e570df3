"""The data that a network takes: types, valid integers and names of classes."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import isfinite
from types import MappingProxyType
from typing import Any, NamedTuple

from ...core.date_formats import FormatName
from ...core.files.tokenizer_file import Tokenization, data_inputs
from ...core.reserved_names import sample_weight_name
from ...core.types import TensorType
from ...sections.class_names import classes_by_boolean, classes_by_number
from ...sections.label_sets import label_set_outputs
from ...sections.mask_targets import mask_class_counts
from ...sections.training_section import Training
from ...training.losses.losses import BinaryLoss, Loss
from ...training.target_form import TransformName

MAX_SUGGESTED_LABELS = 20
"""Classes that a help lists ready to be pasted into a spec."""
DATE = re.compile(r"\s*\d{1,4}([-/.])\d{1,2}\1\d{1,4}(?!\d)")
"""The beginning of a date, in any order of day, month and year."""


class IndexRange(NamedTuple):
    """The integers from 0 to `size - 1`, and optionally one that marks elements without a class."""

    size: int
    ignored: int | None = None


@dataclass(frozen=True)
class DataSpec:
    """The data that a network takes: types by input and by output name, and ranges of integers by either.

    Weights of samples have the names of the graphs' inputs, `sample_weight_name`.
    """

    inputs: Mapping[str, TensorType]
    targets: Mapping[str, TensorType]
    index_ranges: Mapping[str, IndexRange] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of the classes by output: data may contain them in place of numbers."""
    vocabularies: Mapping[str, frozenset[Any]] = field(default_factory=dict)
    """The valid tokens of inputs whose lookup rejects all others."""
    sample_weights: Mapping[str, TensorType] = field(default_factory=dict)
    """The types of the weights of samples, by output."""
    missing_inputs: frozenset[str] = frozenset()
    """The inputs that may have missing values: NaN, or the empty string."""
    date_inputs: Mapping[str, tuple[FormatName, ...]] = field(default_factory=dict)
    """The formats of dates of the inputs whose texts are dates."""
    class_counts: Mapping[str, int] = field(default_factory=dict)
    """The numbers of classes of outputs whose loss compares them with one class for each element."""
    mask_class_counts: Mapping[str, int] = field(default_factory=dict)
    """The numbers of classes of outputs whose targets may be masks: images whose pixels are classes."""
    outputs_with_blank: frozenset[str] = frozenset()
    """The outputs whose class 0 is the blank of an alignment, which no target contains."""
    label_separators: Mapping[str, str | None] = field(default_factory=dict)
    """The outputs whose samples may have any number of labels, with the mark between the labels in a text."""
    transforms: Mapping[str, TransformName] = field(default_factory=dict)
    """The transforms of targets, by output, which bound the valid ones."""
    masked_outputs: frozenset[str] = frozenset()
    """The outputs with a mask, so that targets may be padded with zeros at their ends."""
    learns_labels: bool = False
    """Whether the texts in targets without labels are their classes, as in training data."""
    training_inputs: Mapping[str, TensorType] = field(default_factory=dict)
    """The inputs of the network that its model lacks, such as targets of an AddLoss: a spec assigns columns to them,
    which predictions do not read."""
    tokenizations: tuple[Tokenization, ...] = ()
    """How inputs of texts become inputs of the graphs."""
    fed_inputs: Mapping[str, TensorType] = field(default_factory=dict)
    """The inputs of the graphs, if they are others than those of the data: tokens in place of texts."""

    @property
    def graph_inputs(self) -> Mapping[str, TensorType]:
        """The inputs of the graphs."""
        return self.fed_inputs or self.inputs

    def with_texts(self, texts: Mapping[str, TensorType], tokenizations: Iterable[Tokenization]) -> DataSpec:
        """The data with texts in place of tokens, where the tokenizer is known.

        `texts` are the inputs of texts that only Tokenizers read.
        """
        known = []
        for tokens in tokenizations:
            needed = {result: name for result, name in tokens.inputs.items() if name in self.inputs}
            known += [replace(tokens, inputs=needed)] if needed and tokens.file is not None else []
        if not known:
            return self
        inputs = data_inputs(self.inputs, texts, known)
        return replace(self, inputs=inputs, tokenizations=tuple(known), fed_inputs=self.inputs)

    def with_results_of_tokenizers(self, names: Collection[str]) -> DataSpec:
        """The data from which Tokenizers compute only these inputs of the graphs."""
        inputs = [
            {result: name for result, name in each.inputs.items() if name in names} for each in self.tokenizations
        ]
        kept = zip(self.tokenizations, inputs, strict=True)
        return replace(self, tokenizations=tuple(replace(tokens, inputs=own) for tokens, own in kept if own))

    @property
    def spec_inputs(self) -> Mapping[str, TensorType]:
        """The inputs that the spec of the data may name."""
        return {**self.inputs, **self.training_inputs}

    @cached_property
    def weighted_outputs(self) -> Mapping[str, str]:
        """The outputs with weights of samples, by the names of the weights."""
        return {sample_weight_name(output): output for output in self.sample_weights}

    def class_labels(self, name: str) -> tuple[str, ...] | None:
        """The names of classes that the data of an input or a target may contain; an empty tuple if they are learned
        from the data, None if the data has no names."""
        if name not in self.targets:
            return None
        labels = self.labels.get(name)
        return labels or (() if self.learns_labels and name in self.class_counts else None)

    def classes_by_number(self, name: str, kind: str) -> Mapping[int, int]:
        """The class indices by the numbers that are names of classes in a target, with that of elements without a
        class; empty if numbers are no names. `kind` is that of the element type, as NumPy has it."""
        labels = self.labels.get(name)
        if not labels or name not in self.class_counts or kind not in "fiub":
            return {}
        numbers = classes_by_boolean(labels) if kind == "b" else classes_by_number(labels)
        ignored = self.index_ranges[name].ignored if name in self.index_ranges else None
        if not numbers or ignored is None or 0 <= ignored < len(labels):
            return numbers
        return {ignored: ignored, **numbers}

    def takes_empty_text(self, name: str) -> bool:
        """Whether the empty text is a value of an input or a target, and not a missing one."""
        if name in self.targets:
            return "" in self.labels.get(name, ())
        is_text = name in self.inputs and self.inputs[name].dtype == "string"
        return is_text and name not in self.date_inputs and "" in self.vocabularies.get(name, ("",))

    def describe(self, name: str) -> str:
        if name in self.weighted_outputs:
            output = self.weighted_outputs[name]
            return f"the sample weight of {output!r}" if len(self.targets) > 1 else "the sample weight"
        return f"input {name!r}" if name in self.inputs else f"the target of {name!r}"

    def type_of(self, name: str) -> TensorType:
        """The type of an input, of the target of an output, or of weights of samples."""
        if name in self.weighted_outputs:
            return self.sample_weights[self.weighted_outputs[name]]
        return self.inputs.get(name) or self.targets[name]

    def text_help(self, name: str, texts: Iterable[str], *, has_types: bool = False) -> str:
        """Help for texts in the data of an input or a target that takes numbers; `has_types` for arrays."""
        if name in self.weighted_outputs:
            return "a weight is a number, such as 1 or 0.5"
        distinct = {*texts}
        if distinct and all(map(_is_number, distinct)):
            how = 'convert them, such as by `astype("float32")` of an array or a column'
            return f"the texts are numbers: {how if has_types else 'write them without quotes'}"
        if name in self.inputs:
            if distinct and all(map(DATE.match, distinct)):
                return 'an input of dates has "dtype": "string", and a DateFeatures layer after it'
            return 'an input of texts has "dtype": "string", and a StringLookup or TextVectorization after it'
        classes = sorted(text for text in distinct if text)
        if "int" not in self.targets[name].dtype and len(classes) > 2:
            return "the loss compares numbers: give numbers in place of the texts"
        if len(classes) > MAX_SUGGESTED_LABELS:
            return f'"labels" of the spec names the classes; the data has {len(classes):,} different texts'
        classes = ["-", *classes] if name in self.outputs_with_blank else classes
        order = "the blank first" if name in self.outputs_with_blank else "in the order of the outputs"
        labels = json.dumps(classes if len(self.targets) == 1 else {name: classes}, ensure_ascii=False)
        return f'name the classes in the spec, beside "layers", {order}: "labels": {labels}'


def make_data_spec(
    inputs: Mapping[str, TensorType],
    outputs: Mapping[str, TensorType],
    targets: Mapping[str, TensorType],
    index_sizes: Mapping[str, int],
    labels: Mapping[str, tuple[str, ...]],
    training: Training,
    vocabularies: Mapping[str, frozenset[Any]],
    weighted_outputs: Collection[str] = (),
    missing_inputs: frozenset[str] = frozenset(),
    date_inputs: Mapping[str, tuple[FormatName, ...]] = MappingProxyType({}),
    masked_outputs: frozenset[str] = frozenset(),
) -> DataSpec:
    """The data of a training. `index_sizes` are the numbers of valid values of inputs that hold indices."""
    index_ranges = {name: IndexRange(count) for name, count in index_sizes.items()}
    for output, target in targets.items():
        classes = outputs[output].shape[-1]
        loss = training.loss_of(output)
        has_classes = "int" in target.dtype and target.rank == outputs[output].rank - 1
        if has_classes and isinstance(classes, int) and (loss is None or loss.has_class_targets):
            index_ranges[output] = IndexRange(classes, _ignored_class(loss))
    losses = {output: training.loss_of(output) for output in targets}
    weights = {
        output: loss.sample_weight_type(outputs[output])
        for output, loss in losses.items()
        if output in weighted_outputs and loss is not None
    }
    class_counts = {name: index_range.size for name, index_range in index_ranges.items() if name in targets}
    for output, loss in losses.items():
        if isinstance(loss, BinaryLoss) and outputs[output].shape[-1:] == (1,):
            class_counts[output] = 2
    return DataSpec(
        inputs,
        targets,
        index_ranges,
        labels,
        vocabularies,
        weights,
        missing_inputs,
        date_inputs,
        class_counts,
        mask_class_counts(outputs, targets, losses),
        frozenset(output for output, loss in losses.items() if loss is not None and loss.aligns_steps),
        dict.fromkeys(label_set_outputs(outputs, losses), training.data.label_separator if training.data else None),
        _transforms(training, targets),
        masked_outputs,
    )


def _transforms(training: Training, outputs: Iterable[str]) -> dict[str, TransformName]:
    """The transforms of targets, by output."""
    forms = {output: training.target_form(output) for output in outputs}
    return {output: form.transform for output, form in forms.items() if form is not None and form.transform is not None}


def _ignored_class(loss: Loss | None) -> int | None:
    ignored = getattr(loss, "ignore_class", None)
    return None if ignored is None else int(ignored)


def _is_number(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False
