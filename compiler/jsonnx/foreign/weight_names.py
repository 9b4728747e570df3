"""Readable names for the weights of an ONNX file, whose exporter may have lost them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import onnx

from .module_paths import module_path

MAX_NAME_CHARACTERS = 200

_GENERATED = re.compile(
    r"(onnx::\w+|\d+|_?(val|const|constant|initializer|tensor|arg|param|t|_to_copy|tmp|input|x|transpose)[_.]?\d*"
    r"|/?(.*/)?Constant(_\d+)?(_output_\d+)?|.*_output_\d+|(node_)?[A-Z]\w*_\d+(_quant.*)?)",
)
"""Names that exporters make up for values without a name."""
_FORBIDDEN = re.compile(r"[^\w./-]+")

OPERANDS: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(("Conv", "ConvTranspose"), ("input", "weight", "bias")),
    "Gemm": ("weight", "weight", "bias"),
    "MatMul": ("weight", "weight"),
    **dict.fromkeys(("Add", "Sub"), ("bias", "bias")),
    **dict.fromkeys(("Mul", "Div"), ("scale", "scale")),
    "FusedConv": ("input", "weight", "bias"),
    **dict.fromkeys(("FusedMatMul", "FusedGemm"), ("weight", "weight", "bias")),
    "SkipLayerNormalization": ("input", "skip", "weight", "bias", "skip_bias"),
    "SkipSimplifiedLayerNormalization": ("input", "skip", "weight", "skip_bias"),
    "SimplifiedLayerNormalization": ("input", "weight"),
    **dict.fromkeys(("BiasGelu", "FastGelu"), ("input", "bias")),
    "BatchNormalization": ("input", "weight", "bias", "running_mean", "running_var"),
    **dict.fromkeys(("LayerNormalization", "InstanceNormalization", "GroupNormalization"), ("input", "weight", "bias")),
    "Gather": ("weight",),
    "PRelu": ("input", "slope"),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), ("input", "weight", "recurrence", "bias", "", "initial_h", "initial_c")),
}
"""The names of the operands of operators that have weights."""


def weight_names(graph: onnx.GraphProto, tensors: Sequence[str]) -> dict[str, str]:
    """The name of each weight by the name of its tensor: that of the tensor if it is readable, else one from its bias,
    its node or its operator. Names are unique and depend on the graph alone."""
    namer = _Namer(graph)
    names: dict[str, str] = {}
    used: set[str] = set()
    readable = [tensor for tensor in tensors if is_readable(tensor)]
    for tensor in (*readable, *(tensor for tensor in tensors if tensor not in {*readable})):
        base = _cleaned(tensor) if tensor in readable else namer.made_up(tensor)
        name, number = base, 1
        while name in used:
            name, number = f"{base}_{number}", number + 1
        used.add(name)
        names[tensor] = name
    return names


def is_readable(tensor: str) -> bool:
    """Whether a tensor has a name that a person gave, such as `layer1.0.conv1.weight`."""
    return not _GENERATED.fullmatch(tensor) and bool(re.search(r"[A-Za-z]", tensor))


def _cleaned(name: str) -> str:
    """A name without characters that patterns of names or files give a meaning."""
    return _FORBIDDEN.sub("_", re.sub(r":\d+$", "", name)).strip("/._")[-MAX_NAME_CHARACTERS:] or "weight"


class _Namer:
    """Makes up names from the nodes that read a tensor."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._readers: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
        self._numbers: dict[int, int] = {}
        counts: dict[str, int] = {}
        for node in graph.node:
            counts[node.op_type] = self._numbers[id(node)] = counts.get(node.op_type, -1) + 1
            for index, name in enumerate(node.input):
                self._readers.setdefault(name, []).append((node, index))
        self._nodes = list(graph.node)  # keeps the addresses that `_numbers` is by

    def made_up(self, tensor: str) -> str:
        """A name from the first node that reads the tensor."""
        node, index = self._reader(tensor)
        operands = OPERANDS.get(node.op_type, ())
        operand = operands[index] if index < len(operands) else f"operand_{index}"
        bias = self._bias(node)
        if bias is not None and operand == "weight":
            return _cleaned(f"{bias.removesuffix('bias')}weight")
        path = module_path(node.name)
        return _cleaned(f"{path or f'{node.op_type.lower()}_{self._numbers[id(node)]}'}.{operand}")

    def _reader(self, tensor: str) -> tuple[onnx.NodeProto, int]:
        """The first node that reads a tensor, behind copies and transpositions."""
        node, index = self._readers[tensor][0]
        while node.op_type in ("Identity", "Transpose", "Cast") and self._readers.get(node.output[0]):
            node, index = self._readers[node.output[0]][0]
        return node, index

    def _bias(self, node: onnx.NodeProto) -> str | None:
        """The name of the bias that the node, or an Add behind it, reads."""
        nodes = [node, *(reader for reader, _ in self._readers.get(node.output[0], ()) if reader.op_type == "Add")]
        names = [name for each in nodes for name in each.input if name.endswith((".bias", "/bias", "_bias"))]
        return next((name for name in names if is_readable(name)), None)
