"""Recurrent layers after an Embedding with masks, for `cases.words`."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


def recurrent(kind: str, **arguments: Any) -> Document:
    return {"type": kind, "units": 3, **arguments}


def both(layer: Document, **arguments: Any) -> Document:
    return {"type": "Bidirectional", "layer": layer, **arguments}


def timed(layer: Document, **arguments: Any) -> Document:
    return {"type": "TimeDistributed", "layer": layer, **arguments}


ALL_STEPS = {"return_sequences": True}
CELLS = [recurrent("LSTMCell"), recurrent("GRUCell", units=2), recurrent("SimpleRNNCell")]
WORD = {"type": "Dense", "units": 2}

RECURRENT_LAYERS: dict[str, list[Document]] = {
    "SimpleRNN": [recurrent("SimpleRNN"), WORD],
    "GRU-twice": [recurrent("GRU", **ALL_STEPS), recurrent("GRU", reset_after=False), WORD],
    "LSTM-places": [recurrent("LSTM", **ALL_STEPS), WORD],
    "LSTM-backwards": [recurrent("LSTM", go_backwards=True, **ALL_STEPS), recurrent("LSTM", go_backwards=True), WORD],
    "LSTM-unrolled": [recurrent("LSTM", unroll=True, **ALL_STEPS), recurrent("GRU", unroll=True), WORD],
    "LSTM-zeros": [recurrent("LSTM", zero_output_for_mask=True), WORD],
    "RNN": [{"type": "RNN", "cell": CELLS, **ALL_STEPS}, {"type": "RNN", "cell": CELLS[0]}, WORD],
    "Bidirectional": [both(recurrent("LSTM", **ALL_STEPS)), both(recurrent("GRU"), merge_mode="sum"), WORD],
    "Bidirectional-places": [both(recurrent("GRU", **ALL_STEPS), merge_mode="mul"), WORD],
    "Bidirectional-apart": [
        both(recurrent("SimpleRNN", **ALL_STEPS), merge_mode=None, name="two"),
        {"type": "Subtract", "from": ["two", "two.backward"]},
        recurrent("LSTM"),
        WORD,
    ],
    "TimeDistributed": [timed(WORD), recurrent("LSTM"), WORD],
    "TimeDistributed-normal": [timed({"type": "BatchNormalization", "momentum": 0.8}), recurrent("LSTM"), WORD],
    "encoder": [
        recurrent("LSTM", name="encoder", return_state=True),
        recurrent("LSTM", **{"from": ["words", "encoder.state_h", "encoder.state_c"]}, **ALL_STEPS),
        WORD,
    ],
}
