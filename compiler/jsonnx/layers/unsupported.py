"""Keras layer names without a layer here: the reason, and the replacement."""

from __future__ import annotations

from typing import NamedTuple


class UnsupportedLayer(NamedTuple):
    """The diagnostic for an unsupported layer: its code, message and help text."""

    code: str
    message: str
    help: str


def unsupported_layer(name: str) -> UnsupportedLayer | None:
    """The diagnostic for a Keras layer name, or None for a name unknown to Keras."""
    reason = NOT_EXPRESSIBLE.get(name) or UNSUPPORTED_OPS.get(name)
    if reason is not None:
        why, instead = reason
        return UnsupportedLayer("not-expressible", f"{name} cannot be expressed in ONNX: {why}", instead)
    if name in REPLACED_NAMES:
        return UnsupportedLayer(
            "unknown-type", f"there is no layer type {name!r}: {REPLACED_NAMES[name][0]}", REPLACED_NAMES[name][1]
        )
    return None


ReasonsByName = dict[str, tuple[str, str]]
"""Per layer name: the reason why it is unsupported, and an alternative."""

_RUNS_PYTHON = "it runs Python code, and a model file with code in it is not safe to open"
_WRITE_LAYERS = (
    "write the computation as layers, such as ops.multiply, ops.mean, ops.matmul and ops.transpose (`jsonnx layers` "
    "lists them); AddLoss adds a computed loss"
)
_NO_HASH = "ONNX has no operator that hashes strings or integers as Keras does"
_USE_VOCABULARY = "use StringLookup or IntegerLookup with a vocabulary, or put the hashed column in the data"
_RUNS_OTHER_FRAMEWORK = "it runs the code of another framework"
_EXPORT_SEPARATELY = (
    "write its network as layers, or export it to ONNX with that framework and run the two models in turn"
)

NOT_EXPRESSIBLE: ReasonsByName = {
    "Lambda": (_RUNS_PYTHON, _WRITE_LAYERS),
    "TFOpLambda": (_RUNS_PYTHON, _WRITE_LAYERS),
    "SlicingOpLambda": (_RUNS_PYTHON, "use ops.get_item"),
    "Hashing": (_NO_HASH, _USE_VOCABULARY),
    "HashedCrossing": (_NO_HASH, _USE_VOCABULARY),
    "CategoryCrossing": (_NO_HASH, _USE_VOCABULARY),
    "TFSMLayer": (_RUNS_OTHER_FRAMEWORK, _EXPORT_SEPARATELY),
    "TorchModuleWrapper": (_RUNS_OTHER_FRAMEWORK, _EXPORT_SEPARATELY),
    "JaxLayer": (_RUNS_OTHER_FRAMEWORK, _EXPORT_SEPARATELY),
    "FlaxLayer": (_RUNS_OTHER_FRAMEWORK, _EXPORT_SEPARATELY),
    "MaxNumBoundingBoxes": (
        "it takes lists of boxes whose length differs from image to image, but ONNX has only tensors",
        "pad the boxes of every image to a fixed number in the data, and declare them as an input",
    ),
    "RandomHeight": ("the shape of its output changes from batch to batch", "use RandomZoom, which keeps the shape"),
    "RandomWidth": ("the shape of its output changes from batch to batch", "use RandomZoom, which keeps the shape"),
    "DenseFeatures": (
        "it uses TensorFlow's feature columns",
        "declare an input for every column, and use Normalization, StringLookup, Embedding and Concatenate",
    ),
}

_DECOMPOSITIONS = ("cholesky", "cholesky_inverse", "det", "eig", "eigh", "inv", "logdet", "lstsq", "lu_factor")
_MORE_DECOMPOSITIONS = ("matrix_rank", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd")
_HIGHER_ORDER = (
    "associative_scan",
    "cond",
    "custom_gradient",
    "fori_loop",
    "jvp",
    "map",
    "scan",
    "switch",
    "vectorize",
)
_MORE_HIGHER_ORDER = ("vectorize", "vectorized_map", "while_loop")
_COMPLEX_NUMBERS = (
    "angle",
    "fft",
    "fft2",
    "ifft2",
    "imag",
    "irfft",
    "istft",
    "polar",
    "rfft",
    "stft",
    "view_as_complex",
)
_DATA_DEPENDENT_SHAPE = ("argwhere", "bincount", "histogram", "nonzero", "unique")

_OP_REASONS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        _DECOMPOSITIONS + _MORE_DECOMPOSITIONS,
        "ONNX has no operator that decomposes or inverts matrices",
        "compute it when the data are prepared, and declare the result as an input",
    ),
    (
        _HIGHER_ORDER + _MORE_HIGHER_ORDER,
        _RUNS_PYTHON,
        "write the computation as layers, with a recurrent layer for a loop",
    ),
    (_COMPLEX_NUMBERS, "complex numbers are not supported", "use STFTSpectrogram, whose result is real"),
    (
        _DATA_DEPENDENT_SHAPE,
        "the shape of its result depends on the data",
        "use functions whose result has a fixed shape, such as ops.where, ops.one_hot and ops.sort",
    ),
)

UNSUPPORTED_OPS: ReasonsByName = {
    f"ops.{name}": (why, instead) for names, why, instead in _OP_REASONS for name in names
}

_KERAS_1_NAME = "this is a name from Keras 1"
_KERAS_2_NAME = "this is a name from Keras 2"
_BASE_CLASS = "this is a base class"
_WHOLE_MODEL = "this is a model, not a layer"
_LOSS = "a loss compares an output with its target, which layers do not get"
_COMPUTE_LOSS = (
    "name the loss in `training`; a loss of values of the network is computed with ops such as ops.log and "
    'ops.multiply, and added by {"type": "AddLoss"}'
)
_LIST_ITS_LAYERS = 'write its layers among "layers"'
_DECLARE_AS_INPUT = 'write it under "inputs": {"x": {"shape": [28, 28, 1]}}'

REPLACED_NAMES: ReasonsByName = {
    "CuDNNLSTM": (_KERAS_2_NAME, "use LSTM, which is as fast"),
    "CuDNNGRU": (_KERAS_2_NAME, "use GRU, which is as fast"),
    "LSTMV1": (_KERAS_2_NAME, "use LSTM"),
    "LSTMV2": (_KERAS_2_NAME, "use LSTM"),
    "UnifiedLSTM": (_KERAS_2_NAME, "use LSTM"),
    "GRUV1": (_KERAS_2_NAME, 'use GRU with "reset_after": false'),
    "GRUV2": (_KERAS_2_NAME, "use GRU"),
    "UnifiedGRU": (_KERAS_2_NAME, "use GRU"),
    "ConvRecurrent2D": (_KERAS_2_NAME, "use ConvLSTM2D"),
    "BatchNormalizationV1": (_KERAS_2_NAME, "use BatchNormalization"),
    "BatchNormalizationV2": (_KERAS_2_NAME, "use BatchNormalization"),
    "SyncBatchNormalization": (_KERAS_2_NAME, "use BatchNormalization: training runs on one device"),
    "ThresholdedReLU": (
        _KERAS_2_NAME,
        'use Activation with {"type": "threshold", "threshold": 1.0, "default_value": 0}',
    ),
    "LocallyConnected1D": (_KERAS_2_NAME, "use Conv1D, whose kernel is shared by all steps, or Flatten and Dense"),
    "LocallyConnected2D": (_KERAS_2_NAME, "use Conv2D, whose kernel is shared by all positions, or Flatten and Dense"),
    "DepthwiseConvolution2D": (_KERAS_2_NAME, "use DepthwiseConv2D"),
    "RandomFourierFeatures": (_KERAS_2_NAME, "use Dense, whose kernel is trained"),
    "AbstractRNNCell": (_BASE_CLASS, "use SimpleRNNCell, GRUCell or LSTMCell"),
    "AtrousConvolution1D": (_KERAS_1_NAME, 'use Conv1D with "dilation_rate"'),
    "AtrousConvolution2D": (_KERAS_1_NAME, 'use Conv2D with "dilation_rate"'),
    "AtrousConv1D": (_KERAS_1_NAME, 'use Conv1D with "dilation_rate"'),
    "AtrousConv2D": (_KERAS_1_NAME, 'use Conv2D with "dilation_rate"'),
    "Deconvolution2D": (_KERAS_1_NAME, "use Conv2DTranspose"),
    "Deconvolution3D": (_KERAS_1_NAME, "use Conv3DTranspose"),
    "Merge": (_KERAS_1_NAME, "use Add, Multiply, Average, Maximum, Concatenate or Dot"),
    "MaxoutDense": (_KERAS_1_NAME, "use two Dense and Maximum"),
    "Highway": (_KERAS_1_NAME, 'use Dense, a Dense with "activation": "sigmoid", Multiply and Add'),
    "TimeDistributedDense": (_KERAS_1_NAME, "use Dense, which applies to every step separately"),
    "Input": ("inputs are not layers", _DECLARE_AS_INPUT),
    "InputLayer": ("inputs are not layers", _DECLARE_AS_INPUT),
    "InputSpec": ("it describes an input", _DECLARE_AS_INPUT),
    "Layer": (_BASE_CLASS, "`jsonnx layers` lists the known types"),
    "Wrapper": (_BASE_CLASS, "use Bidirectional, TimeDistributed or SpectralNormalization"),
    "Model": (_WHOLE_MODEL, _LIST_ITS_LAYERS),
    "Functional": (_WHOLE_MODEL, _LIST_ITS_LAYERS),
    "Sequential": (_WHOLE_MODEL, _LIST_ITS_LAYERS),
    **{
        f"ops.{name}": (_LOSS, _COMPUTE_LOSS)
        for name in ("binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy", "ctc_loss")
    },
}
