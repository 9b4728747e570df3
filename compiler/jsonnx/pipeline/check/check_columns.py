"""Checks which columns a spec assigns to its inputs and targets, without its data."""

from __future__ import annotations

from ...core.diagnostics import Diagnostic
from ...sections.columns import SAMPLE_WEIGHT, column_faults
from ...sections.mask_targets import mask_class_counts, mask_faults
from ...sections.split_faults import sequence_faults, split_faults, window_faults
from .check import CheckedSpec


def check_columns(checked: CheckedSpec) -> list[Diagnostic]:
    """The faults of assigned columns, `split` and `windows`, as training would report them.

    None are reported if the network or a target has errors.
    """
    report = checked.new_report()
    typed, objective = checked.typed_network, checked.objective
    training = typed.network.training if typed else None
    if typed is not None and objective is not None and training is not None and training.data is not None:
        for key, names in (("x", typed.inputs), ("y", objective.targets), (SAMPLE_WEIGHT, objective.targets)):
            for fault in column_faults(getattr(training.data, key), key, names):
                report.add(fault.code, fault.path, fault.message, help=fault.help, fix=fault.fix)
        if training.data.thousands == training.data.decimal:
            message = f"the mark of thousands is the decimal mark, {training.data.decimal!r}"
            report.add(
                "ambiguous-columns", ("training", "data", "thousands"), message, help="give the file's two marks"
            )
        data = training.data
        window = window_faults(data, typed.inputs, objective.targets)
        masks = mask_faults(data, mask_class_counts(typed.outputs, objective.targets, objective.losses))
        for fault in (*split_faults(data), *window, *sequence_faults(data, typed.inputs), *masks):
            report.add(fault.code, fault.path, fault.message, help=fault.help, fix=fault.fix)
    return list(report)
