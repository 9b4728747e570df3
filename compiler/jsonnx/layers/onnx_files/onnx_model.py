"""A layer whose operators and weights are those of an ONNX file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Annotated

from ...core.components import DictCodec, NullableCodec, ScalarCodec, attr
from ...core.diagnostics import suggestion
from ...core.types import Dim, ShapeError, TensorType, rank_help, require
from ...training.weights.initializers import INITIALIZERS
from ..base import Layer, layer

if TYPE_CHECKING:
    from ...foreign.prepared_graph import ForeignInput, ForeignWeight, PreparedGraph
    from ...ir import Builder, Value

OUTPUT_NAME = re.compile(r"[A-Za-z0-9_]+")
VARIANCE_NAMES = ("var", "variance")


@layer
class OnnxModel(Layer):
    """The network and the weights of an ONNX file.

    Its inputs are those of the file that its outputs depend on, in the order of the file. Batch normalizations compute
    with their moving averages, and Dropout does nothing, unless `training_mode` is true.
    """

    keras_name = ""
    arity = (1, None)
    stem = "onnx_model"
    freezes_single_states = True
    has_modules = True
    attributes_of_file = ("graph",)

    file: str = attr(doc="The ONNX file, beneath the spec's folder.")
    outputs: Annotated[dict[str, str] | None, NullableCodec(DictCodec(ScalarCodec(type="string")))] = attr(
        None,
        doc="Results by the names that the spec gives them: the names of values of the file. The first one is the "
        "layer's own result, `from: layer.name` reads the others. By default the outputs of the file.",
    )
    training_mode: bool = attr(
        False,
        doc="Whether, in training, batch normalizations compute with the statistics of the batch and update their "
        "moving averages, by the momentum of the file, and Dropout drops elements. A frozen moving average stays as "
        "it is, and its normalization computes with it. By default both compute as in inference.",
    )
    graph: str | None = attr(
        None,
        doc="The graph of the file without its weights, as compressed ONNX. jsonnx writes it into the spec of a run "
        "and of a model, which then need no file.",
    )
    sha256: str | None = attr(None, doc="The digest of the file that `graph` is of.")

    @property
    def has_weights(self) -> bool:
        return True

    @property
    def mixes_samples(self) -> bool:  # type: ignore[override]
        """Whether a batch normalization computes with the statistics of the batch."""
        return self.training_mode and self.has_operator("BatchNormalization")

    def has_operator(self, *operators: str) -> bool:
        """Whether the file has one of these operators. Raises ShapeError."""
        return any(node.op_type in operators for node in self._prepared().nodes)

    def max_operators(self) -> int:
        return 4 * len(self._prepared().nodes)

    def weight_elements(self) -> int:
        """The number of elements of the weights of the file."""
        return sum(prod(weight.shape) for weight in self._prepared().weights.values())

    def result_names(self) -> dict[str, str]:
        """The values of the file by the names of the results. Raises ShapeError."""
        if self.outputs is not None:
            require(bool(self.outputs), "has no outputs", 'name one: "outputs": {"y": "output"}')
            for name in self.outputs:
                help = "use letters, digits and underscores"
                require(OUTPUT_NAME.fullmatch(name) is not None, f"has an output {name!r}", help, "invalid-name")
            return self.outputs
        names: dict[str, str] = {}
        for value in self._prepared().output_names:
            base = name = re.sub(r"\W", "_", value, flags=re.ASCII).strip("_") or "output"
            while name in names:
                name = f"{base}_{len(names)}"
            names[name] = value
        return names

    def output_names(self) -> tuple[str, ...]:
        return tuple(self.result_names())[1:]

    def inputs_of_results(self, indices: Sequence[int]) -> Sequence[int]:
        graph, values = self._prepared(), list(self.result_names().values())
        read = graph.inputs_of([values[index] for index in indices])
        return [index for index, declared in enumerate(graph.inputs_of(values)) if declared in read]

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        graph = self._prepared()
        self._check_outputs(graph)
        _check_inputs(graph.inputs_of(list(self.result_names().values())), inputs)
        from ...foreign.graph_types import output_types

        assert self.graph is not None
        return output_types(self.graph, tuple(self.result_names().values()), inputs)

    def lower(self, g: Builder, *inputs: Value) -> tuple[Value, ...]:
        from ...foreign.emit_graph import emit_graph
        from ...foreign.input_axes import input_axes
        from ...foreign.special_operators import SPECIAL_OPERATORS
        from .training_mode import training_operators

        graph = self._prepared()
        operators = training_operators(SPECIAL_OPERATORS) if self.training_mode and g.training else {}
        names = list(self.result_names().values())
        pairs = zip(graph.inputs_of(names), inputs, strict=True)
        cast = {declared.name: _cast(g, x, declared) for declared, x in pairs}
        axes = input_axes(graph)
        return emit_graph(g, graph, cast, names, lambda weight: _weight(g, weight, axes.get(weight.name)), operators)

    def _prepared(self) -> PreparedGraph:
        """The graph. Raises ShapeError."""
        from ...foreign.prepared_graph import read_graph_text
        from ...foreign.unreadable_graph import UnreadableGraph

        require(self.graph is not None, f"has no graph of {self.file!r}")
        assert self.graph is not None
        try:
            graph = read_graph_text(self.graph)
            _ = graph.weights, graph.inputs
        except UnreadableGraph as error:
            raise ShapeError(f"has an unreadable graph: {error.message}", error.help, error.code) from error
        return graph

    def _check_outputs(self, graph: PreparedGraph) -> None:
        known = {name for node in graph.nodes for name in node.output if name}
        for value in self.result_names().values():
            if value not in known:
                help = suggestion(value, sorted(known)) or f"the file's own outputs are {', '.join(graph.output_names)}"
                raise ShapeError(f"names the value {value!r}, which {self.file!r} does not have", help, "unknown-name")


def _check_inputs(declared: list[ForeignInput], inputs: tuple[TensorType, ...]) -> None:
    """Raises ShapeError unless the types are those of the file's inputs."""
    names = ", ".join(f"{each.name!r}" for each in declared)
    message = f"needs a value for each input of its file ({names}), got {len(inputs)}"
    help = "list the inputs in `from`, in the order of the file"
    require(len(declared) == len(inputs), message, help, "wrong-inputs")
    symbols: dict[str, Dim] = {}
    for each, type in zip(declared, inputs, strict=True):
        message = f"needs {_type_text(each)} for its input {each.name!r}, got {type}"
        require(type.rank == len(each.shape), message, rank_help(type, len(each.shape)))
        help = f'declare the input with "dtype": "{_usual(each.dtype)}"'
        require(_kind(type.dtype) == _kind(each.dtype), message, help)
        for size, actual in zip(each.shape[1:], type.shape[1:], strict=True):
            agreed = symbols.setdefault(size, actual) if isinstance(size, str) else size
            require(agreed is None or agreed == actual, message)


def _type_text(declared: ForeignInput) -> str:
    sizes = ["any" if size is None else str(size) for size in declared.shape]
    return f"{declared.dtype}[{', '.join(['batch', *sizes[1:]] if sizes else [])}]"


def _kind(dtype: str) -> str:
    """What element types that are cast to one another have in common."""
    return next((kind for kind in ("float", "int") if kind in dtype), dtype)


def _usual(dtype: str) -> str:
    return {"float": "float32", "int": "int64"}.get(_kind(dtype), dtype)


def _cast(g: Builder, x: Value, declared: ForeignInput) -> Value:
    return x if _kind(declared.dtype) == "float" else g.cast(x, declared.dtype)


def _weight(g: Builder, weight: ForeignWeight, axes: tuple[int, ...] | None) -> Value:
    """A weight of the layer, with the `input_axes` of a matrix. Its initializer draws what a test or an empty network
    starts with."""
    if not weight.is_state:
        return g.param(weight.name, weight.shape, INITIALIZERS.by_name["glorot_uniform"](), input_axes=axes)
    dtype = None if _kind(weight.dtype) == "float" else weight.dtype
    initializer = "ones" if weight.name.endswith(VARIANCE_NAMES) else "zeros"
    return g.state(weight.name, weight.shape, INITIALIZERS.by_name[initializer](), dtype)
