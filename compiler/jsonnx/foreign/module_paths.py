"""The modules of an ONNX file: the parts of the network that its nodes belong to, such as `layer4.0.conv1`."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence

import onnx

SCOPES_KEY = "pkg.torch.onnx.name_scopes"
"""The metadata in which PyTorch lists the modules around a node, and the operator."""

MAX_SCOPES_CHARACTERS = 10_000

_NODE_NUMBER = re.compile(r"(node_)?[A-Za-z]+_?\d*")
_FORBIDDEN = re.compile(r"[^\w.-]+")


def module_path(node_name: str) -> str:
    """The module that a node is in, after PyTorch's names such as `/features/features.0/Conv`; empty if it has none."""
    parts = [part for part in node_name.split("/")[:-1] if part]
    kept: list[str] = []
    for part in parts:
        if kept and part.startswith(f"{kept[-1]}."):
            kept.pop()
        kept.append(part)
    path = ".".join(kept)
    return "" if not path or (_NODE_NUMBER.fullmatch(path) and path.startswith("node_")) else path


def name_by_scopes(node: onnx.NodeProto) -> str:
    """The name of a node, with the modules around it if it has them as metadata only."""
    scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPES_KEY), "")
    if not scopes or len(scopes) > MAX_SCOPES_CHARACTERS or "/" in node.name:
        return node.name
    try:
        names = ast.literal_eval(scopes)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return node.name
    modules = [name for name in names[:-1] if isinstance(name, str) and name] if isinstance(names, list) else []
    return f"/{modules[-1]}/{node.name}" if modules else f"/{node.name}"


def node_modules(nodes: Sequence[onnx.NodeProto], weight_names: Mapping[str, str]) -> dict[str, str]:
    """The module of each node, by the names of its results: from its name, or else from the weights that it reads, or
    else that of its first operand. `weight_names` are by tensor."""
    modules: dict[str, str] = {}
    for node in nodes:
        operands = [weight_names[name].rpartition(".")[0] for name in node.input if name in weight_names]
        path = module_path(node.name) or next(filter(None, operands), "")
        if not path and "/" not in node.name:
            path = next((modules[name] for name in node.input if name in modules), "")
        modules |= dict.fromkeys(filter(None, node.output), _FORBIDDEN.sub("_", path))
    return modules
