"""A model file's signature, versions and contents, as text and as a document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .diagnostics import counted, visible
from .tables import shape_in_keras_manner

if TYPE_CHECKING:
    from ..interop.model_info import Inspection
    from ..interop.onnx_reader import Typed

SHOWN = 12
"""Labels and operators shown of many."""


def inspection_text(of: Inspection) -> str:
    """For people."""
    facts = of.facts
    rows = [
        ("model", _plain(facts.name)),
        *_types("inputs", facts.inputs, {}),
        *_types("outputs", facts.outputs, of.labels),
        ("parameters", f"{of.parameters:,}"),
        ("nodes", f"{facts.operators.total():,}{_operators(facts.operators)}"),
        ("size", f"{facts.size:,} bytes"),
        ("made by", " ".join(filter(None, (_plain(facts.producer) or "?", _plain(facts.producer_version))))),
        ("versions", ", ".join([f"IR {facts.ir_version}", *_opsets(facts.opsets)])),
        ("needs", _plain(facts.metadata.get("jsonnx.needs", ""))),
        ("functions", _some(facts.functions)),
        ("weights in", _some(facts.external)),
        ("spec", _spec(of)),
    ]
    return "\n".join(f"{title:12}{text}" for title, text in rows if text)


def inspection_json(of: Inspection) -> dict[str, Any]:
    """For programs: everything that the file says of itself."""
    facts = of.facts
    told = {key: text for key, text in facts.metadata.items() if key not in ("jsonnx.spec", "jsonnx.labels")}
    spec = {"name": of.spec.value.get("name"), "sha256": of.hash, "unchanged": of.is_unchanged} if of.is_ours else None  # type: ignore[union-attr]
    return {
        "file": of.file,
        "bytes": facts.size,
        "name": facts.name,
        "inputs": {name: _json_type(type) for name, type in facts.inputs.items()},
        "outputs": {name: _json_type(type) for name, type in facts.outputs.items()},
        "labels": of.labels,
        "parameters": of.parameters,
        "nodes": facts.operators.total(),
        "operators": dict(facts.operators.most_common()),
        "functions": facts.functions,
        "external_data": facts.external,
        "producer": {"name": facts.producer, "version": facts.producer_version},
        "ir_version": facts.ir_version,
        "opsets": {domain or "ai.onnx": version for domain, version in facts.opsets.items()},
        "jsonnx": facts.metadata.get("jsonnx.version"),
        "spec": spec,
        "metadata": told,
    }


def _types(title: str, types: Mapping[str, Typed], labels: Mapping[str, list[str]]) -> list[tuple[str, str]]:
    rows = []
    for index, (name, type) in enumerate(types.items()):
        shape = "" if type.shape is None else f" {shape_in_keras_manner(type.shape)}"
        named = f"   {_some(labels[name])}" if name in labels else ""
        rows.append(("" if index else title, _plain(f"{name}  {type.dtype}{shape}{named}")))
    return rows


def _json_type(type: Typed) -> dict[str, Any]:
    return {"dtype": type.dtype, "shape": None if type.shape is None else list(type.shape)}


def _operators(operators: Mapping[str, int]) -> str:
    most = sorted(operators.items(), key=lambda item: (-item[1], item[0]))
    return f": {_some([f'{count:,} {op}' for op, count in most])}" if most else ""


def _opsets(opsets: Mapping[str, int]) -> Iterable[str]:
    return (f"opset {version}" + (f" of {_plain(domain)}" if domain else "") for domain, version in opsets.items())


def _some(words: list[str]) -> str:
    more = f" and {len(words) - SHOWN:,} more" if len(words) > SHOWN else ""
    return _plain(", ".join(words[:SHOWN]) + more)


def _plain(text: str) -> str:
    return visible(text if len(text) <= 1000 else f"{text[:1000]}...")


def _spec(of: Inspection) -> str:
    if not of.is_ours:
        return "none: jsonnx did not make this model"
    name = _plain(str(of.spec.value.get("name", "model")))  # type: ignore[union-attr]
    layers = of.spec.value.get("layers")  # type: ignore[union-attr]
    size = counted(len(layers), "layer") if isinstance(layers, list) else "no layers"
    state = "unchanged" if of.is_unchanged else "changed after compiling"
    return f"{name}, {size}, {state} (sha256 {_plain(of.hash[:12])})"
