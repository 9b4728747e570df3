"""Compares the cost of a network with its budget: parameters, multiply-adds and the memory of its layers' values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...analysis.activation_memory import ActivationPeak, activation_peak, symbolic_sizes, with_sizes
from ...analysis.layer_costs import formula_costs
from ...core.diagnostics import CompileError, Diagnostic, JsonPath, Report, quoted_or_list
from ...core.types import ShapeError
from ...sections.budget_section import BUDGET_KEY
from ..check.budget import Budget, budget_of
from ..check.check import CheckedSpec

if TYPE_CHECKING:
    from ...analysis.shape_inference import TypedNetwork

MAX_SHOWN_LAYERS = 3
"""The layers with the largest shares that a diagnostic names."""

OVER_BUDGET = "over-budget"


def check_budget(checked: CheckedSpec, overrides: Mapping[str, Any] = {}) -> list[Diagnostic]:
    """Errors for the limits that the network exceeds. `overrides` are limits by key of the budget that options gave.

    A spec with errors has no cost, and gets no diagnostics here. Only limits on parameters and multiply-adds of a
    network with a layer that has no formula import onnx. The errors of a network that cannot be lowered are returned.
    """
    if checked.typed_network is None or any(item.severity == "error" for item in checked.diagnostics):
        return []
    budget = budget_of(checked, overrides)
    report = checked.new_report()
    _check_size_names(checked.typed_network, budget, report)
    if not budget.limits_network or report.has_errors():
        return [*report]
    try:
        typed = with_sizes(checked.typed_network, budget.sizes)
    except ShapeError as error:
        report.add("shape-mismatch", (BUDGET_KEY, "sizes"), f"with the sizes of the budget, {error.message}")
        return [*report]
    if {"parameters", "multiply_adds"} & budget.limits.keys():
        try:
            _check_layer_costs(checked, typed, budget, report)
        except CompileError as error:
            return error.diagnostics
    if "activation_memory" in budget.limits:
        _check_memory(typed, budget, report)
    return [*report]


def memory_peak(checked: CheckedSpec) -> ActivationPeak | None:
    """The peak of the memory of a valid spec's values for one sample; None if it depends on symbolic sizes."""
    return activation_peak(checked.require())


def _check_size_names(typed: TypedNetwork, budget: Budget, report: Report) -> None:
    """Reports sizes of the budget that no input has."""
    names = symbolic_sizes(typed)
    for name in budget.sizes:
        if name not in names:
            path: JsonPath = (BUDGET_KEY, "sizes", name)
            known = f"the inputs have the symbolic sizes {quoted_or_list(names)}" if names else "no size is symbolic"
            help = report.suggestion(name, names) or known
            report.add("unknown-name", path, f"no input has a size {name!r}", help=help, at_key=True)


def _check_layer_costs(checked: CheckedSpec, typed: TypedNetwork, budget: Budget, report: Report) -> None:
    parameters, macs = _layer_costs(checked, typed, budget)
    if (limit := budget.limits.get("parameters")) is not None and sum(parameters.values()) > limit:
        has_all = typed.network.inference_calls == typed.network.calls
        text = f"the {'network' if has_all else 'compiled model'} has {sum(parameters.values()):,} parameters"
        _report_excess("parameters", text, limit, parameters, typed, budget, report)
    if (limit := budget.limits.get("multiply_adds")) is not None:
        known = {name: count for name, count in macs.items() if count is not None}
        if sum(known.values()) > limit:
            least = "" if len(known) == len(macs) else "at least "
            text = f"the network computes {least}{sum(known.values()):,} multiply-adds for a sample"
            _report_excess("multiply_adds", text, limit, known, typed, budget, report)
        elif len(known) < len(macs):
            _report_unknown("multiply_adds", "the number of multiply-adds", typed, budget, report)


def _layer_costs(
    checked: CheckedSpec, typed: TypedNetwork, budget: Budget
) -> tuple[dict[str, int], dict[str, int | None]]:
    """Parameters and multiply-adds of the compiled model by layer; multiply-adds are None where they depend on symbolic
    sizes."""
    formulas = formula_costs(typed)
    if formulas is not None:
        return {name: cost.parameters for name, cost in formulas.items()}, {
            name: cost.macs for name, cost in formulas.items()
        }
    from ...lowering.cost import cost_table
    from .graphs import costed_graph

    if budget.sizes:
        checked = checked._replace(typed_network=typed, lowered=None)
    rows = cost_table(typed, costed_graph(checked))
    return {row.name: row.compiled_parameters for row in rows}, {row.name: row.macs.constant for row in rows}


def _check_memory(typed: TypedNetwork, budget: Budget, report: Report) -> None:
    limit, key = budget.limits["activation_memory"], "activation_memory"
    peak = activation_peak(typed, budget.batch_size)
    if peak is None:
        _report_unknown(key, "the memory of the layers' values", typed, budget, report)
    elif peak.total > limit:
        batch = "a sample" if budget.batch_size == 1 else f"{budget.batch_size:,} samples"
        text = f"while {peak.layer!r} runs, the layers' values take {peak.total:,} bytes for {batch}"
        _report_excess(key, text, limit, peak.values, typed, budget, report)


def _report_excess(
    key: str, text: str, limit: int, shares: Mapping[str, int], typed: TypedNetwork, budget: Budget, report: Report
) -> None:
    """Reports an exceeded limit, with notes at the layers (or inputs) that take most of it."""
    total = sum(shares.values())
    largest = sorted(shares.items(), key=lambda item: -item[1])[:MAX_SHOWN_LAYERS]
    paths = typed.network.paths
    notes = [
        (paths[name], f"{name!r} takes {share:,} of them ({100 * share / total:.0f} %)")
        for name, share in largest
        if share and name in paths
    ]
    message, found = f"{text}, {budget.limit_text(key)} {limit:,}", f"{total:,}"
    report.add("over-budget", budget.path(key), message, notes=notes, expected=f"at most {limit:,}", found=found)


def _report_unknown(key: str, subject: str, typed: TypedNetwork, budget: Budget, report: Report) -> None:
    """Reports a limit that cannot be compared, since the cost depends on symbolic sizes."""
    names = [name for name in symbolic_sizes(typed) if name not in budget.sizes]
    if names:
        sizes = ", ".join(f'"{name}": 100' for name in names)
        message = f"{subject} depends on {quoted_or_list(names)}, which the budget does not give"
        help = f'write the sizes for which the limit is meant in the budget, such as "sizes": {{{sizes}}}'
    else:
        message, help = f"{subject} depends on the data, so that it cannot be compared with a limit", "remove the limit"
    report.add("unknown-cost", budget.path(key), message, help=help)
