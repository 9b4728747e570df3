"""Samples as validated arrays; `array_samples` makes them from arrays of a program, `dataset_files` from files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ...core.numpy_types import numpy_dtype
from ...core.reserved_names import sample_weight_name, target_name, teacher_output_name
from ...core.types import BATCH, TensorType
from ...sections.data_section import DataSection
from .array_digest import array_digest
from .data_errors import ErrorCollector, FeedError
from .data_spec import DataSpec
from .label_sets import LabelSets
from .left_out import NO_DAMAGED, NO_MISSING, DamagedFiles, MissingCounts, WindowCounts
from .sample_order import block_order, sample_order
from .sample_weights import expand_weights
from .sequences import Sequences, concatenate_arrays
from .stored_arrays import DEFAULT_BUFFER_SAMPLES, Samples, StoredArray, buffer_limit, concatenate_samples, subset_of
from .text_tokens import StoredTokens, Tokens, tokens_of


@dataclass(frozen=True, eq=False)
class Dataset:
    """Validated arrays by input and by output name, with the samples along the first axis.

    Arrays keep their element types; a batch is cast when it is taken. Samples of large files stay there until then.
    Texts that a Tokenizer reads are tokenized once, when the first batch is taken.
    """

    inputs: Mapping[str, Samples]
    targets: Mapping[str, Samples]
    data_spec: DataSpec
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    """The weights of samples, or of positions of samples, by output. Other samples have the weight 1."""
    missing: MissingCounts = NO_MISSING
    """The rows with missing values, which are not among the samples."""
    damaged: DamagedFiles = NO_DAMAGED
    """The images and recordings that are not among the samples, since they cannot be decoded."""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The columns of a file that patterns of the spec match, by input."""
    shuffle_buffer: int = DEFAULT_BUFFER_SAMPLES
    """Samples that are shuffled among one another, if they are read in blocks."""
    counts: WindowCounts | None = None
    """If samples are windows: the windows that are left out."""
    teacher_outputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    """What a teacher has computed for the samples, in float32, by output."""
    known_tokens: Mapping[str, Tokens] | None = None
    """The inputs of graphs that Tokenizers have computed; None before that."""

    def learned_section(self, section: DataSection) -> DataSection:
        """The section of a spec with the columns and the step that these samples determine, as training data."""
        step = self.counts.step if self.counts is not None else None
        return section.with_columns(self.columns).with_step(step)

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def take(self, rows: np.ndarray | slice) -> dict[str, np.ndarray]:
        """The arrays of these samples, by the names and in the element types of the graphs."""
        feeds = {}
        for name in self._feeds:
            samples = self.samples_of(name, rows)
            feeds[name] = np.ascontiguousarray(samples, numpy_dtype(self._feed_types[name].dtype))
        return feeds

    def take_inputs(self, rows: np.ndarray | slice) -> dict[str, np.ndarray]:
        """The inputs of these samples as the data has them: texts, where graphs get tokens."""
        types = self.data_spec.inputs
        return {
            name: np.ascontiguousarray(self.samples_of(name, rows), numpy_dtype(types[name].dtype))
            for name in self.inputs
        }

    def batch_count(self, batch_size: int) -> int:
        """The batches of one pass over the samples."""
        return -(-len(self) // batch_size)

    def batches(self, batch_size: int) -> Iterator[tuple[dict[str, np.ndarray], int]]:
        """The feeds of consecutive batches, and the number of samples of each; the last may be smaller."""
        for start in range(0, len(self), batch_size):
            rows = slice(start, min(start + batch_size, len(self)))
            yield self.take(rows), rows.stop - rows.start

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """The order of the samples in an epoch, a function of the seed, the epoch and the data's size alone.

        Samples that are read in blocks are shuffled in two steps: the blocks, then the samples of consecutive blocks.
        """
        arrays = [array for array in (*self.inputs.values(), *self.targets.values()) if isinstance(array, StoredArray)]
        starts = [start for array in arrays if (start := array.block_starts()) is not None]
        if not starts or starts[0][-1] != len(self):  # windows are more or fewer than rows
            return sample_order(seed, epoch, len(self))
        buffer_samples = buffer_limit(self.shuffle_buffer, sum(array.sample_bytes for array in arrays))
        return block_order(seed, epoch, np.unique(np.concatenate(starts)), buffer_samples)

    def samples_of(self, name: str, rows: np.ndarray | slice) -> np.ndarray:
        """These samples of an input or a target, by the name of the graphs' input."""
        array: Any = self._array(name)
        if isinstance(array, (Sequences, StoredTokens)):
            return array[rows].padded()
        samples: np.ndarray
        if isinstance(array, StoredArray):
            samples = array.read(rows)
        else:
            samples = array[rows] if isinstance(rows, slice) else array.take(rows, axis=0)
        if name not in self._feed_types or not self.has_sequences:
            return samples
        # Targets and weights of steps are padded to the longest of all sequences.
        widths = {symbol: sequences[rows].width for symbol, sequences in self._sequences.items()}
        return samples[tuple(slice(widths.get(size)) for size in self._feed_types[name].shape)]

    @cached_property
    def _sequences(self) -> dict[Any, Sequences]:
        """Inputs of sequences of different lengths, by the symbolic size that counts their steps."""
        inputs: Mapping[str, Any] = self.fed_inputs
        types = self.data_spec.graph_inputs
        return {types[name].shape[1]: array for name, array in inputs.items() if isinstance(array, Sequences)}

    @property
    def has_sequences(self) -> bool:
        """Whether samples have different lengths."""
        return bool(self._sequences) or any(isinstance(array, StoredTokens) for array in self.fed_inputs.values())

    @property
    def lengths(self) -> np.ndarray | None:
        """The numbers of steps of each sample's longest sequence; None if all samples have the same shape."""
        lengths = [sequences.lengths for sequences in self._sequences.values()]
        return np.maximum.reduce(lengths) if lengths else None

    def with_common_width(self) -> Dataset:
        """The samples, with sequences that are padded to the longest one of all, whichever are taken."""
        inputs: Mapping[str, Any] = self.inputs
        if not self.has_sequences:
            return self
        padded: dict[str, Any] = {
            name: array.with_common_width() if isinstance(array, Sequences) else array for name, array in inputs.items()
        }
        tokens: Mapping[str, Any] = {name: tokens.with_common_width() for name, tokens in self._tokens.items()}
        return replace(self, inputs=padded, known_tokens=tokens)

    def with_padded_targets(self) -> Dataset:
        """The samples, with targets as arrays: sequences are padded."""
        targets: Mapping[str, Any] = self.targets
        if not any(isinstance(array, Sequences) for array in targets.values()):
            return self
        padded = {name: array.padded() if isinstance(array, Sequences) else array for name, array in targets.items()}
        return replace(self, targets=padded)

    def sample_shape(self, name: str) -> tuple[int, ...]:
        """The shape of one sample of an input or a target, by the name of the graphs' input."""
        return self._array(name).shape[1:]

    def _array(self, name: str) -> Any:
        """The values of an input or a target, by the name of the graphs' input, or of the data's."""
        return self.inputs[name] if name in self.inputs else self._feeds[name]

    def copy_into(self, buffers: Mapping[str, np.ndarray], rows: np.ndarray | slice) -> None:
        """Copies these samples into existing arrays."""
        for name, buffer in buffers.items():
            array = self._feeds[name]
            if isinstance(array, StoredArray):
                buffer[...] = array.read(rows)
            elif isinstance(rows, slice) or array.dtype != buffer.dtype:
                buffer[...] = array[rows]
            else:
                array.take(rows, axis=0, out=buffer, mode="clip")  # with mode "raise", `take` would buffer its output

    def sample_types(self) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """The shape of one sample and its element type in the graphs, by the names of the graphs' inputs."""
        return {name: (self.sample_shape(name), numpy_dtype(self._feed_types[name].dtype)) for name in self._feeds}

    @cached_property
    def _feed_types(self) -> dict[str, TensorType]:
        spec = self.data_spec
        targets = {target_name(name): type for name, type in spec.targets.items()}
        return {
            **spec.graph_inputs,
            **targets,
            **{sample_weight_name(name): type for name, type in spec.sample_weights.items()},
            **{
                teacher_output_name(name): TensorType("float32", (BATCH, *array.shape[1:]))
                for name, array in self.teacher_outputs.items()
            },
        }

    @cached_property
    def _feeds(self) -> dict[str, Samples]:
        targets = {target_name(name): array for name, array in self.targets.items()}
        teacher_outputs = {teacher_output_name(name): array for name, array in self.teacher_outputs.items()}
        return {**self.fed_inputs, **targets, **self._weight_feeds, **teacher_outputs}

    @cached_property
    def _tokens(self) -> Mapping[str, Tokens]:
        """The inputs of the graphs that Tokenizers compute. Raises UsageError."""
        tokenizations = [tokens for tokens in self.data_spec.tokenizations if self.inputs.keys() >= {*tokens.texts}]
        return self.known_tokens if self.known_tokens is not None else tokens_of(self.inputs, tokenizations)

    @property
    def fed_inputs(self) -> Mapping[str, Any]:
        """The inputs of the graphs: tokens in place of texts."""
        if not self.data_spec.tokenizations:
            return self.inputs
        given = {name: array for name, array in self.inputs.items() if name in self.data_spec.graph_inputs}
        return {**given, **self._tokens}

    @cached_property
    def _weight_feeds(self) -> dict[str, np.ndarray]:
        """The weights that the graphs take, in the shape of the losses."""
        spec, weights = self.data_spec, self.weights
        return {
            sample_weight_name(name): expand_weights(weights.get(name), type, self.targets[name], spec.targets[name])
            for name, type in spec.sample_weights.items()
            if name in self.targets
        }

    def for_graphs(self, data_spec: DataSpec) -> Dataset:
        """The samples for graphs that take the same data, but other weights."""
        return self if data_spec is self.data_spec else replace(self, data_spec=data_spec)

    def multiply_weights(self, factors: Mapping[str, np.ndarray]) -> Dataset:
        """The samples with their weights multiplied by factors, of the shapes of the losses."""
        weights = dict(self.weights)
        for name, factor in factors.items():
            own = weights.get(name)
            if own is not None:
                factor = own.reshape(*own.shape, *[1] * (factor.ndim - own.ndim)) * factor
            weights[name] = factor.astype(np.float32, copy=False)
        return replace(self, weights=weights)

    def split(self, fraction: float) -> tuple[Dataset, Dataset]:
        """Splits off the last samples, a fraction of all. Raises FeedError if either part would be empty."""
        train_count = int(len(self) * (1.0 - fraction))
        if not 0 < train_count < len(self):
            errors = ErrorCollector()
            errors.add("empty-data", f"{len(self)} samples cannot be split with a fraction of {fraction} set aside")
            raise FeedError(errors.diagnostics)
        train = replace(self.subset(slice(train_count)), missing=self.missing, damaged=self.damaged)
        return train, self.subset(slice(train_count, None))

    def subset(self, rows: slice | np.ndarray) -> Dataset:
        """Some of the samples, given by their indices."""
        inputs = {name: subset_of(array, rows) for name, array in self.inputs.items()}
        targets = {name: subset_of(array, rows) for name, array in self.targets.items()}
        weights = {name: array[rows] for name, array in self.weights.items()}
        teacher = {name: array[rows] for name, array in self.teacher_outputs.items()}
        tokens: dict[str, Any] | None = None
        if "_tokens" in vars(self):
            tokens = {
                name: array.subset(rows) if isinstance(array, StoredTokens) else array[rows]
                for name, array in self._tokens.items()
            }
        samples = replace(
            self, inputs=inputs, targets=targets, weights=weights, teacher_outputs=teacher, known_tokens=tokens
        )
        return replace(samples, missing=NO_MISSING, damaged=NO_DAMAGED)

    def target_rows(self, output: str) -> Samples | None:
        """The target of each sample; None if the output has none."""
        return self.targets.get(output)

    def select_inputs(self, names: Collection[str]) -> Dataset:
        """The samples with some of the inputs, of the data or of the graphs, and without targets."""
        spec = self.data_spec
        needed, tokens = {*names}, None
        if spec.tokenizations:
            spec = spec.with_results_of_tokenizers(names)
            needed.update(text for tokenization in spec.tokenizations for text in tokenization.texts)
            tokens = {name: array for name, array in vars(self).get("_tokens", {}).items() if name in needed} or None
        inputs = {name: array for name, array in self.inputs.items() if name in needed}
        return replace(
            self, inputs=inputs, targets={}, data_spec=spec, weights={}, teacher_outputs={}, known_tokens=tokens
        )

    @staticmethod
    def concatenate(parts: Sequence[Dataset]) -> Dataset:
        """The samples of all parts, which have samples of equal shapes."""
        if len(parts) == 1:
            return parts[0]
        inputs = {name: _concatenated([part.inputs[name] for part in parts]) for name in parts[0].inputs}
        targets = {name: _concatenated([part.targets[name] for part in parts]) for name in parts[0].targets}
        outputs = dict.fromkeys(name for part in parts for name in part.weights)
        weights = {name: np.concatenate(_weights_of_parts(parts, name)) for name in outputs}
        missing = MissingCounts.total(part.missing for part in parts)
        damaged = DamagedFiles.total(part.damaged for part in parts)
        return replace(
            parts[0],
            inputs=inputs,
            targets=targets,
            weights=weights,
            missing=missing,
            damaged=damaged,
            known_tokens=None,
        )

    @cached_property
    def digest(self) -> str:
        """A hash of the samples' values and their order, without their weights."""
        return array_digest([*self.inputs.items(), *self.targets.items()])

    @cached_property
    def weights_digest(self) -> str | None:
        """A hash of the weights of the samples; None if they have none."""
        return array_digest(sorted(self.weights.items())) if self.weights else None


def _weights_of_parts(parts: Sequence[Dataset], output: str) -> list[np.ndarray]:
    """The weights of each part's samples; 1 for a part without any."""
    shape = next(part.weights[output].shape[1:] for part in parts if output in part.weights)
    return [part.weights.get(output, np.ones((len(part), *shape), np.float32)) for part in parts]


def _concatenated(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], LabelSets):
        return LabelSets.concatenate(parts)
    return concatenate_arrays(parts) if isinstance(parts[0], Sequences) else concatenate_samples(parts)


# -- from arrays -----------------------------------------------------------------------------------------------------


def make_dataset(arrays: Mapping[str, Samples], data_spec: DataSpec, weights: Mapping[str, np.ndarray] = {}) -> Dataset:
    """The samples in validated arrays by input and by output name, and their weights by output name."""
    inputs = {name: arrays[name] for name in data_spec.inputs}
    targets = {name: arrays[name] for name in data_spec.targets if name in arrays}
    return Dataset(inputs, targets, data_spec, weights)
