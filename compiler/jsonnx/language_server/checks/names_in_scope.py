"""The names that a spec offers at a place: values for `from`, layers, outputs, parameters, metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from ...core.diagnostics import JsonPath
from ...frontend.json.syntax_tree import Node
from ...frontend.names.name_references import NETWORK
from ..documents.documents import Document
from .checks import SpecCheck


class OfferedName(NamedTuple):
    """A name that may be written, and what it stands for."""

    name: str
    detail: str = ""


def scope_of(path: JsonPath) -> JsonPath:
    """The scope that a path is in: the network, or the path of a block."""
    return path[:2] if len(path) > 2 and path[0] == "blocks" else NETWORK


def names_at(document: Document, check: SpecCheck | None, path: JsonPath) -> list[OfferedName] | None:
    """The names that may stand as the value at a path, or as the last key of a path; None if it takes no names."""
    inner = path[len(scope_of(path)) :]
    for pattern, names in _NAMED_PLACES:
        if _fits(inner, pattern):
            return [*dict.fromkeys(names(document, check, path))]
    return None


def _fits(path: JsonPath, pattern: str) -> bool:
    """Whether a path has the form of a pattern: `*` is any key or index, `...` an optional index."""
    steps = pattern.split(".")
    if steps[-1] == "?":
        steps = steps[:-1]
        if len(path) == len(steps) + 1 and isinstance(path[-1], (int, str)):
            path = path[:-1]
    return len(path) == len(steps) and all(want in ("*", str(step)) for want, step in zip(steps, path, strict=True))


def values_in_scope(document: Document, check: SpecCheck | None, path: JsonPath) -> list[OfferedName]:
    """The inputs and results that the `from` of an entry, or the outputs of a scope, may name."""
    scope = scope_of(path)
    own_entry = path[: len(scope) + 2]
    offered = []
    for item in document.definitions:
        if item.scope == scope and item.kind != "block" and item.path != own_entry:
            offered.append(OfferedName(item.name, item.type or "input"))
            outputs = _block_outputs(document, item.type)
            further = outputs if len(outputs) > 1 else []
            offered += [OfferedName(f"{item.name}.{output}", item.type or "") for output in further]
    known = {offer.name for offer in offered}
    own_names = {item.name for item in document.definitions if item.path == own_entry}
    typed = check.checked.typed_network if check is not None and check.checked is not None else None
    if typed is not None and scope == NETWORK:
        for call in typed.network.calls:
            is_own = call.name in own_names or any(use in own_names for use, _ in call.block_uses)
            kind = call.layer.type_name if call.layer is not None else ""
            offered += [OfferedName(name, kind) for name in call.results if name not in known and not is_own]
    return offered


def _block_outputs(document: Document, type_: str | None) -> list[str]:
    """The names of the outputs of a block of the spec, if they are written."""
    root = document.tree
    outputs = root.at(("blocks", type_, "outputs")) if root is not None and type_ else None
    if outputs is None:
        return []
    texts = [outputs.scalar, *(item.scalar for item in outputs.items), *(member.name for member in outputs.members)]
    return [text.partition(".")[2] or text for text in texts if isinstance(text, str)]


def _carried_results(document: Document, check: SpecCheck | None, path: JsonPath) -> list[OfferedName]:
    """The outputs of the block that an entry uses."""
    root, entry_path = document.tree, path[: path.index("carry")]
    entry = root.at(entry_path) if root is not None else None
    type_ = entry.text("type") if entry is not None else None
    return [OfferedName(name, f"output of {type_}") for name in _block_outputs(document, type_)]


def layer_names(document: Document, check: SpecCheck | None, path: JsonPath) -> list[OfferedName]:
    """The layers that a `use` may call again, or that a pattern of the training section may match."""
    offered = [name for name in values_in_scope(document, check, path) if "." not in name.name]
    inputs = {item.name for item in document.definitions if item.kind == "input" and item.scope == scope_of(path)}
    return [name for name in offered if name.name not in inputs]


def _outputs(document: Document, check: SpecCheck | None, path: JsonPath) -> list[OfferedName]:
    """The outputs of the network."""
    root = document.tree
    outputs = root.get("outputs") if root is not None else None
    if outputs is None:
        entries = [item for item in document.definitions if item.scope == NETWORK and item.kind == "entry"]
        return [OfferedName(item.name, "output") for item in entries[-1:]]
    texts = [outputs.scalar, *(item.scalar for item in outputs.items), *(m.name for m in outputs.members)]
    return [OfferedName(text, "output") for text in texts if isinstance(text, str)]


def _inputs(document: Document, check: SpecCheck | None, path: JsonPath) -> list[OfferedName]:
    inputs = (item for item in document.definitions if item.scope == NETWORK and item.kind == "input")
    return [OfferedName(item.name, "input") for item in inputs]


def network_parameters(document: Document) -> list[OfferedName]:
    root = document.tree
    section = root.get("parameters") if root is not None else None
    members = section.members if section is not None else []
    return [OfferedName(member.name, "parameter") for member in members]


def parameters_in_scope(document: Document, path: JsonPath) -> list[OfferedName]:
    """The parameters that an expression at a path may read."""
    scope, root = scope_of(path), document.tree
    if root is None or scope == NETWORK:
        names = network_parameters(document)
    else:
        own, shared = root.at((*scope, "parameters")), root.at((*scope, "globals"))
        names = [OfferedName(member.name, "parameter") for member in own.members] if own else []
        names += [OfferedName(str(item.scalar), "parameter of the network") for item in shared.items] if shared else []
    entry = root.at(path[: len(scope) + 2]) if root is not None else None
    has_index = entry is not None and entry.member("repeat") is not None
    return [*names, *([OfferedName("index", "number of the repetition, from 0")] if has_index else [])]


def _metrics(document: Document, check: SpecCheck | None, path: JsonPath) -> list[OfferedName]:
    """The losses and metrics that training reports."""
    root, metrics = document.tree, ["loss"]
    for key in ("metrics", "weighted_metrics"):
        section = root.at(("training", key)) if root is not None else None
        lists: list[tuple[str, Node | None]] = [("", section)] if section is not None else []
        lists += [(f"{member.name}_", member.value) for member in section.members] if section is not None else []
        for prefix, node in lists:
            names = (item.text("type") or item.scalar for item in (node.items if node is not None else []))
            metrics += [f"{prefix}{name}" for name in names if isinstance(name, str)]
    return [OfferedName(f"{prefix}{name}", "figure") for name in metrics for prefix in ("val_", "")]


def _globals(document: Document, check: SpecCheck | None, path: JsonPath) -> list[OfferedName]:
    return network_parameters(document)


Names = Callable[[Document, SpecCheck | None, JsonPath], Iterable[OfferedName]]

_NAMED_PLACES: tuple[tuple[str, Names], ...] = (
    ("layers.*.from.?", values_in_scope),
    ("layers.*.use", layer_names),
    ("layers.*.carry.?", _carried_results),
    ("outputs.?", layer_names),
    ("globals.?", _globals),
    ("labels.*", _outputs),
    ("training.loss.*", _outputs),
    ("training.loss_weights.*", _outputs),
    ("training.metrics.*", _outputs),
    ("training.weighted_metrics.*", _outputs),
    ("training.target.normalize.*", _outputs),
    ("training.target.transform.*", _outputs),
    ("training.data.y.*", _outputs),
    ("training.data.sample_weight.*", _outputs),
    ("training.data.x.*", _inputs),
    ("training.freeze.*", layer_names),
    ("training.weights.layers.*", layer_names),
    ("training.learning_rates.*", layer_names),
    ("training.early_stopping.monitor", _metrics),
    ("training.reduce_on_plateau.monitor", _metrics),
    ("training.checkpoint.monitor", _metrics),
    ("sweep.metric", _metrics),
    ("lint.ignore.*.layers.*", layer_names),
)
"""Where names may stand, in a scope: paths, in which `*` is any step, and `?` an item, a key, or nothing."""
