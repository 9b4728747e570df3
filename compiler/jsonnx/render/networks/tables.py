"""Tables: a network's layers and their cost, providers, weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...ir.polynomial import Polynomial
from ..text.text_table import TextTable
from .descriptions import definitions_json, descriptions_text, output_descriptions
from .precision_table import precision_json, precision_text
from .shape_text import keras_shape_text
from .summary_rows import SummaryRow, summary_rows

if TYPE_CHECKING:
    from ...analysis.activation_memory import ActivationPeak
    from ...core.types import TensorType
    from ...frontend.network import Network
    from ...lowering.cost import LayerCost
    from ...lowering.dropped_layers import DroppedLayer
    from ...lowering.module_costs import ModuleCost
    from ...lowering.precision_cost import PrecisionCost
    from ...runtime.execution.step_memory import TrainingEstimate
    from ...runtime.providers.provider_availability import Availability
    from ...runtime.session.weight_files import WeightsReport

BYTES_PER_WEIGHT = 4
"""Weights are float32."""


def summary_text(
    network: Network,
    rows: Sequence[LayerCost],
    color: bool = False,
    depth: int | None = None,
    width: int | None = None,
    with_descriptions: bool = False,
    peak: ActivationPeak | None = None,
    dropped: Sequence[DroppedLayer] = (),
    estimate: TrainingEstimate | None = None,
    precision: PrecisionCost | None = None,
) -> str:
    """One row a layer, and the totals. The layers of a block are indented under a row for the block, down to `depth`.

    If the network has frozen layers or masks, a column shows them. `with_descriptions` adds a column and lists of the
    descriptions in the spec. Cells of a table that is wider than `width` are wrapped.
    """
    lines, previous = summary_rows(rows, depth), [*network.inputs][:1]
    has_notes, descriptions = any(map(_row_notes, lines)), network.descriptions
    further_titles = [*(["notes"] if has_notes else []), *(["description"] if with_descriptions else [])]
    titles = ("layer", "type", "output shape", "parameters", "multiply-adds", "from", *further_titles)
    table = TextTable(titles, right=(3, 4))
    references = _ReferenceNames(network, lines)
    for line in lines:
        row = line.rows[-1]
        shapes = "" if line.module else "\n".join(keras_shape_text(type.shape) for type in row.outputs)
        sources = [references.name(source) for source in line.sources]
        is_shown = sources != previous and (line.is_collapsed or not line.is_block) and line.module is None
        name = f"{'  ' * line.nesting_level}{line.name}"
        notes = [_row_notes(line)] if has_notes else []
        notes += [descriptions.get(line.name, "")] if with_descriptions else []
        counts = (f"{line.parameters:,}", _count_text(line.macs))
        table.add_row(name, line.type, shapes, *counts, (", ".join(sources) or "(none)") if is_shown else "", *notes)
        if line.module is None and (line.is_collapsed or not line.is_block):
            previous = [line.name]
    inputs = ", ".join(f"{name} {_type_text(type)}" for name, type in network.inputs.items())
    outputs = ", ".join(f"{name} {_type_text(type)}" for name, type in _output_types(network, rows).items())
    title = f"{network.name}: {inputs} -> {outputs}"
    text = [title, "", table.text(color, width), "", *_total_lines(rows, peak)]
    text += ["", precision_text(precision, color, width)] if precision is not None else []
    text += [*_estimate_lines(estimate, color, width), *_dropped_lines(dropped, color, width)]
    if with_descriptions:
        text += ["", descriptions_text(network)]
    return "\n".join(text).rstrip()


def _dropped_lines(dropped: Sequence[DroppedLayer], color: bool, width: int | None) -> list[str]:
    """A table of the layers that are left out."""
    if not dropped:
        return []
    table = TextTable(("left out, since nothing uses it", "type", "parameters"), right=(2,))
    for layer in dropped:
        table.add_row(layer.name, layer.type, f"{layer.parameters:,}")
    return ["", table.text(color, width)]


def _total_lines(rows: Sequence[LayerCost], peak: ActivationPeak | None) -> list[str]:
    """The lines below the table of layers: totals, and the operators that only onnxruntime has."""
    total, operators = _totals(rows), _nonstandard_operators(rows)
    compiled = total.get("compiled_parameters")
    return [
        f"parameters      {total['parameters']:,}",
        f"trainable       {total['trainable']:,}",
        f"non-trainable   {total['non_trainable']:,}",
        *([f"compiled model  {compiled:,} parameters, the others are for training"] if compiled is not None else []),
        f"multiply-adds   {_count_text(_total_macs(rows))} a sample",
        f"weights         {total['megabytes']:.2f} MB",
        *([f"activations     {peak.total / 1e6:.2f} MB a sample at most, at {peak.layer}"] if peak else []),
        *([f"needs           onnxruntime: no other runtime has its {', '.join(operators)}"] if operators else []),
    ]


class _ReferenceNames:
    """The names of values in a summary: an output of a block whose layers are hidden has its name in the spec."""

    def __init__(self, network: Network, lines: Iterable[SummaryRow]) -> None:
        self._outputs = network.block_outputs
        self._block_by_layer = {row.name: line.name for line in lines if line.is_collapsed for row in line.rows}

    def name(self, value: str) -> str:
        """The name of a value as in a `from`: `down`, `down.skip`, or the layer's if it is no output of a block."""
        block = self._block_by_layer.get(value.partition(".")[0])
        outputs = self._outputs.get(block, {}) if block else {}
        if block is None or value not in outputs:
            return value
        return block if outputs[value] == next(iter(outputs.values())) else f"{block}.{outputs[value]}"


def _row_notes(line: SummaryRow) -> str:
    if line.module:
        return _module_notes(line.module)
    return _block_notes(line.rows) if line.is_block else _layer_notes(line.rows[-1])


def _module_notes(module: ModuleCost) -> str:
    """Whether weights of a module are frozen."""
    if module.trainable == module.learnable:
        return ""
    return f"{module.trainable:,} of {module.learnable:,} train" if module.trainable else "frozen"


def _layer_notes(row: LayerCost) -> str:
    """Whether a layer is frozen or only in training, and its effect on masks."""
    notes = [*(["frozen"] if row.frozen else []), *(["training only"] if row.is_training_only else [])]
    reads = row.reads_masks and bool(row.masked_inputs)
    notes += ["reads the mask"] if reads else []
    if row.mask is not None:
        notes.append("masked" if row.masked_inputs else "makes a mask")
    elif row.masked_inputs and not reads:
        notes.append("ends the mask")
    return ", ".join(notes)


def _block_notes(rows: Sequence[LayerCost]) -> str:
    """Whether all layers of a block that have trainable weights are frozen."""
    learnable = [row for row in rows if row.frozen or row.trainable]
    return "frozen" if learnable and all(row.frozen for row in learnable) else ""


def _nonstandard_operators(rows: Sequence[LayerCost]) -> list[str]:
    """The operators that ONNX does not define."""
    return sorted({op for row in rows for op in row.onnxruntime_ops})


def summary_json(
    network: Network,
    rows: Sequence[LayerCost],
    depth: int | None = None,
    peak: ActivationPeak | None = None,
    dropped: Sequence[DroppedLayer] = (),
    estimate: TrainingEstimate | None = None,
    precision: PrecisionCost | None = None,
) -> dict[str, Any]:
    """The summary as JSON values. A symbolic size is its name; a sum with one is null beside a formula."""
    lines = summary_rows(rows, depth)
    operators, descriptions = _nonstandard_operators(rows), network.descriptions
    layers = [_json_layer(line.rows[0]) for line in lines if not line.is_block and not line.module]
    blocks = [_json_block(line) for line in lines if line.is_block]
    inputs = {name: _json_type(type) for name, type in network.inputs.items()}
    outputs = {name: _json_type(type) for name, type in _output_types(network, rows).items()}
    return {
        "name": network.name,
        "inputs": {name: _with_description(type, descriptions, name) for name, type in inputs.items()},
        "outputs": {
            name: _with_description(type, output_descriptions(network), name) for name, type in outputs.items()
        },
        "layers": [_with_description(layer, descriptions, layer["name"]) for layer in layers],
        "blocks": [_with_description(block, descriptions, block["name"]) for block in blocks],
        **({"dropped": [_json_dropped(layer) for layer in dropped]} if dropped else {}),
        **definitions_json(network),
        "totals": _totals(rows) | {"activation_bytes": peak.total if peak else None},
        **({"training_memory": _estimate_json(estimate)} if estimate else {}),
        **({"quantization": precision_json(precision)} if precision else {}),
        **({"needs_onnxruntime": operators} if operators else {}),
    }


def _estimate_lines(estimate: TrainingEstimate | None, color: bool, width: int | None) -> list[str]:
    """A table of what takes the memory of a training process."""
    if estimate is None:
        return []
    sizes = ", ".join(f"{name}={size}" for name, size in estimate.sizes.items())
    table = TextTable((f"training with {sizes}", "MB"), right=(1,))
    for name, size in {**estimate.memory.parts, "together": estimate.memory.total}.items():
        table.add_row(name, f"{size / 1e6:,.0f}")
    return ["", table.text(color, width)]


def _estimate_json(estimate: TrainingEstimate) -> dict[str, Any]:
    return {"sizes": dict(estimate.sizes), "bytes": estimate.memory.parts, "total_bytes": estimate.memory.total}


def _json_dropped(layer: DroppedLayer) -> dict[str, Any]:
    blocks = [name for name, _ in layer.block_path]
    return {"name": layer.name, "type": layer.type, "parameters": layer.parameters, "blocks": blocks}


def _with_description(part: dict[str, Any], descriptions: Mapping[str, str], name: str) -> dict[str, Any]:
    return part | ({"description": descriptions[name]} if name in descriptions else {})


def _json_layer(row: LayerCost) -> dict[str, Any]:
    return {
        "name": row.name,
        "type": row.type,
        "from": list(row.sources),
        "outputs": [_json_type(type) for type in row.outputs],
        "parameters": row.parameters,
        "trainable": row.trainable,
        "frozen": row.frozen,
        "training_only": row.is_training_only,
        **_json_macs(row.macs),
        "blocks": [name for name, _ in row.block_path],
        **({"modules": [_json_module(module) for module in row.modules]} if row.modules else {}),
        "masked_inputs": list(row.masked_inputs),
        "reads_masks": row.reads_masks,
        "mask": _json_type(row.mask) if row.mask else None,
    }


def _json_module(module: ModuleCost) -> dict[str, Any]:
    return {
        "path": module.path,
        "parameters": module.parameters,
        "trainable": module.trainable,
        "operators": dict(sorted(module.operators.items())),
        **_json_macs(module.macs),
    }


def _json_block(line: SummaryRow) -> dict[str, Any]:
    return {
        "name": line.name,
        "type": line.type,
        "from": line.sources,
        "blocks": [name for name, _ in line.rows[0].block_path[: line.nesting_level]],
        "layers": len(line.rows),
        "parameters": line.parameters,
        "trainable": line.trainable,
        "frozen": bool(_block_notes(line.rows)),
        **_json_macs(line.macs),
    }


def providers_text(rows: Iterable[Availability], color: bool = False, width: int | None = None) -> str:
    """The providers that can run here, and how to install the others."""
    table = TextTable(["provider", "here", "how to get it", "in onnxruntime"])
    for row in rows:
        table.add_row(row.name, "yes" if row.available else "no", "" if row.available else row.how, row.full)
    return table.text(color, width)


def weights_text(report: WeightsReport, color: bool = False, width: int | None = None) -> str:
    """The number of weights taken, and a row for each weight that was not taken and each unexpected array."""
    table = TextTable(["weight", "wanted", "given", "why not taken"])
    for name, type in report.wanted.items():
        shape = keras_shape_text(type.shape)
        if name in report.unfit:
            given_shape = keras_shape_text(report.given[name]) if name in report.given else "-"
            table.add_row(name, shape, given_shape, report.unfit[name])
        elif name in report.missing:
            table.add_row(name, shape, "-", _with_suggestion("not given", report, name))
    for name in report.extra:
        table.add_row(name, "-", keras_shape_text(report.given[name]), _with_suggestion("no such weight", report, name))
    title = f"weights: {len(report.taken)} of {len(report.wanted)} taken, the others drawn from the seed"
    return f"{title}\n\n{table.text(color, width)}\n"


MAX_NAME_COMPARISONS = 100_000
"""Pairs of names that are compared to find a suggestion."""


def _with_suggestion(reason: str, report: WeightsReport, name: str) -> str:
    near = report.suggest(name) if len(report.wanted) * len(report.given) < MAX_NAME_COMPARISONS else None
    return f"{reason}; {near}" if near else reason


def _type_text(type: TensorType) -> str:
    return f"{type.dtype} {keras_shape_text(type.shape)}"


def _output_types(network: Network, rows: Sequence[LayerCost]) -> dict[str, TensorType]:
    pairs = zip(network.calls, rows, strict=True)
    types = {name: type for call, row in pairs for name, type in zip(call.results, row.outputs, strict=True)}
    return {name: types[name] for name in network.inference_outputs}


def _json_type(type: TensorType) -> dict[str, Any]:
    return {"dtype": type.dtype, "shape": [size if isinstance(size, int) else str(size) for size in type.shape]}


def _totals(rows: Sequence[LayerCost]) -> dict[str, Any]:
    parameters, trainable = sum(row.parameters for row in rows), sum(row.trainable for row in rows)
    compiled = sum(row.compiled_parameters for row in rows)
    return {
        "parameters": parameters,
        "trainable": trainable,
        "non_trainable": parameters - trainable,
        **({"compiled_parameters": compiled} if compiled != parameters else {}),
        **_json_macs(_total_macs(rows)),
        "megabytes": parameters * BYTES_PER_WEIGHT / 1e6,
    }


def _total_macs(rows: Iterable[LayerCost]) -> Polynomial:
    return sum((row.macs for row in rows), Polynomial())


def _json_macs(macs: Polynomial) -> dict[str, Any]:
    """The number of multiply-adds, or null and a formula in the symbolic sizes."""
    formula = {"multiply_adds_formula": str(macs)} if macs.constant is None else {}
    return {"multiply_adds": macs.constant, **formula}


def _count_text(count: Polynomial) -> str:
    return str(count) if count.constant is None else f"{count.constant:,}"
