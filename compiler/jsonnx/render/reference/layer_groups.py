"""The groups of the layer reference, in the order of Keras' documentation."""

from __future__ import annotations

from typing import NamedTuple

from ...core.components import Component
from ...core.natural_order import natural_key
from ...layers import LAYERS


class LayerGroup(NamedTuple):
    """A heading of the reference. Its layers stand in the order of `names`; other layers of its modules follow them."""

    title: str
    modules: tuple[str, ...]
    """Modules of `layers/`, without the package; a longer name takes precedence over a shorter one."""
    names: str = ""
    """Layers in order, separated by spaces; a `#` stands for the digits 1, 2 and 3."""

    def ordered_names(self) -> list[str]:
        names = self.names.split()
        return [name.replace("#", digit) for name in names for digit in ("123" if "#" in name else "1")]


GROUPS = (
    LayerGroup(
        "Core layers",
        ("core", "einsum_dense", "sequence_mask", "variable"),
        "Dense EinsumDense Activation Embedding ReversibleEmbedding Masking SequenceMask Identity Variable",
    ),
    LayerGroup(
        "Convolution layers",
        ("convolution",),
        "Conv#D SeparableConv1D SeparableConv2D DepthwiseConv1D DepthwiseConv2D Conv#DTranspose",
    ),
    LayerGroup(
        "Pooling layers",
        ("convolution.pooling",),
        "MaxPooling#D AveragePooling#D GlobalMaxPooling#D GlobalAveragePooling#D AdaptiveMaxPooling#D "
        "AdaptiveAveragePooling#D",
    ),
    LayerGroup(
        "Recurrent layers",
        ("rnn",),
        "LSTM LSTMCell GRU GRUCell SimpleRNN SimpleRNNCell RNN StackedRNNCells Bidirectional TimeDistributed "
        "ConvLSTM#D",
    ),
    LayerGroup("Text preprocessing", ("preprocessing.text_vectorization", "preprocessing.tokenizer")),
    LayerGroup("Numerical features preprocessing", ("preprocessing", "image.pipeline"), "Normalization Discretization"),
    LayerGroup("Categorical features preprocessing", ("preprocessing.lookup",), "CategoryEncoding StringLookup"),
    LayerGroup("Image preprocessing", ("image.resizing",), "Resizing Rescaling CenterCrop AutoContrast"),
    LayerGroup("Image augmentation", ("image",)),
    LayerGroup("Audio preprocessing", ("preprocessing.audio",)),
    LayerGroup(
        "Normalization layers",
        ("normalization",),
        "BatchNormalization LayerNormalization UnitNormalization GroupNormalization RMSNormalization "
        "LocalResponseNormalization",
    ),
    LayerGroup("Regularization layers", ("regularization",), "Dropout SpatialDropout#D GaussianDropout AlphaDropout"),
    LayerGroup(
        "Attention layers",
        ("attention",),
        "MultiHeadAttention GroupQueryAttention Attention AdditiveAttention PositionEmbedding SinePositionEncoding "
        "RotaryEmbedding RelativePositionBias",
    ),
    LayerGroup(
        "Reshaping layers",
        ("reshaping",),
        "Reshape Flatten RepeatVector Permute Cropping#D UpSampling#D ZeroPadding#D",
    ),
    LayerGroup("Merging layers", ("merging",), "Concatenate Average Maximum Minimum Add Subtract Multiply Dot"),
    LayerGroup("Activation layers", ("activation_layers",), "ReLU Softmax LeakyReLU PReLU ELU"),
    LayerGroup("Layers of keras.applications", ("keras_applications",)),
    LayerGroup("Networks of other programs", ("onnx_files",)),
    LayerGroup("keras.ops: creation", ("ops.creation",), "ops.arange ops.zeros ops.ones ops.full ops.eye"),
    LayerGroup("keras.random", ("ops.random_numbers",)),
    LayerGroup("keras.ops: element-wise functions of one tensor", ("ops.unary",)),
    LayerGroup(
        "keras.ops: trigonometric and hyperbolic functions",
        (),
        "ops.sin ops.cos ops.tan ops.arcsin ops.arccos ops.arctan ops.sinh ops.cosh ops.arcsinh ops.arccosh "
        "ops.arctanh ops.sinc ops.deg2rad ops.rad2deg",
    ),
    LayerGroup(
        "keras.ops: activation functions",
        (),
        "ops.relu ops.relu6 ops.leaky_relu ops.elu ops.selu ops.celu ops.gelu ops.silu ops.hard_silu ops.sigmoid "
        "ops.log_sigmoid ops.hard_sigmoid ops.sparse_sigmoid ops.tanh ops.hard_tanh ops.tanh_shrink ops.hard_shrink "
        "ops.soft_shrink ops.threshold ops.softmax ops.log_softmax ops.sparsemax ops.softplus ops.sparse_plus "
        "ops.squareplus ops.softsign ops.glu",
    ),
    LayerGroup("keras.ops: element-wise functions of several tensors", ("ops.binary",)),
    LayerGroup("keras.ops: reductions", ("ops.reductions", "ops.norms")),
    LayerGroup("keras.ops: shapes", ("ops",), "ops.reshape ops.transpose ops.concatenate ops.stack ops.split"),
    LayerGroup("keras.ops: indexing, sorting, cumulative sums", ("ops.indexing", "ops.get_item"), "ops.get_item"),
    LayerGroup(
        "keras.ops: linear algebra", ("ops.linalg", "ops.diagonals"), "ops.matmul ops.dot ops.einsum ops.tensordot"
    ),
    LayerGroup("keras.ops: neural networks", ("ops.nn", "ops.attention"), "ops.dot_product_attention"),
)
"""Every module of a layer belongs to a group by the module's name or by its folder's."""


def grouped_layers() -> list[tuple[str, list[type[Component]]]]:
    """The layers of each group, by the group's title. Raises KeyError for a layer whose module belongs to no group."""
    positions = {name: (group, index) for group in GROUPS for index, name in enumerate(group.ordered_names())}
    groups: dict[str, list[type[Component]]] = {group.title: [] for group in GROUPS}

    def position(layer: type[Component]) -> tuple[float, list[str | int]]:
        return positions.get(layer.type_name, (None, float("inf")))[1], natural_key(layer.type_name)

    for layer in sorted(LAYERS, key=position):
        group = positions[layer.type_name][0] if layer.type_name in positions else group_of_module(layer.__module__)
        groups[group.title].append(layer)
    return list(groups.items())


def group_of_module(module: str) -> LayerGroup:
    """The group of a module: of its own name, or of the nearest folder that has one."""
    by_module = {name: group for group in GROUPS for name in group.modules}
    name = module.partition(".layers.")[2]
    while name and name not in by_module:
        name = name.rpartition(".")[0]
    if not name:
        raise KeyError(f"the layers of {module} belong to no group: name the module in GROUPS")
    return by_module[name]
