"""Layer names that people know from Keras and that are no brick here: why, and what to use instead."""

from __future__ import annotations

from typing import NamedTuple


class Absent(NamedTuple):
    """What to say of a layer that is not there: the code of the diagnostic, the fault, and what to do."""

    code: str
    message: str
    help: str


def absent(name: str) -> Absent | None:
    """What is known of a name that is no layer here; None where it is not a name of Keras' at all."""
    found = NOT_EXPRESSIBLE.get(name) or FUNCTIONS.get(name)
    if found is not None:
        why, instead = found
        return Absent("not-expressible", f"{name} cannot be said in ONNX: {why}", instead)
    if name in GONE:
        return Absent("unknown-type", f"there is no layer type {name!r}: {GONE[name][0]}", GONE[name][1])
    return None


Reasons = dict[str, tuple[str, str]]
"""By layer name: what is wrong with it, and what to use instead."""

_PYTHON = "it runs Python code, and a model file that brings code is not safe to open"
_WRITE_LAYERS = "write what it computes as layers, such as ops.multiply, ops.mean, ops.matmul and ops.transpose"
_NO_HASH = "no operator of ONNX computes the hash of a text or of an integer as Keras does"
_VOCABULARY = "use StringLookup or IntegerLookup with a vocabulary, or put the hashed column into the data"
_FOREIGN = "it runs the code of another framework"
_EXPORT = "write its network as layers, or export it to ONNX with that framework and run the two models in turn"

NOT_EXPRESSIBLE: Reasons = {
    "Lambda": (_PYTHON, _WRITE_LAYERS),
    "TFOpLambda": (_PYTHON, _WRITE_LAYERS),
    "SlicingOpLambda": (_PYTHON, "use ops.get_item"),
    "Hashing": (_NO_HASH, _VOCABULARY),
    "HashedCrossing": (_NO_HASH, _VOCABULARY),
    "CategoryCrossing": (_NO_HASH, _VOCABULARY),
    "TFSMLayer": (_FOREIGN, _EXPORT),
    "TorchModuleWrapper": (_FOREIGN, _EXPORT),
    "JaxLayer": (_FOREIGN, _EXPORT),
    "FlaxLayer": (_FOREIGN, _EXPORT),
    "MaxNumBoundingBoxes": (
        "it takes a dictionary with a list of boxes of any length for every image, and ONNX has tensors alone",
        "pad the boxes to one number of them in the data, and give them to the network as an input",
    ),
    "RandomHeight": ("every batch would come out in another shape", "use RandomZoom, which keeps the shape"),
    "RandomWidth": ("every batch would come out in another shape", "use RandomZoom, which keeps the shape"),
    "DenseFeatures": (
        "it takes feature columns of TensorFlow",
        "give every column an input, and use Normalization, StringLookup, Embedding and Concatenate",
    ),
}

_DECOMPOSITIONS = ("cholesky", "cholesky_inverse", "det", "eig", "eigh", "inv", "logdet", "lstsq", "lu_factor")
_MORE_DECOMPOSITIONS = ("matrix_rank", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd")
_OF_FUNCTIONS = (
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
_MORE_OF_FUNCTIONS = ("vectorize", "vectorized_map", "while_loop")
_COMPLEX = ("angle", "fft", "fft2", "ifft2", "imag", "irfft", "istft", "polar", "rfft", "stft", "view_as_complex")
_OF_ANY_SHAPE = ("argwhere", "bincount", "histogram", "nonzero", "unique")

_REASONS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        _DECOMPOSITIONS + _MORE_DECOMPOSITIONS,
        "no operator of ONNX decomposes or inverts matrices",
        "compute it where the data are made, and give the result to the network as an input",
    ),
    (_OF_FUNCTIONS + _MORE_OF_FUNCTIONS, _PYTHON, "write what it computes as layers, a recurrent one for a loop"),
    (_COMPLEX, "there are no complex numbers", "use STFTSpectrogram, which makes real numbers of a signal"),
    (
        _OF_ANY_SHAPE,
        "the shape of its result depends on the numbers it is given",
        "use functions that keep the shape, such as ops.where, ops.one_hot and ops.sort",
    ),
)

FUNCTIONS: Reasons = {f"ops.{name}": (why, instead) for names, why, instead in _REASONS for name in names}

_OF_KERAS_1 = "that was a name of Keras 1"
_OF_KERAS_2 = "that was a name of Keras 2"
_ABSTRACT = "that is a base class"
_A_MODEL = "that is a whole model"
_PLACE = 'write its layers among "layers"'
_INPUTS = 'write it under "inputs": {"x": {"shape": [28, 28, 1]}}'

GONE: Reasons = {
    "CuDNNLSTM": (_OF_KERAS_2, "use LSTM, which is as fast"),
    "CuDNNGRU": (_OF_KERAS_2, "use GRU, which is as fast"),
    "LSTMV1": (_OF_KERAS_2, "use LSTM"),
    "LSTMV2": (_OF_KERAS_2, "use LSTM"),
    "UnifiedLSTM": (_OF_KERAS_2, "use LSTM"),
    "GRUV1": (_OF_KERAS_2, 'use GRU with "reset_after": false'),
    "GRUV2": (_OF_KERAS_2, "use GRU"),
    "UnifiedGRU": (_OF_KERAS_2, "use GRU"),
    "ConvRecurrent2D": (_OF_KERAS_2, "use ConvLSTM2D"),
    "BatchNormalizationV1": (_OF_KERAS_2, "use BatchNormalization"),
    "BatchNormalizationV2": (_OF_KERAS_2, "use BatchNormalization"),
    "SyncBatchNormalization": (_OF_KERAS_2, "use BatchNormalization: training runs on one device"),
    "ThresholdedReLU": (_OF_KERAS_2, 'use Activation with {"type": "threshold", "threshold": 1.0, "default_value": 0}'),
    "LocallyConnected1D": (_OF_KERAS_2, "use Conv1D, whose kernel is the same at every step, or Flatten and Dense"),
    "LocallyConnected2D": (_OF_KERAS_2, "use Conv2D, whose kernel is the same at every place, or Flatten and Dense"),
    "DepthwiseConvolution2D": (_OF_KERAS_2, "use DepthwiseConv2D"),
    "RandomFourierFeatures": (_OF_KERAS_2, "use Dense, whose kernel is trained"),
    "AbstractRNNCell": (_ABSTRACT, "use SimpleRNNCell, GRUCell or LSTMCell"),
    "AtrousConvolution1D": (_OF_KERAS_1, 'use Conv1D with "dilation_rate"'),
    "AtrousConvolution2D": (_OF_KERAS_1, 'use Conv2D with "dilation_rate"'),
    "AtrousConv1D": (_OF_KERAS_1, 'use Conv1D with "dilation_rate"'),
    "AtrousConv2D": (_OF_KERAS_1, 'use Conv2D with "dilation_rate"'),
    "Deconvolution2D": (_OF_KERAS_1, "use Conv2DTranspose"),
    "Deconvolution3D": (_OF_KERAS_1, "use Conv3DTranspose"),
    "Merge": (_OF_KERAS_1, "use Add, Multiply, Average, Maximum, Concatenate or Dot"),
    "MaxoutDense": (_OF_KERAS_1, "use two Dense and Maximum"),
    "Highway": (_OF_KERAS_1, 'use Dense, a Dense with "activation": "sigmoid", Multiply and Add'),
    "TimeDistributedDense": (_OF_KERAS_1, "use Dense, which takes every step by itself"),
    "Input": ("inputs are no layers", _INPUTS),
    "InputLayer": ("inputs are no layers", _INPUTS),
    "InputSpec": ("it describes an input", _INPUTS),
    "Layer": (_ABSTRACT, "`jsonnx layers` lists the known types"),
    "Wrapper": (_ABSTRACT, "use Bidirectional, TimeDistributed or SpectralNormalization"),
    "Model": (_A_MODEL, _PLACE),
    "Functional": (_A_MODEL, _PLACE),
    "Sequential": (_A_MODEL, _PLACE),
}
