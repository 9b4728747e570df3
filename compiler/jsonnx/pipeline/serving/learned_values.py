"""Vocabularies, means and fill values that layers have learned from training data, read from a model's graph."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.diagnostics import JsonPath, path_text
from ...runtime.session.load_model import model_file

if TYPE_CHECKING:
    import onnx

PATH_KEY = "jsonnx.path"
"""The key of the path of a node's layer in the node's metadata."""


class LearnedValues:
    """What the layers of a model have learned; the model, a RUN folder or a file, is read when it is first asked."""

    def __init__(self, model: str | os.PathLike[str] | None) -> None:
        self._path = None if model is None else Path(model_file(model))

    def tokens(self, path: JsonPath) -> tuple[Any, ...]:
        """The tokens of the lookup at a path of the spec; empty if the model does not have them."""
        for node in self._nodes_of(path, "LabelEncoder"):
            for attribute in node.attribute:
                if attribute.name == "keys_strings":
                    return tuple(token.decode() for token in attribute.strings)
                if attribute.name == "keys_int64s":
                    return tuple(attribute.ints)
        return ()

    def fill_values(self, path: JsonPath) -> Sequence[float]:
        """What the Imputation at a path of the spec puts in place of missing values; empty if that is not known."""
        values = self._constant_operand(path, "Where")
        return () if values is None else values.reshape(-1).tolist()

    def means(self, path: JsonPath) -> Sequence[float]:
        """The means of the Normalization at a path of the spec, which a model has as `x * scale + shift`; empty if the
        model has it in another form."""
        scale, shift = (self._constant_operand(path, operator) for operator in ("Mul", "Add"))
        if scale is None or shift is None:
            return ()
        with np.errstate(divide="ignore", invalid="ignore"):
            means = -shift / scale
        means = means.reshape(-1)
        return means.tolist() if np.isfinite(means).all() else ()

    def _constant_operand(self, path: JsonPath, operator: str) -> np.ndarray | None:
        from onnx.numpy_helper import to_array

        nodes = list(self._nodes_of(path, operator))
        constants = [tensor for node in nodes for tensor in self._graph.initializer if tensor.name in node.input]
        return to_array(constants[0]) if len(nodes) == len(constants) == 1 else None

    def _nodes_of(self, path: JsonPath, operator: str) -> Iterator[onnx.NodeProto]:
        text = path_text(path)
        for node in self._graph.node:
            if node.op_type == operator and any(p.key == PATH_KEY and p.value == text for p in node.metadata_props):
                yield node

    @cached_property
    def _graph(self) -> onnx.GraphProto:
        import onnx

        if self._path is None:
            return onnx.GraphProto()
        return onnx.load(str(self._path), load_external_data=False).graph
