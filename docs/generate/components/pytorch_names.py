"""Names of PyTorch with a counterpart here: what the help of an error says about a name gives its page."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, NamedTuple

from jsonnx import library
from jsonnx.core.fixes import Suggestion
from jsonnx.frontend.foreign.foreign_help import foreign_name
from jsonnx.frontend.schema.schema import REGISTRIES
from jsonnx.layers import LAYERS

from .records import BLOCK_PREFIX, OPERATOR_PREFIX, Record, find_record

NAMES = {
    ("layer", "torch.nn"): """
        Linear LazyLinear Identity Embedding Flatten
        Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d
        MaxPool1d MaxPool2d MaxPool3d AvgPool1d AvgPool2d AvgPool3d
        AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d
        BatchNorm1d BatchNorm2d BatchNorm3d LayerNorm GroupNorm RMSNorm LocalResponseNorm
        InstanceNorm1d InstanceNorm2d InstanceNorm3d
        RNN LSTM GRU RNNCell LSTMCell GRUCell MultiheadAttention
        TransformerEncoderLayer TransformerDecoderLayer
        Dropout Dropout1d Dropout2d Dropout3d AlphaDropout
        Upsample UpsamplingNearest2d UpsamplingBilinear2d PixelShuffle ZeroPad1d ZeroPad2d ZeroPad3d Unflatten Parameter
        ReLU LeakyReLU PReLU ELU Softmax
        GELU Sigmoid Tanh SiLU Mish SELU CELU GLU ReLU6 Softplus Softsign LogSoftmax LogSigmoid Hardswish Hardsigmoid
        Hardtanh Hardshrink Softshrink Tanhshrink
    """,
    ("operator", "torch.nn.functional"): "one_hot normalize scaled_dot_product_attention",
    ("operator", "torch"): """
        cat concat stack split reshape permute transpose swapaxes moveaxis unsqueeze squeeze flip roll tile
        repeat_interleave index_select gather broadcast_to diagonal tril triu
        matmul bmm einsum tensordot dot inner outer where clamp clip topk sort argsort argmax argmin
        abs exp expm1 log log1p log2 log10 sqrt rsqrt square reciprocal sin cos tan arcsin arccos arctan sinh cosh tanh
        sigmoid erf floor ceil round trunc sign
        add sub mul div floor_divide pow neg maximum minimum logaddexp
        logical_and logical_or logical_not logical_xor isnan isinf isfinite nan_to_num
        mean sum prod std var max min amax amin all any norm trace diff logsumexp cumsum cumprod count_nonzero
        arange linspace eye zeros ones full zeros_like ones_like full_like randn rand
    """,
    ("layer", "torchvision.transforms"): """
        Normalize ToTensor Resize CenterCrop RandomCrop RandomHorizontalFlip RandomVerticalFlip RandomRotation
        RandomErasing ColorJitter RandAugment AugMix
    """,
    ("activation", "torch.nn.functional"): """
        relu relu6 leaky_relu elu selu celu gelu silu mish sigmoid tanh softmax log_softmax softplus softsign glu
        hardswish logsigmoid hardsigmoid hardtanh hardshrink softshrink tanhshrink threshold
    """,
    ("initializer", "torch.nn.init"): """
        xavier_uniform_ xavier_normal_ kaiming_uniform_ kaiming_normal_ trunc_normal_ normal_ uniform_ zeros_ ones_
        constant_ orthogonal_ eye_
    """,
    ("loss", "torch.nn"): """
        CrossEntropyLoss NLLLoss BCELoss BCEWithLogitsLoss MSELoss L1Loss SmoothL1Loss HuberLoss KLDivLoss
        PoissonNLLLoss CTCLoss
    """,
    ("optimizer", "torch.optim"): "Adam AdamW NAdam Adamax SGD RMSprop Adagrad Adadelta Adafactor Muon",
    ("schedule", "torch.optim.lr_scheduler"): """
        OneCycleLR ExponentialLR StepLR MultiStepLR PolynomialLR CosineAnnealingLR CosineAnnealingWarmRestarts
    """,
}
"""The names by the kind of the counterpart and by module."""

OTHER_NAMES = {
    "torch.nn.RNN": "SimpleRNN",
    "torch.nn.RNNCell": "SimpleRNNCell",
    "torch.transpose": "ops.swapaxes",
    "torch.gather": "ops.take_along_axis",
    "torch.index_select": "ops.take",
    "torch.repeat_interleave": "ops.repeat",
}
"""Counterparts of names that have another meaning in a spec."""

KNOWN: dict[str, list[str]] = {
    **{registry.kind: [*registry.by_name] for registry in REGISTRIES},
    "layer": [*LAYERS.by_name, *library.block_types()],
}


class Counterpart(NamedTuple):
    """What stands for a name of PyTorch: what to write, as JSON, and its page."""

    text: str
    record: Record


@cache
def counterparts() -> dict[str, Counterpart]:
    """The counterpart of each name with its module: `torch.nn.Linear`."""
    return {
        f"{module}.{name}": _counterpart(kind, module, name)
        for (kind, module), names in NAMES.items()
        for name in names.split()
    }


def pytorch_names(record: Record) -> list[str]:
    return [name for name, counterpart in counterparts().items() if counterpart.record == record]


def _counterpart(kind: str, module: str, name: str) -> Counterpart:
    """The function of keras.ops that has the name, or else what the help for the name proposes."""
    operator = OTHER_NAMES.get(f"{module}.{name}", f"{OPERATOR_PREFIX}{name}")
    if f"{module}.{name}" in OTHER_NAMES or (kind == "operator" and operator in LAYERS.by_name):
        return Counterpart(json.dumps(operator), find_record(kind, operator))
    names = [f"{module}.{name.rstrip('_')}"]  # functions of torch.nn.init end with an underscore
    if kind == "operator":
        kind, names = "layer", [operator, *names]
    for candidate in names:
        suggestion = foreign_name(kind, candidate, KNOWN[kind])
        if suggestion and suggestion.replacements:
            return _replaced(kind, suggestion)
    raise KeyError(f"no help names a counterpart of {module}.{name}")


def _replaced(kind: str, suggestion: Suggestion) -> Counterpart:
    """The counterpart that a help proposes: a name becomes that of the page, an object stays."""
    value: Any = suggestion.replacements[0]
    if isinstance(value, str):
        record = _record(kind, value)
        return Counterpart(json.dumps(record.name), record)
    record = (
        find_record("activation", value["activation"])
        if value["type"] == "Activation"
        else _record(kind, value["type"])
    )
    return Counterpart(suggestion.text.removeprefix("write "), record)


def _record(kind: str, name: str) -> Record:
    is_operator, is_block = name.startswith(OPERATOR_PREFIX), name.startswith(BLOCK_PREFIX)
    return find_record("operator" if is_operator else "block" if is_block else kind, name)
