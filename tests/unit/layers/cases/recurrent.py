"""SimpleRNN, GRU, LSTM, Bidirectional."""

from . import Case

SEQUENCE = (4, 3)
ALL = {"return_sequences": True, "return_state": True}

CASES = [
    Case("simple-rnn", {"type": "SimpleRNN", "units": 2}, [SEQUENCE]),
    Case("simple-rnn-all", {"type": "SimpleRNN", "units": 2, "go_backwards": True, **ALL}, [SEQUENCE, (2,)]),
    Case("simple-rnn-linear", {"type": "SimpleRNN", "units": 2, "activation": None, "use_bias": False}, [SEQUENCE]),
    Case("gru", {"type": "GRU", "units": 2}, [SEQUENCE]),
    Case("gru-all", {"type": "GRU", "units": 2, "go_backwards": True, **ALL}, [SEQUENCE, (2,)]),
    Case("gru-no-bias", {"type": "GRU", "units": 2, "use_bias": False, "return_sequences": True}, [SEQUENCE]),
    Case("gru-reset-before", {"type": "GRU", "units": 2, "reset_after": False}, [SEQUENCE]),
    Case(
        "gru-reset-before-all",
        {"type": "GRU", "units": 2, "reset_after": False, "go_backwards": True, **ALL},
        [SEQUENCE, (2,)],
    ),
    Case("gru-reset-before-no-bias", {"type": "GRU", "units": 2, "reset_after": False, "use_bias": False}, [SEQUENCE]),
    Case("lstm", {"type": "LSTM", "units": 2}, [SEQUENCE]),
    Case("lstm-one-step", {"type": "LSTM", "units": 1, "return_sequences": True}, [(1, 1)]),
    Case("lstm-sequences", {"type": "LSTM", "units": 2, "return_sequences": True, "dropout": 0.5}, [SEQUENCE]),
    Case("lstm-backwards", {"type": "LSTM", "units": 2, "return_sequences": True, "go_backwards": True}, [SEQUENCE]),
    Case("lstm-state", {"type": "LSTM", "units": 2, "return_state": True, "use_bias": False}, [SEQUENCE]),
    Case("lstm-all", {"type": "LSTM", "units": 2, "go_backwards": True, **ALL}, [SEQUENCE, (2,), (2,)]),
    Case(
        "lstm-softsign",
        {"type": "LSTM", "units": 2, "activation": "softsign", "recurrent_activation": "softplus", "use_cudnn": False},
        [SEQUENCE],
    ),
    Case("gru-falling-elu", {"type": "GRU", "units": 2, "activation": {"type": "elu", "alpha": -1.0}}, [SEQUENCE]),
    Case(
        "lstm-falling-leaky-relu",
        {"type": "LSTM", "units": 2, "activation": {"type": "leaky_relu", "negative_slope": -0.5}},
        [SEQUENCE],
    ),
    Case("bidirectional", {"type": "Bidirectional", "layer": {"type": "LSTM", "units": 2}}, [SEQUENCE]),
    Case(
        "bidirectional-sequences",
        {"type": "Bidirectional", "layer": {"type": "GRU", "units": 2, "return_sequences": True}, "merge_mode": "mul"},
        [SEQUENCE],
    ),
    Case(
        "bidirectional-all",
        {"type": "Bidirectional", "layer": {"type": "LSTM", "units": 2, **ALL}, "merge_mode": None},
        [SEQUENCE, (2,), (2,), (2,), (2,)],
    ),
    Case(
        "bidirectional-two-layers",
        {
            "type": "Bidirectional",
            "layer": {"type": "SimpleRNN", "units": 2, "go_backwards": True, "return_sequences": True},
            "backward_layer": {"type": "GRU", "units": 2, "return_sequences": True},
            "merge_mode": "ave",
        },
        [SEQUENCE],
    ),
]
