"""ConvLSTM1D, ConvLSTM2D, ConvLSTM3D."""

from . import Case

ALL = {"return_sequences": True, "return_state": True}


def conv(rank: int, **arguments: object) -> dict:
    return {"type": f"ConvLSTM{rank}D", "filters": 2, "kernel_size": 2, **arguments}


CASES = [
    Case("conv-lstm-1d", conv(1), [(3, 4, 2)]),
    Case("conv-lstm-1d-all", conv(1, go_backwards=True, padding="same", **ALL), [(3, 4, 2), (4, 2), (4, 2)]),
    Case("conv-lstm-1d-softmax", conv(1, recurrent_activation="softmax"), [(2, 4, 2)]),
    Case("conv-lstm-1d-dropped", conv(1, dropout=0.3, recurrent_dropout=0.2, return_sequences=True), [(2, 4, 2)]),
    Case("conv-lstm-2d", conv(2, kernel_size=[3, 2], strides=[1, 2], return_state=True), [(3, 4, 5, 1)]),
    Case(
        "conv-lstm-2d-first",
        conv(2, data_format="channels_first", dilation_rate=[2, 1], return_sequences=True, use_bias=False),
        [(2, 1, 4, 3)],
    ),
    Case(
        "conv-lstm-2d-first-all",
        conv(2, data_format="channels_first", recurrent_activation="hard_sigmoid", unit_forget_bias=False, **ALL),
        [(2, 1, 4, 3), (2, 3, 2), (2, 3, 2)],
        smooth=False,
    ),
    Case("conv-lstm-2d-same", conv(2, kernel_size=3, padding="same", strides=2), [(2, 4, 3, 2)]),
    Case("conv-lstm-3d", conv(3, padding="same", return_sequences=True), [(2, 2, 3, 2, 1)]),
    Case("conv-lstm-3d-first", conv(3, data_format="channels_first", go_backwards=True), [(2, 1, 2, 3, 2)]),
    Case(
        "bidirectional-conv-lstm",
        {"type": "Bidirectional", "layer": conv(1, padding="same", **ALL), "merge_mode": "sum"},
        [(3, 4, 2), (4, 2), (4, 2), (4, 2), (4, 2)],
    ),
    Case(
        "bidirectional-conv-lstm-first",
        {"type": "Bidirectional", "layer": conv(2, data_format="channels_first", return_sequences=True)},
        [(2, 1, 3, 3)],
    ),
]
