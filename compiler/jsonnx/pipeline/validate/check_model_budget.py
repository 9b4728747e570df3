"""Compares a compiled model with the budget of its spec: the bytes of its file, its opset and operators of targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...backend.opset import MIN_OPSET, lowest_node_opset
from ...core.diagnostics import Diagnostic, JsonPath, Report, path_text
from ...ir import Graph, Node
from ...placement import kernel_table
from ..check.budget import Budget, budget_of
from ..check.check import CheckedSpec
from ..compile.check_budget import MAX_SHOWN_LAYERS
from ..compile.model import Model
from ..compile.target_forms import write_for_target
from ..run.place_nodes import Subject, place_by_table

MAX_SHOWN_REASONS = 4

SMALLER_MODEL_HELP = "see docs/guides/deploy/smaller-models.md for models with weights of 16 or 8 bits"


def check_model_budget(checked: CheckedSpec, model: Model, overrides: Mapping[str, Any] = {}) -> list[Diagnostic]:
    """The limits on the model that it exceeds. `overrides` are limits by key of the budget that options gave."""
    budget = budget_of(checked, overrides)
    report = checked.new_report()
    if "model_bytes" in budget.limits:
        _check_bytes(model, budget, report)
    if "opset" in budget.limits:
        _check_opset(model, budget, report)
    for index, target in enumerate(budget.limits.get("targets", ())):
        _check_kernels(model, target, index, budget, report)
    return [*report]


def _check_bytes(model: Model, budget: Budget, report: Report) -> None:
    limit, size = budget.limits["model_bytes"], model.size_bytes
    if size > limit:
        message = f"the model has {size:,} bytes, {budget.limit_text('model_bytes')} {limit:,}"
        weights = {row.name: row.parameters for row in model.rows() if row.parameters}
        largest = sorted(weights.items(), key=lambda item: -item[1])[:MAX_SHOWN_LAYERS]
        paths = model.network.paths
        notes = [(paths[name], f"{name!r} has {count:,} parameters") for name, count in largest if name in paths]
        expected, found = f"at most {limit:,}", f"{size:,}"
        path, help = budget.path("model_bytes"), SMALLER_MODEL_HELP
        report.add("over-budget", path, message, notes=notes, help=help, expected=expected, found=found)


def _check_opset(model: Model, budget: Budget, report: Report) -> None:
    limit, opset = budget.limits["opset"], model.opset
    if opset > limit:
        graph = write_for_target(model.optimized_graph, model.target)
        later = [(node.path, node.op) for node in _nodes(graph) if lowest_node_opset(node) > limit]
        message = f"the model needs opset {opset}, {budget.limit_text('opset')} {limit}"
        if limit < MIN_OPSET:
            help = f"jsonnx writes opset {MIN_OPSET} or later"
            report.add("over-budget", budget.path("opset"), message, help=help)
        else:
            report.add("over-budget", budget.path("opset"), message, notes=_operator_notes(later))


def _nodes(graph: Graph) -> Iterable[Node]:
    """The nodes of a graph and of the bodies of its loops and conditionals, at the paths of the nodes around them."""
    pending = list(graph.nodes)
    while pending:
        node = pending.pop()
        yield node
        pending += [inner for body in node.bodies.values() for inner in body.nodes]


def _operator_notes(operators: Sequence[tuple[JsonPath, str]]) -> list[tuple[JsonPath, str]]:
    """A note for each of the first layers, with its operators."""
    by_layer: dict[JsonPath, Counter[str]] = {}
    for path, op in operators:
        by_layer.setdefault(path, Counter())[op] += 1
    first = sorted(by_layer.items(), key=lambda item: tuple(map(str, item[0])))[:MAX_SHOWN_LAYERS]
    return [(path, f"needs it for {', '.join(sorted(counts))}") for path, counts in first if path]


def _check_kernels(model: Model, target: str, index: int, budget: Budget, report: Report) -> None:
    """Reports the operators that have no kernel on a target, in the form of the model that `compile --for` it has."""
    table = kernel_table(target)
    assert table is not None  # the schema lists only targets with a table
    placed = place_by_table([Subject("model", model.optimized_graph)], table, {}).models[0].placement
    if not placed.missing:
        return
    counts = Counter(missing.reason for missing in placed.missing)
    shown = counts.most_common(MAX_SHOWN_REASONS)
    reasons = ", ".join(f"{reason} ({count} times)" if count > 1 else reason for reason, count in shown)
    message = f"{target} lacks kernels for {len(placed.missing)} of {placed.nodes} operators of the model: {reasons}"
    by_path: dict[str, set[str]] = {}
    for missing in placed.missing:
        by_path.setdefault(missing.path, set()).add(missing.op)
    paths = {path_text(call.path): call.path for call in model.network.calls}
    notes = [(paths[text], f"has {', '.join(sorted(ops))}") for text, ops in by_path.items() if text in paths]
    path = budget.path("targets")
    help = f"onnxruntime {table.runtime_version} runs them on the CPU; `jsonnx providers --provider {target}` lists all"
    report.add("missing-kernel", (*path, index) if path else (), message, help=help, notes=notes[:MAX_SHOWN_LAYERS])
