"""A trained model in onnxruntime whose outputs a network learns from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...core.diagnostics import CompileError, Diagnostic, quoted_list
from ...core.files.spec_source import SpecSource
from ...core.numpy_types import numpy_dtype
from ...core.reserved_names import teacher_output_name
from ..session.session import Session

TEACHER_PATH = ("training", "distill", "teacher")
MIN_PROBABILITY = float(np.finfo(np.float32).tiny)
"""Lower bound of a probability of a class, whose logarithm is a finite float32."""
LABEL_EPSILON = 1e-7
"""Distance of probabilities of labels from 0 and 1, as of those that losses clip."""
MAX_LISTED_LABELS = 12


def as_numbers(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32, copy=False)


def class_logits(probabilities: np.ndarray) -> np.ndarray:
    """Logits whose softmax is equal to these probabilities."""
    return np.log(np.maximum(as_numbers(probabilities), np.float32(MIN_PROBABILITY)))


def label_logits(probabilities: np.ndarray) -> np.ndarray:
    """Logits whose sigmoid is equal to these probabilities."""
    clipped = np.clip(probabilities.astype(np.float64), LABEL_EPSILON, 1.0 - LABEL_EPSILON)
    return as_numbers(np.log(clipped) - np.log1p(-clipped))


class TeacherOutput(NamedTuple):
    """An output of a teacher."""

    name: str
    convert: Callable[[np.ndarray], np.ndarray]
    """Converts the output to the form that the training graph takes."""
    labels: tuple[str, ...] = ()
    """The names of the classes, if the model has them."""


@dataclass(frozen=True, eq=False)
class TeacherModel:
    """A teacher, ready to run on batches of the network.

    All its runs have `rows` samples, of which the last may repeat another: kernels for other numbers of samples may
    round otherwise, and outputs must not depend on when they are computed.
    """

    name: str
    """The name in the spec."""
    session: Session
    outputs: Mapping[str, TeacherOutput]
    """By output of the network."""
    feed_names: Mapping[str, str]
    """The names of fed values, such as augmented images, by the teacher's inputs."""
    rows: int
    digest: str
    """The SHA-256 of the model's file."""
    source: SpecSource

    @property
    def has_fixed_shapes(self) -> bool:
        """Whether the outputs of a sample have the same shapes in every batch."""
        shapes = (self.session.outputs[own.name].shape[1:] for own in self.outputs.values())
        return all(isinstance(size, int) for shape in shapes for size in shape)

    def with_outputs(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The feeds of a step with the outputs of the teacher, which are computed if they are missing."""
        names = {output: teacher_output_name(output) for output in self.outputs}
        if all(name in feeds for name in names.values()):
            return feeds
        return feeds | {names[output]: array for output, array in self.run(feeds).items()}

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs of the teacher for the samples of a batch, by output of the network. Raises CompileError
        `teacher-mismatch` for outputs that are not finite."""
        arrays = {
            name: feeds[self.feed_names[name]].astype(numpy_dtype(type.dtype), copy=False)
            for name, type in self.session.inputs.items()
        }
        count = len(next(iter(arrays.values())))
        if count == 0:  # of a rank without samples
            types = {output: self.session.outputs[own.name] for output, own in self.outputs.items()}
            return {output: np.zeros((0, *[1] * (type.rank - 1)), np.float32) for output, type in types.items()}
        parts = [self._run_rows(arrays, start, min(self.rows, count - start)) for start in range(0, count, self.rows)]
        return {output: np.concatenate([part[output] for part in parts]) for output in self.outputs}

    def _run_rows(self, arrays: Mapping[str, np.ndarray], start: int, count: int) -> dict[str, np.ndarray]:
        is_full = count == self.rows
        rows = slice(start, start + count) if is_full else start + np.minimum(np.arange(self.rows), count - 1)
        results = self.session.run_prepared({name: array[rows] for name, array in arrays.items()})
        outputs = {output: own.convert(results[own.name][:count]) for output, own in self.outputs.items()}
        for output, array in outputs.items():
            if not np.isfinite(array).all():
                message = f"the teacher's output {self.outputs[output].name!r} is not finite for some samples"
                help = "take another teacher, or find the layer or the samples: `jsonnx trace`"
                raise CompileError([teacher_mismatch(self.source, message, help)])
        return outputs

    def require_labels(self, labels: Mapping[str, Sequence[str]]) -> None:
        """Raises CompileError `teacher-mismatch` if the network has other classes, or has them in another order."""
        for output, own in self.outputs.items():
            expected = tuple(labels.get(output, ()))
            if own.labels and expected and own.labels != expected:
                has_same = sorted(own.labels) == sorted(expected)
                them = "them in another order" if has_same else "others"
                message = f"the teacher has the labels {_shown(own.labels)}; {output!r} has {them}: {_shown(expected)}"
                help = "take a teacher that was trained on the same classes"
                help = 'write the "labels" of the teacher into the spec, in its order' if has_same else help
                raise CompileError([teacher_mismatch(self.source, message, help)])


def teacher_mismatch(source: SpecSource, message: str, help: str) -> Diagnostic:
    """The error of a teacher that does not fit the network."""
    return source.locate_diagnostic(Diagnostic("teacher-mismatch", message, help=help), TEACHER_PATH)


def _shown(labels: Sequence[str]) -> str:
    hidden = len(labels) - MAX_LISTED_LABELS
    return quoted_list(labels[:MAX_LISTED_LABELS]) + (f" and {hidden:,} more" if hidden > 0 else "")
