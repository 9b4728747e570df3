"""The adapters of a network in PEFT's layout: the names of modules, and PyTorch's order of axes.

The module of a weight is the path of its layer, with dots. A weight `encoder.q.weight` of an OnnxModel has the module
`encoder.q`, the name that it has in the PyTorch model which the file was exported from. If two weights would have the
same name then, as in two OnnxModels of one file, the name of the layer comes before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property
from math import prod, sqrt
from pathlib import Path
from typing import IO, Any

import numpy as np

from ...core.diagnostics import CompileError, Diagnostic, UsageError, suggestion
from ...core.files.files import make_folders, open_file, write_atomically
from ...core.reserved_names import is_slot_name
from ...interop.bfloat16 import widened
from ...interop.peft_adapter import ARRAYS_FILE, CONFIG_FILE, PREFIX, PeftAdapter, config_text, read_adapter
from ...interop.safetensors_file import safetensors_parts
from ...ir import Adapter, Graph, Node, Parameter, Value
from ...ir.adapter_arrays import unique_adapters
from ...layers.onnx_files.onnx_model import OnnxModel
from ...runtime.session.weight_files import check_finite
from ..check.check import CheckedSpec
from .adapters import adapted_graph, has_adapters

PYTORCH_NAMES = {
    "kernel": "weight",
    "embeddings": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
"""PyTorch's names of weights, by those of Keras."""


class PeftLayout:
    """The arrays of PEFT for the adapters of a network, and for the other weights that training changes."""

    def __init__(self, checked: CheckedSpec) -> None:
        self.network = checked.network
        self.graph: Graph = adapted_graph(checked)
        self.adapters = unique_adapters(self.graph)

    @cached_property
    def readers(self) -> Mapping[str, str]:
        """The operator that reads a weight, behind transpositions, by the weight's name."""
        sources: dict[Value, str] = {value: adapter.weight.name for value, adapter in self.graph.adapters.items()}
        sources |= {weight: weight.name for weight in self.graph.parameters.values() if weight.trainable}
        readers: dict[str, str] = {}
        for node in self.graph.nodes:
            for operand in node.inputs:
                if operand is not None and operand in sources:
                    self._follow(node, sources[operand], sources, readers)
        return readers

    def _follow(self, node: Node, weight: str, sources: dict[Value, str], readers: dict[str, str]) -> None:
        if node.op in ("Transpose", "Reshape", "Identity"):
            sources.setdefault(node.outputs[0], weight)
        else:
            readers.setdefault(weight, node.op)

    @cached_property
    def onnx_layers(self) -> frozenset[str]:
        return frozenset(call.owner for call in self.network.calls if isinstance(call.layer, OnnxModel))

    @cached_property
    def has_names_of_file(self) -> bool:
        """Whether weights of an OnnxModel have their names in the file alone, without the layer's: unless two weights
        would have the same name then."""
        names = [self._split(name, True) for name in (*self.graph.parameters, *self.graph.states)]
        return len({*names}) == len(names)

    def split(self, weight: str) -> tuple[str, str]:
        """The module of a weight, and PyTorch's name of the weight in it."""
        return self._split(weight, self.has_names_of_file)

    def _split(self, weight: str, has_names_of_file: bool) -> tuple[str, str]:
        layer, _, name = weight.partition("/")
        if layer in self.onnx_layers:
            module, _, own = (name if has_names_of_file else f"{layer}.{name}").rpartition(".")
            return module, own
        scope, _, own = weight.rpartition("/")
        return scope.replace("/", "."), PYTORCH_NAMES.get(own, own)

    def module(self, weight: str) -> str:
        """The module of an adapted weight. An OnnxModel may have such weights with names of their own."""
        module, own = self.split(weight)
        if own == "weight" or weight.partition("/")[0] not in self.onnx_layers:
            return module
        return f"{module}.{own}" if module else own

    @cached_property
    def modules(self) -> dict[str, Adapter]:
        """The adapters by their modules. Raises CompileError if two have the same."""
        modules: dict[str, Adapter] = {}
        for adapter in self.adapters:
            other = modules.setdefault(self.module(adapter.weight.name), adapter)
            if other is not adapter:
                names = f"{other.weight.name!r} and {adapter.weight.name!r}"
                message = f"{names} have the same name in an adapter of PEFT, {self.module(adapter.weight.name)!r}"
                raise CompileError([Diagnostic("duplicate-name", message, help="give the layers other names")])
        return modules

    @cached_property
    def saved_weights(self) -> dict[str, str]:
        """The weights that training changes besides adapters, by their names in a file of PEFT."""
        own = {variable.name for adapter in self.adapters for variable in adapter.variables}
        trained = [name for name, weight in self.graph.parameters.items() if weight.trainable and name not in own]
        scopes = {name.rpartition("/")[0] for name in trained}
        updated = [name for name in self.graph.states if name.rpartition("/")[0] in scopes and not is_slot_name(name)]
        return {".".join(filter(None, self.split(name))): name for name in (*trained, *updated)}

    # -- layouts -----------------------------------------------------------------------------------------------------

    def names(self, module: str, adapter: Adapter) -> dict[str, Parameter]:
        """The weights of an adapter by their names in a file of PEFT."""
        is_embedding = self.readers.get(adapter.weight.name) == "Gather"
        matrices = ("lora_embedding_A", "lora_embedding_B") if is_embedding else ("lora_A.weight", "lora_B.weight")
        ends = (*matrices, "lora_magnitude_vector")
        return {f"{module}.{end}": weight for end, weight in zip(ends, adapter.variables, strict=False)}

    def to_pytorch(self, weight: Parameter, array: np.ndarray, adapter: Adapter | None = None) -> np.ndarray:
        """The array of a weight, or of one of the weights of an adapter, with PyTorch's axes."""
        if adapter is None:
            order, shape = self._pytorch_axes(weight)
            return np.ascontiguousarray(array.transpose(order).reshape(shape))
        kernel = self._kernel_axes(adapter.weight)
        if weight is adapter.magnitude:
            return array.reshape(1, -1, *[1] * (len(kernel) - 1)) if kernel else array
        if weight is adapter.b or not kernel:
            return np.ascontiguousarray(array.T).reshape(*array.shape[::-1], *[1] * max(0, len(kernel) - 1))
        sizes = [adapter.weight.shape[axis] for axis in adapter.input_axes]
        order = [adapter.input_axes.index(axis) for axis in kernel]
        return np.ascontiguousarray(array.reshape(*sizes, -1).transpose(len(order), *order))

    def from_pytorch(self, weight: Parameter, array: np.ndarray, adapter: Adapter | None = None) -> np.ndarray:
        """The inverse of `to_pytorch`. Raises ValueError for an array of another shape."""
        count: Any = prod(weight.shape)
        example = self.to_pytorch(weight, np.arange(count).reshape(weight.shape), adapter)
        if array.shape != example.shape:
            raise ValueError(f"has shape {list(array.shape)}, the network wants {list(example.shape)}")
        values = np.empty(count, array.dtype)
        values[example.reshape(-1)] = array.reshape(-1)
        return values.reshape(weight.shape)

    def _kernel_axes(self, weight: Parameter) -> tuple[int, ...]:
        """The input axes of the kernel of a convolution in PyTorch's order, channels first; none for a matrix."""
        axes = weight.input_axes or ()
        if self.readers.get(weight.name) != "Conv":
            return ()
        return axes if axes[0] == 1 else (axes[-1], *axes[:-1])

    def _pytorch_axes(self, weight: Parameter) -> tuple[list[int], list[int]]:
        """The order of a weight's axes in PyTorch, and the sizes after axes are merged."""
        axes = weight.input_axes
        if axes is None or self.readers.get(weight.name) == "Gather":
            return [*range(weight.rank)], [*weight.shape]
        outputs = [axis for axis in range(weight.rank) if axis not in axes]
        kernel = self._kernel_axes(weight)
        order = [*outputs, *(kernel or axes)]
        sizes = [weight.shape[axis] for axis in order]
        return order, sizes if kernel else [prod(sizes[: len(outputs)]), prod(sizes[len(outputs) :])]


# -- files -----------------------------------------------------------------------------------------------------------


def peft_files(checked: CheckedSpec, weights: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The contents of both files of the adapters of a network, by name; empty if it has none.

    Raises CompileError if two adapted weights have the same module.
    """
    if not has_adapters(checked.network):
        return {}
    layout = PeftLayout(checked)
    if not layout.adapters:
        return {}
    arrays: dict[str, np.ndarray] = {}
    for module, adapter in layout.modules.items():
        for name, weight in layout.names(module, adapter).items():
            arrays[PREFIX + name] = layout.to_pytorch(weight, weights[weight.name], adapter)
    variables = {**layout.graph.parameters, **layout.graph.states}
    for name, weight_name in layout.saved_weights.items():
        variable = variables[weight_name]
        array = weights[weight_name]
        arrays[PREFIX + name] = layout.to_pytorch(variable, array) if isinstance(variable, Parameter) else array
    saved_modules = sorted({name.rpartition(".")[0] or name for name in layout.saved_weights})
    config = config_text(_settings(layout), [*layout.modules], saved_modules, None)
    return {ARRAYS_FILE: safetensors_parts(arrays, {"format": "pt"}), CONFIG_FILE: config.encode()}


def _settings(layout: PeftLayout) -> PeftAdapter:
    """The settings of a config: the most frequent rank and alpha, and those of other modules."""
    section = layout.network.adapted_weights
    is_rslora = section is not None and section.lora.use_rslora
    ranks = {module: adapter.a.shape[1] for module, adapter in layout.modules.items()}
    alphas = {
        module: _plain(adapter.scale * (sqrt(ranks[module]) if is_rslora else ranks[module]))
        for module, adapter in layout.modules.items()
    }
    rank, alpha = (Counter(values.values()).most_common(1)[0][0] for values in (ranks, alphas))
    patterns = {module: _module_pattern(module, layout.modules) for module in layout.modules}
    return PeftAdapter(
        {},
        rank,
        alpha,
        is_rslora,
        any(adapter.magnitude is not None for adapter in layout.adapters),
        {patterns[module]: value for module, value in ranks.items() if value != rank},
        {patterns[module]: value for module, value in alphas.items() if value != alpha},
    )


def _module_pattern(module: str, modules: Collection[str]) -> str:
    """The pattern that matches this module alone: PEFT's patterns without `^` match the ends of names, too."""
    return f"^{module}" if any(other.endswith(f".{module}") for other in modules) else module


def _plain(alpha: float) -> float:
    """The number without what divisions have added, as an integer if it is one."""
    rounded = round(alpha, 6)
    return int(rounded) if rounded == int(rounded) else rounded


def write_peft_folder(checked: CheckedSpec, weights: Mapping[str, np.ndarray], folder: Path) -> None:
    """Writes the adapters of a network to a folder, in PEFT's layout. Raises CompileError, UsageError."""
    files = peft_files(checked, weights)
    if not files:
        raise UsageError("bad-option", "the network has no adapters", 'name the weights: "training": {"lora": ...}')
    make_folders(folder)
    for name, content in files.items():
        write_atomically(folder / name, content)


def is_peft_folder(path: Path) -> bool:
    """Whether a folder has an adapter of PEFT."""
    return (path / CONFIG_FILE).is_file()


def read_peft_folder(
    checked: CheckedSpec, folder: str, open_named: Callable[[str], IO[bytes]] | None = None
) -> dict[str, np.ndarray]:
    """The weights of the adapters of a network in a folder, and the others that it has, by our names.

    Raises CompileError for an adapter of another network, and as `read_adapter`.
    """
    adapter = read_adapter(open_named or (lambda name: open_file(Path(folder) / name)), folder)
    layout = PeftLayout(checked)
    errors = [*_mismatches(layout, adapter)]
    arrays: dict[str, np.ndarray] = {}
    for name, (weight, owner) in _wanted(layout).items():
        try:
            if name in adapter.arrays:
                arrays[weight.name] = _network_array(layout, weight, owner, adapter.arrays[name])
            elif owner is not None:
                errors.append(f"it has no array {name!r}")
        except ValueError as error:
            errors.append(f"the array {name!r} {error}")
    file = f"{folder}/{ARRAYS_FILE}"
    if errors:
        help = "the spec needs the same `lora` that the adapter was trained with"
        raise CompileError([Diagnostic("weights-mismatch", error, file=file, help=help) for error in errors])
    check_finite(arrays, file)
    return arrays


def _network_array(layout: PeftLayout, weight: Any, owner: Adapter | None, array: np.ndarray) -> np.ndarray:
    """An array of a file as the network's weight. Raises ValueError with the end of a sentence."""
    array = widened(array)
    if array.dtype.kind != "f":
        raise ValueError(f"has {array.dtype} elements, the network wants {weight.dtype}")
    if isinstance(weight, Parameter):
        array = layout.from_pytorch(weight, array, owner)
    elif array.shape != weight.shape:
        raise ValueError(f"has shape {list(array.shape)}, the network wants {list(weight.shape)}")
    return array.astype(np.float32, copy=False)


def _wanted(layout: PeftLayout) -> dict[str, tuple[Any, Adapter | None]]:
    """The weights that a file of PEFT may have, by their names there, with the adapters that they belong to."""
    variables = {**layout.graph.parameters, **layout.graph.states}
    wanted: dict[str, tuple[Any, Adapter | None]] = {
        name: (weight, adapter)
        for module, adapter in layout.modules.items()
        for name, weight in layout.names(module, adapter).items()
    }
    return {name: (variables[weight], None) for name, weight in layout.saved_weights.items()} | wanted


def _mismatches(layout: PeftLayout, adapter: PeftAdapter) -> Iterator[str]:
    """What a file has that the network lacks, and factors that differ from the spec's."""
    wanted = _wanted(layout)
    for name in adapter.arrays:
        if name not in wanted:
            hint = suggestion(name, wanted)
            yield f"the network has nothing for the array {name!r}" + (f"; {hint}" if hint else "")
    for module, own in layout.modules.items():
        scale = adapter.scale(module, own.a.shape[1])
        if abs(scale - own.scale) > 1e-6 * abs(scale):
            yield f"{module!r} has alpha / rank = {scale:g}, the spec {own.scale:g}"
    if adapter.use_dora != any(own.magnitude is not None for own in layout.adapters):
        yield f"`use_dora` is {str(adapter.use_dora).lower()}, unlike in the spec"


__all__ = ["PeftLayout", "is_peft_folder", "peft_files", "read_peft_folder", "write_peft_folder"]
