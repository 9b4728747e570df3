"""RNN with every cell, cells as layers, and fused layers that need a loop."""

from . import Case

SEQUENCE = (4, 3)
ALL = {"return_sequences": True, "return_state": True}
SIMPLE = {"type": "SimpleRNNCell", "units": 2}
GRU = {"type": "GRUCell", "units": 2}
LSTM = {"type": "LSTMCell", "units": 2}
STACK = {"type": "StackedRNNCells", "cells": [LSTM, GRU, {"type": "LSTMCell", "units": 3}]}
TOWER = {"type": "StackedRNNCells", "cells": [GRU, SIMPLE]}


def rnn(cell: dict, **arguments: object) -> dict:
    return {"type": "RNN", "cell": cell, **arguments}


CASES = [
    Case("rnn-simple", rnn(SIMPLE), [SEQUENCE]),
    Case("rnn-simple-all", rnn({**SIMPLE, "activation": "gelu"}, go_backwards=True, **ALL), [SEQUENCE, (2,)]),
    Case("rnn-gru", rnn(GRU, return_sequences=True), [SEQUENCE]),
    Case("rnn-gru-no-bias", rnn({**GRU, "use_bias": False}, unroll=True), [SEQUENCE]),
    Case("rnn-gru-reset-before", rnn({**GRU, "reset_after": False}, **ALL), [SEQUENCE, (2,)]),
    Case(
        "rnn-gru-reset-before-dropped",
        rnn({**GRU, "reset_after": False, "recurrent_dropout": 0.3, "dropout": 0.2, "use_bias": False}),
        [SEQUENCE],
    ),
    Case("rnn-lstm", rnn(LSTM, return_state=True), [SEQUENCE]),
    Case("rnn-lstm-all", rnn(LSTM, go_backwards=True, **ALL), [SEQUENCE, (2,), (2,)]),
    Case("rnn-lstm-softmax", rnn({**LSTM, "activation": "softmax", "recurrent_activation": None}), [SEQUENCE]),
    Case("rnn-lstm-frozen", rnn({**LSTM, "trainable": False}), [SEQUENCE]),
    Case("rnn-stack", rnn(STACK), [SEQUENCE]),
    Case("rnn-stack-all", rnn(STACK, go_backwards=True, **ALL), [SEQUENCE, (2,), (2,), (2,), (3,), (3,)]),
    Case("rnn-stack-dropped", rnn({**TOWER, "cells": [{**LSTM, "dropout": 0.3}, GRU]}), [SEQUENCE]),
    Case("rnn-list", {"type": "RNN", "cell": [SIMPLE, SIMPLE], "unroll": True}, [SEQUENCE]),
    Case("rnn-tower", rnn(TOWER, return_sequences=True), [SEQUENCE]),
    Case("simple-rnn-cell", {**SIMPLE, "use_bias": False}, [(3,), (2,)]),
    Case("gru-cell", GRU, [(3,), (2,)]),
    Case("gru-cell-reset-before", {**GRU, "reset_after": False}, [(3,), (2,)]),
    Case("lstm-cell", {**LSTM, "unit_forget_bias": False}, [(3,), (2,), (2,)]),
    Case("lstm-cell-dropped", {**LSTM, "dropout": 0.3, "recurrent_dropout": 0.2}, [(3,), (2,), (2,)]),
    Case("stacked-cells", STACK, [(3,), (2,), (2,), (2,), (3,), (3,)]),
    Case(
        "simple-rnn-dropped",
        {"type": "SimpleRNN", "units": 2, "dropout": 0.25, "recurrent_dropout": 0.5, "return_sequences": True},
        [SEQUENCE],
    ),
    Case(
        "gru-dropped", {"type": "GRU", "units": 2, "dropout": 0.25, "recurrent_dropout": 0.5, **ALL}, [SEQUENCE, (2,)]
    ),
    Case("lstm-dropped", {"type": "LSTM", "units": 2, "dropout": 0.25, "recurrent_dropout": 0.5}, [SEQUENCE]),
    Case("lstm-gelu", {"type": "LSTM", "units": 2, "activation": "gelu", "go_backwards": True}, [SEQUENCE]),
    Case("gru-softplus", {"type": "GRU", "units": 2, "activation": "softplus"}, [SEQUENCE]),
    Case(
        "bidirectional-rnn",
        {"type": "Bidirectional", "layer": rnn([LSTM, GRU], **ALL)},
        [SEQUENCE, *[(2,)] * 6],
    ),
    Case(
        "bidirectional-rnn-beside-lstm",
        {
            "type": "Bidirectional",
            "layer": rnn(GRU, return_sequences=True, go_backwards=True),
            "backward_layer": {"type": "LSTM", "units": 3, "return_sequences": True},
        },
        [SEQUENCE],
    ),
]
