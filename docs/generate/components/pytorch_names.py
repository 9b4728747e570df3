"""Names of PyTorch with a counterpart here: what the help of an error says about a name gives its page."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, NamedTuple

from jsonnx import library
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
        LSTM GRU LSTMCell GRUCell MultiheadAttention
        TransformerEncoderLayer TransformerDecoderLayer
        Dropout Dropout1d Dropout2d Dropout3d AlphaDropout
        Upsample ZeroPad2d Parameter
        ReLU LeakyReLU PReLU ELU Softmax
        GELU Sigmoid Tanh SiLU Mish SELU CELU GLU ReLU6 Softplus Softsign LogSoftmax LogSigmoid Hardswish Hardsigmoid
        Hardtanh
    """,
    ("operator", "torch.nn.functional"): "one_hot normalize scaled_dot_product_attention",
    ("operator", "torch"): """
        cat concat stack split reshape permute swapaxes unsqueeze squeeze flip roll tile
        matmul bmm einsum tensordot outer where clamp clip topk sort argsort argmax argmin
        abs exp log log1p sqrt rsqrt square sin cos tan tanh sigmoid erf floor ceil round sign
        add sub mul div pow neg maximum minimum
        mean sum prod std var max min amax amin all any logsumexp cumsum cumprod
        arange linspace eye zeros ones full randn rand
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
        PoissonNLLLoss HingeEmbeddingLoss CosineEmbeddingLoss CTCLoss
    """,
    ("optimizer", "torch.optim"): "Adam AdamW NAdam Adamax SGD RMSprop Adagrad Adadelta Adafactor Muon",
    ("schedule", "torch.optim.lr_scheduler"): """
        OneCycleLR ExponentialLR StepLR MultiStepLR PolynomialLR CosineAnnealingLR CosineAnnealingWarmRestarts
    """,
}
"""The names by the kind of the counterpart and by module."""

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
    operator = f"{OPERATOR_PREFIX}{name}"
    if kind == "operator" and operator in LAYERS.by_name:
        return Counterpart(json.dumps(operator), find_record(kind, operator))
    names = [f"{module}.{name.rstrip('_')}"]  # functions of torch.nn.init end with an underscore
    if kind == "operator":
        kind, names = "layer", [operator, *names]
    for candidate in names:
        suggestion = foreign_name(kind, candidate, KNOWN[kind])
        if suggestion and suggestion.replacements:
            return Counterpart(suggestion.text.removeprefix("write "), _record(kind, suggestion.replacements[0]))
    raise KeyError(f"no help names a counterpart of {module}.{name}")


def _record(kind: str, value: Any) -> Record:
    if isinstance(value, dict) and value["type"] == "Activation":
        return find_record("activation", value["activation"])
    name = value["type"] if isinstance(value, dict) else value
    is_operator, is_block = name.startswith(OPERATOR_PREFIX), name.startswith(BLOCK_PREFIX)
    return find_record("operator" if is_operator else "block" if is_block else kind, name)
