"""ONNX' recurrent operators in NumPy, in any precision and with every activation function.

onnx.reference supports the default activation functions only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun

FUNCTIONS: dict[str, Callable[[np.ndarray, Any, Any], np.ndarray]] = {
    "Affine": lambda x, a, b: a * x + b,
    "Elu": lambda x, a, b: np.where(x >= 0, x, a * (np.exp(np.minimum(x, 0)) - 1)),
    "HardSigmoid": lambda x, a, b: np.clip(a * x + b, 0, 1),
    "LeakyRelu": lambda x, a, b: np.where(x >= 0, x, a * x),
    "Relu": lambda x, a, b: np.maximum(x, 0),
    "ScaledTanh": lambda x, a, b: a * np.tanh(b * x),
    "Sigmoid": lambda x, a, b: 1 / (1 + np.exp(-x)),
    "Softplus": lambda x, a, b: np.logaddexp(0, x),
    "Softsign": lambda x, a, b: x / (1 + np.abs(x)),
    "Tanh": lambda x, a, b: np.tanh(x),
    "ThresholdedRelu": lambda x, a, b: np.where(x >= a, x, 0),
}
TAKES = {
    "Affine": "ab",
    "Elu": "a",
    "HardSigmoid": "ab",
    "LeakyRelu": "a",
    "ScaledTanh": "ab",
    "ThresholdedRelu": "a",
}


class Recurrent(OpRun):
    """A recurrent operator without sequence lengths, peepholes and clip."""

    default: tuple[str, ...]
    gates: int
    states = 1

    def functions(self) -> list[Callable[[np.ndarray], np.ndarray]]:
        """The activation functions of all directions."""
        alphas, betas = iter(self.activation_alpha or ()), iter(self.activation_beta or ())
        functions = []
        for name in self.activations or self.default * 2:
            a = next(alphas) if "a" in TAKES.get(name, "") else None
            b = next(betas) if "b" in TAKES.get(name, "") else None
            functions.append(lambda x, of=FUNCTIONS[name], a=a, b=b: of(x, a, b))
        return functions

    def _run(self, x, w, r, bias=None, lengths=None, h=None, c=None, **attributes):
        assert lengths is None
        units, functions, count = r.shape[-1], self.functions(), len(self.default)
        bias = np.zeros((len(w), 2 * self.gates * units), x.dtype) if bias is None else bias
        zeros = np.zeros((len(w), x.shape[1], units), x.dtype)
        initial = [zeros if state is None else state for state in (h, c)[: self.states]]
        results = []
        for index in range(len(w)):
            weights = w[index], r[index], *np.split(bias[index], 2)
            own_functions = functions[index * count :][:count]
            is_reverse = self.direction == "reverse" or index == 1
            results.append(self.run_steps(x, [state[index] for state in initial], weights, own_functions, is_reverse))
        y, *last = zip(*results, strict=True)
        return (np.stack(y, axis=1), *map(np.stack, last))[: len(self.onnx_node.output)]

    def run_steps(self, x, states, weights, functions, is_reverse):
        outputs = []
        for inputs in x[::-1] if is_reverse else x:
            states = self.step(inputs, states, *weights, functions)
            outputs.append(states[0])
        return (np.stack(outputs[::-1] if is_reverse else outputs), *states)


class RNN(Recurrent):
    default, gates = ("Tanh",), 1

    def step(self, x, states, w, r, wb, rb, functions):
        (f,) = functions
        return [f(x @ w.T + states[0] @ r.T + wb + rb)]


class LSTM(Recurrent):
    default, gates, states = ("Sigmoid", "Tanh", "Tanh"), 4, 2

    def step(self, x, states, w, r, wb, rb, functions):
        f, g, k = functions
        i, o, forget, candidate = np.split(x @ w.T + states[0] @ r.T + wb + rb, 4, axis=1)
        c = f(forget) * states[1] + f(i) * g(candidate)
        return [f(o) * k(c), c]


class GRU(Recurrent):
    default, gates = ("Sigmoid", "Tanh"), 3

    def step(self, x, states, w, r, wb, rb, functions):
        f, g = functions
        (h,), (wz, wr, wn), (rz, rr, rn) = states, np.split(w, 3), np.split(r, 3)
        (bz, br, bn), (cz, cr, cn) = np.split(wb, 3), np.split(rb, 3)
        z = f(x @ wz.T + h @ rz.T + bz + cz)
        reset = f(x @ wr.T + h @ rr.T + br + cr)
        if self.linear_before_reset:
            candidate = g(x @ wn.T + reset * (h @ rn.T + cn) + bn)
        else:
            candidate = g(x @ wn.T + (reset * h) @ rn.T + bn + cn)
        return [(1 - z) * candidate + z * h]


RECURRENT = [RNN, LSTM, GRU]
