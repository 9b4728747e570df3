"""TimeDistributed with layers of all kinds."""

from . import Case

SEQUENCE = (4, 3)
IMAGES = (2, 5, 4, 2)


def timed(layer: dict | str, **arguments: object) -> dict:
    inner = {"type": layer} if isinstance(layer, str) else layer
    return {"type": "TimeDistributed", "layer": inner, **arguments}


LSTM = {"type": "LSTM", "units": 2}
BATCH_NORM = {"type": "BatchNormalization", "momentum": 0.7}
MEL = {"type": "MelSpectrogram", "fft_length": 8, "sequence_stride": 4, "num_mel_bins": 3, "sampling_rate": 8000}
CLAHE = {"type": "ContrastLimitedAdaptiveHistogramEqualization", "value_range": [-2, 2], "tile_grid_size": [2, 3]}

CASES = [
    Case("time-dense", timed({"type": "Dense", "units": 2, "activation": "tanh"}), [SEQUENCE]),
    Case("time-dense-penalized", timed({"type": "Dense", "units": 2}, activity_regularizer="l2"), [SEQUENCE]),
    Case("time-dense-frozen", timed({"type": "Dense", "units": 2, "trainable": False}), [(2, 3, 4)]),
    Case("time-convolution", timed({"type": "Conv2D", "filters": 3, "kernel_size": 2, "strides": 2}), [IMAGES]),
    Case("time-pooling", timed({"type": "MaxPooling2D", "data_format": "channels_first"}), [IMAGES]),
    Case("time-flatten", timed("Flatten"), [IMAGES]),
    Case("time-global-pooling", timed("GlobalAveragePooling2D"), [IMAGES]),
    Case("time-reshape", timed({"type": "Reshape", "target_shape": [-1, 2]}), [IMAGES]),
    Case("time-layer-normalization", timed({"type": "LayerNormalization", "axis": [1, 2]}), [(2, 3, 4)]),
    Case("time-batch-normalization", timed(BATCH_NORM), [SEQUENCE]),
    Case("time-batch-normalization-2d", timed({**BATCH_NORM, "axis": 1, "scale": False}), [(2, 3, 2, 2)]),
    Case("time-batch-normalization-renorm", timed({**BATCH_NORM, "renorm": True}), [SEQUENCE], smooth=False),
    Case("time-batch-normalization-3d", timed({**BATCH_NORM, "axis": -2, "momentum": 0}), [(2, 3, 2, 2)]),
    Case("time-batch-normalization-frozen", timed({**BATCH_NORM, "trainable": False}), [SEQUENCE]),
    Case(
        "time-softmax-of-batch", timed({"type": "Activation", "activation": {"type": "softmax", "axis": 0}}), [SEQUENCE]
    ),
    Case("time-dropout", timed({"type": "Dropout", "rate": 0.4}), [SEQUENCE]),
    Case("time-dropout-shared", timed({"type": "Dropout", "rate": 0.4, "noise_shape": [1, None]}), [SEQUENCE]),
    Case("time-lstm", timed({**LSTM, "return_sequences": True}), [(2, 4, 3)]),
    Case("time-lstm-dropped", timed({**LSTM, "recurrent_dropout": 0.3}), [(2, 4, 3)]),
    Case("time-rnn", timed({"type": "RNN", "cell": {"type": "GRUCell", "units": 2}}), [(2, 4, 3)]),
    Case("time-bidirectional", timed({"type": "Bidirectional", "layer": LSTM}), [(2, 4, 3)]),
    Case("time-time-dense", timed(timed({"type": "Dense", "units": 2})), [(2, 3, 4)]),
    Case("time-time-batch-normalization", timed(timed(BATCH_NORM)), [(2, 2, 3)]),
    Case("time-decibels", timed({**MEL, "top_db": 1.0}), [(3, 12)], smooth=False),
    Case("time-power", timed({**MEL, "power_to_db": False}), [(3, 12)]),
    Case("time-tiles", timed(CLAHE), [IMAGES], smooth=False),
    Case("time-embedding", timed({"type": "Embedding", "input_dim": 5, "output_dim": 2}), [(2, 3)], integers=5),
]
