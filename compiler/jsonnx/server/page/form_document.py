"""What a page needs to know of a model: its signature, the fields of its form, and requests that it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from ...core.diagnostics import CompileError, UsageError
from ...core.numpy_types import numpy_dtype
from ...core.types import Dim, Size, TensorType
from ...data.samples.array_samples import from_arrays
from ...data.samples.data_errors import FeedError
from ...pipeline.check.data_spec import input_spec
from ...pipeline.compile.output_classes import ClassKind
from ..models.served_model import ServedModel
from ..protocol.datatypes import datatype_of
from .form_fields import FormField, form_fields

EXAMPLE_SIZES = (4, 16, 64, 1, 128, 256)
"""Sizes that examples may have along symbolic axes; the first one that the model takes is used."""
MAX_EXAMPLE_VALUES = 1024
"""Values that an example request lists."""


DECISIONS = {
    ClassKind.ONE_OF_MANY: "the most probable class",
    ClassKind.BINARY: "the second class above a threshold, else the first one",
    ClassKind.MULTI_LABEL: "all classes above a threshold",
}
"""How the classes of an output follow from its numbers."""


@dataclass(frozen=True)
class ModelForm:
    """The form of one version of a model."""

    served: ServedModel
    fields: Sequence[FormField]

    @staticmethod
    def of(served: ServedModel) -> ModelForm:
        """The form whose examples the model takes. Runs it, if its inputs have variable sizes."""
        sizes = {size for type in served.inputs.values() for size in type.shape[1:] if isinstance(size, Size)}
        symbols = [*map(str, sizes)]
        for size in EXAMPLE_SIZES if symbols else ():
            form = ModelForm(served, form_fields(served, dict.fromkeys(symbols, size)))
            if form._runs():
                return form
        return ModelForm(served, form_fields(served, {}))

    def _runs(self) -> bool:
        try:
            self.served.session.run(self.feeds)
        except (CompileError, FeedError, UsageError):
            return False
        return True

    @cached_property
    def document(self) -> dict[str, Any]:
        """The form, as JSON values."""
        served = self.served
        spec: Mapping[str, Any] = served.trained.checked.network.document if served.trained is not None else {}
        return {
            "name": served.name,
            "version": served.version,
            "description": str(spec.get("description") or ""),
            "digest": served.session.metadata.get("jsonnx.digest"),
            "has_rows": self.takes_rows,
            "inputs": [_tensor_json(name, type) for name, type in served.inputs.items()],
            "outputs": [
                _tensor_json(name, type) | _classes_json(served, name) for name, type in served.outputs.items()
            ],
            "batching": {"allowed": served.batching.is_allowed, "reason": served.batching.reason},
            "fields": [field.to_json() for field in self.fields],
        }

    @property
    def takes_rows(self) -> bool:
        """Whether `POST /predict` takes what the form has; else its row is sent as tensors."""
        trained = self.served.trained
        training = trained.checked.require().network.training if trained is not None else None
        section = training.data if training is not None else None
        return trained is not None and (section is None or section.windows is None)

    @property
    def value_count(self) -> int:
        """The values of a row of the example."""
        return sum(array.size for array in self.feeds.values())

    @cached_property
    def row(self) -> dict[str, Any]:
        """A row of `POST /predict`."""
        row: dict[str, Any] = {}
        for field in self.fields:
            if field.index is None:
                row[field.column] = field.example
            else:
                row.setdefault(field.column, []).append(field.example)
        return row

    @cached_property
    def feeds(self) -> dict[str, np.ndarray]:
        """The same row as arrays by the names of the inputs."""
        trained = self.served.trained
        if trained is None or not self.served.text_inputs:
            return self._arrays(self.served.inputs)
        data_spec = input_spec(trained.checked.require())
        return from_arrays(self._arrays(data_spec.inputs), None, data_spec, targets=False).take(slice(None))

    def _arrays(self, types: Mapping[str, TensorType]) -> dict[str, np.ndarray]:
        """The row as arrays by the names of inputs of the data."""
        feeds = {}
        for name, type in types.items():
            values = [field.example for field in self.fields if field.value.input == name]
            is_whole = len(values) == 1 and isinstance(values[0], list)
            array = np.array(values[0] if is_whole else values, numpy_dtype(type.dtype))
            feeds[name] = array.reshape(_row_shape(type, array))
        return feeds

    @property
    def tensors(self) -> list[dict[str, Any]]:
        """The inputs of a request of the protocol with that row."""
        return [
            {
                "name": name,
                "shape": list(array.shape),
                "datatype": datatype_of(self.served.inputs[name].dtype),
                "data": array.reshape(-1).tolist(),
            }
            for name, array in self.feeds.items()
        ]


def _row_shape(type: TensorType, array: np.ndarray) -> tuple[int, ...]:
    """The shape of a row with the batch axis."""
    if type.rank == 0:
        return ()
    sizes = tuple(size for size in type.shape[1:] if isinstance(size, int))
    is_static = len(sizes) == type.rank - 1
    return (1, *sizes) if is_static and prod(sizes) == array.size else (1, *array.shape)


def _tensor_json(name: str, type: TensorType) -> dict[str, Any]:
    return {"name": name, "datatype": datatype_of(type.dtype), "shape": shape_json(type.shape)}


def shape_json(shape: Sequence[Dim]) -> list[int | str]:
    """A shape in which variable sizes have names."""
    return [size if isinstance(size, int) else str(size) for size in shape]


def _classes_json(served: ServedModel, output: str) -> dict[str, Any]:
    classes = served.classes.get(output)
    if classes is None:
        return {}
    decision: dict[str, Any] = {"labels": list(classes.labels), "decision": DECISIONS[classes.kind]}
    if classes.kind is not ClassKind.ONE_OF_MANY:
        decision["threshold"] = classes.shown_threshold
    return {"classes": decision}
