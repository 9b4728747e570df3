"""A model file's signature, versions and contents, as text and as JSON values."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.files.digests import CONTENT_DIGEST_KEY, DIGEST_KEYS, records_digests
from ...core.invisible_characters import escape_invisible
from ...core.limits import bytes_text
from ...core.quantities import count_text
from ...core.signature.thresholds import by_label, threshold_text
from .shape_text import keras_shape_text

if TYPE_CHECKING:
    from ...interop.model_info import ModelInfo
    from ...interop.onnx_reader import OnnxFile, OnnxType

MAX_ITEMS_SHOWN = 12
"""Labels, or operators, that a line shows."""


def inspection_text(inspection: ModelInfo) -> str:
    """The description as text."""
    facts = inspection.onnx_file
    rows = [
        ("model", _safe_text(facts.name)),
        *_type_rows("inputs", facts.inputs, {}),
        *_type_rows("outputs", facts.outputs, inspection.labels),
        ("threshold", _safe_text(", ".join(_threshold_texts(inspection)))),
        ("parameters", f"{inspection.parameter_count:,}"),
        ("nodes", f"{facts.operator_counts.total():,}{_operators_text(facts.operator_counts)}"),
        ("size", f"{facts.size_bytes:,} bytes"),
        ("weights", _weights_text(facts.weight_bytes)),
        ("quantized", _quantization_text(inspection)),
        ("made by", " ".join(filter(None, (_safe_text(facts.producer) or "?", _safe_text(facts.producer_version))))),
        ("versions", ", ".join([*_format_texts(facts), *_opset_texts(facts.opsets)])),
        ("needs", _safe_text(facts.metadata.get("jsonnx.needs", ""))),
        ("functions", _truncated_list(facts.functions)),
        ("weights in", _truncated_list([*map(_sized, inspection.weight_files)])),
        ("digest", _digest_text(inspection)),
        ("spec", _spec_text(inspection)),
    ]
    return "\n".join(f"{title:12}{text}" for title, text in rows if text)


def _threshold_texts(inspection: ModelInfo) -> list[str]:
    """The threshold of each output, or those of its labels."""
    return [
        escape_invisible(f"{name} {threshold_text(value, inspection.labels.get(name, []), '.6g', MAX_ITEMS_SHOWN)}")
        for name, value in inspection.thresholds.items()
    ]


def inspection_json(inspection: ModelInfo) -> dict[str, Any]:
    """The description as JSON values, with all metadata."""
    facts = inspection.onnx_file
    shown_elsewhere = (
        *("jsonnx.spec", "jsonnx.labels", "jsonnx.thresholds", "jsonnx.target_statistics", "jsonnx.quantization"),
        *DIGEST_KEYS,
    )
    metadata = {key: text for key, text in facts.metadata.items() if key not in shown_elsewhere}
    digest = (
        {"recorded": facts.metadata.get(CONTENT_DIGEST_KEY), "matches": inspection.matches_digest}
        if records_digests(facts.metadata)
        else None
    )
    spec = (
        {
            "name": inspection.spec.value.get("name"),  # type: ignore[union-attr]
            "sha256": inspection.recorded_hash,
            "unchanged": inspection.is_unchanged,
        }
        if inspection.has_spec
        else None
    )
    return {
        "file": inspection.file,
        "bytes": facts.size_bytes,
        "name": facts.name,
        "inputs": {name: _json_type(type) for name, type in facts.inputs.items()},
        "outputs": {name: _json_type(type) for name, type in facts.outputs.items()},
        "labels": inspection.labels,
        "thresholds": _thresholds_json(inspection),
        "parameters": inspection.parameter_count,
        "weight_bytes": facts.weight_bytes,
        "quantization": inspection.quantization,
        "nodes": facts.operator_counts.total(),
        "operators": dict(facts.operator_counts.most_common()),
        "functions": facts.functions,
        "external_data": facts.external_files,
        "producer": {"name": facts.producer, "version": facts.producer_version},
        "ort_format": facts.ort_format or None,
        "ir_version": facts.ir_version,
        "opsets": {domain or "ai.onnx": version for domain, version in facts.opsets.items()},
        "jsonnx": facts.metadata.get("jsonnx.version"),
        "digest": digest,
        "spec": spec,
        "metadata": metadata,
    }


def _thresholds_json(inspection: ModelInfo) -> dict[str, Any]:
    """The threshold of each output, or those by label."""
    return {
        name: by_label(value, inspection.labels.get(name) or [*map(str, range(len(value)))])
        if isinstance(value, tuple)
        else value
        for name, value in inspection.thresholds.items()
    }


def _type_rows(title: str, types: Mapping[str, OnnxType], labels: Mapping[str, list[str]]) -> list[tuple[str, str]]:
    rows = []
    for index, (name, type) in enumerate(types.items()):
        shape = "" if type.shape is None else f" {keras_shape_text(type.shape)}"
        label_list = f"   {_truncated_list(labels[name])}" if name in labels else ""
        rows.append(("" if index else title, _safe_text(f"{name}  {type.dtype}{shape}{label_list}")))
    return rows


def _json_type(type: OnnxType) -> dict[str, Any]:
    return {"dtype": type.dtype, "shape": None if type.shape is None else list(type.shape)}


def _operators_text(operators: Mapping[str, int]) -> str:
    by_count = sorted(operators.items(), key=lambda item: (-item[1], item[0]))
    return f": {_truncated_list([f'{count:,} {op}' for op, count in by_count])}" if by_count else ""


def _format_texts(facts: OnnxFile) -> Iterable[str]:
    if facts.ort_format:
        yield f"ORT format {_safe_text(facts.ort_format)}"
    yield f"IR {facts.ir_version}"


def _weights_text(weight_bytes: Mapping[str, int]) -> str:
    return ", ".join(f"{dtype} {bytes_text(size)}" for dtype, size in weight_bytes.items())


def _quantization_text(inspection: ModelInfo) -> str:
    """What the metadata say of the quantization, as `key value` if it is an object of JSON."""
    facts = inspection.quantization
    if facts is None:
        return ""
    if not isinstance(facts, dict):
        return _safe_text(json.dumps(facts))
    words = (f"{key} {value if isinstance(value, str) else json.dumps(value)}" for key, value in facts.items())
    return _safe_text(", ".join(words))


def _opset_texts(opsets: Mapping[str, int]) -> Iterable[str]:
    return (f"opset {version}" + (f" of {_safe_text(domain)}" if domain else "") for domain, version in opsets.items())


def _sized(file: Path) -> str:
    """The name of a file with its size; the name alone if there is no file."""
    return f"{file.name} ({os.path.getsize(file):,} bytes)" if os.path.isfile(file) else file.name


def _truncated_list(words: list[str]) -> str:
    more = f" and {len(words) - MAX_ITEMS_SHOWN:,} more" if len(words) > MAX_ITEMS_SHOWN else ""
    return _safe_text(", ".join(words[:MAX_ITEMS_SHOWN]) + more)


def _safe_text(text: str) -> str:
    return escape_invisible(text if len(text) <= 1000 else f"{text[:1000]}...")


def _digest_text(inspection: ModelInfo) -> str:
    if not records_digests(inspection.onnx_file.metadata):
        return "none: damage to the file cannot be detected"
    if inspection.matches_digest is None:
        return "unknown: the weights cannot be read"
    return "matches the contents" if inspection.matches_digest else "does not match the contents"


def _spec_text(inspection: ModelInfo) -> str:
    if not inspection.has_spec:
        is_ours = inspection.onnx_file.producer == "jsonnx"
        return "none: model.onnx beside a training step has it" if is_ours else "none: jsonnx did not make this model"
    name = _safe_text(str(inspection.spec.value.get("name", "model")))  # type: ignore[union-attr]
    layers = inspection.spec.value.get("layers")  # type: ignore[union-attr]
    size = count_text(len(layers), "layer") if isinstance(layers, list) else "no layers"
    state = "unchanged" if inspection.is_unchanged else "changed after compiling"
    return f"{name}, {size}, {state} (sha256 {_safe_text(inspection.recorded_hash[:12])})"
