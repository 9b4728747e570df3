"""ONNX' Scan along the first axes, forward or in reverse; onnx.reference supports the forward direction only."""

from __future__ import annotations

import numpy as np
from onnx.reference.op_run import OpRun


class Scan(OpRun):
    def need_context(self) -> bool:
        return True

    def _run(self, *args, context=None, num_scan_inputs=None, scan_input_directions=None, **attributes):
        count = len(args) - num_scan_inputs
        states, slices = list(args[:count]), args[count:]
        is_reverse = bool(scan_input_directions and scan_input_directions[0])
        assert (
            set(scan_input_directions or [0])
            == set(attributes.get("scan_output_directions") or [is_reverse])
            == {int(is_reverse)}
        )
        step_outputs = []
        for step in reversed(range(len(slices[0]))) if is_reverse else range(len(slices[0])):
            feeds = dict(zip(self.body.input_names, [*states, *(x[step] for x in slices)], strict=True))
            results = self.body.run(None, {**(context or {}), **feeds})
            states, step_outputs = results[:count], [*step_outputs, results[count:]]
        stacks = zip(*(step_outputs[::-1] if is_reverse else step_outputs), strict=True)
        return (*states, *(np.stack(stack) for stack in stacks))


SCAN = [Scan]
