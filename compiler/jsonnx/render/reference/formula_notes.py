"""What the names in formulas mean that are neither NumPy's nor those of arguments, weights and single inputs."""

from __future__ import annotations

import re

from ...core.components import Component

FORMULA_NOTES = {
    "xs": "`xs` are all inputs; `x` is the first.",
    "windows": "`windows(x, size, strides, padding, dilation_rate)` are the windows of x, [batch, ..., *size, "
    "channels].",
    "fill": "`fill` is the value of the padding.",
    "one_hot": "`one_hot(x, n)` is 1 at each index along a new last axis of size n, else 0.",
    "divide_no_nan": "`divide_no_nan(a, b)` is `a / b`, and 0 where b is 0.",
    "sigmoid": "`sigmoid(x)` is `1 / (1 + exp(-x))`.",
    "softplus": "`softplus(x)` is `log(1 + exp(x))`.",
    "softmax": "`softmax(x, axis=-1)` is `exp(x) / sum(exp(x), axis, keepdims=True)`.",
    "log_softmax": "`log_softmax(x, axis=-1)` is `log(softmax(x, axis))`.",
    "logsumexp": "`logsumexp(x, axis)` is `log(sum(exp(x), axis))`.",
    "erf": "`erf` is the error function.",
    "qr": "`qr` is the QR decomposition.",
    "window_values": "`window_values(window, length, periodic)` are the values of a window function.",
    "groupby": "`groupby` and `product` are those of Python's itertools.",
    "normal": "`normal(mean, stddev, shape)` are random numbers.",
    "uniform": "`uniform(low, high, shape)` are random numbers.",
    "truncated_normal": "`truncated_normal(mean, stddev, shape)` are random numbers, drawn again beyond 2 stddev.",
    "fan_in": "`fan_in` is the number of inputs that an output depends on.",
    "fan_out": "`fan_out` is the number of outputs that an input affects.",
}
"""By name."""


def formula_notes(component: type[Component]) -> list[str]:
    """A sentence for each name in the formula of a component that needs one."""
    code = re.sub(r"#.*", "", component.formula)
    names = set(re.findall(r"\b(?<!\.)[A-Za-z_]\w*", code)) - {component.type_name, *component.attributes}
    return [note for name, note in FORMULA_NOTES.items() if name in names]
