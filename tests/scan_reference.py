"""ONNX' Scan along the first axes in both directions: ONNX' own reference goes forward only."""

from __future__ import annotations

import numpy as np
from onnx.reference.op_run import OpRun


class Scan(OpRun):
    def need_context(self) -> bool:
        return True

    def _run(self, *args, context=None, num_scan_inputs=None, scan_input_directions=None, **given):
        count = len(args) - num_scan_inputs
        states, slices = list(args[:count]), args[count:]
        backwards = bool(scan_input_directions and scan_input_directions[0])
        assert (
            set(scan_input_directions or [0])
            == set(given.get("scan_output_directions") or [backwards])
            == {int(backwards)}
        )
        found = []
        for at in reversed(range(len(slices[0]))) if backwards else range(len(slices[0])):
            feeds = dict(zip(self.body.input_names, [*states, *(x[at] for x in slices)], strict=True))
            results = self.body.run(None, {**(context or {}), **feeds})
            states, found = results[:count], [*found, results[count:]]
        stacks = zip(*(found[::-1] if backwards else found), strict=True)
        return (*states, *(np.stack(stack) for stack in stacks))


SCAN = [Scan]
