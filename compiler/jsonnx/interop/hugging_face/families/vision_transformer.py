"""ViT and DINOv2: transformers of image patches (`std.VisionTransformerLayer`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ..config import Config
from ..translation import Shape, Translation, Weights, dense, head_output, head_projection, layer_norm, tensor
from .common import ACTIVATIONS, FIRST_TOKEN, class_count, entry, prefix_of
from .heads import Head, read_pooler, with_head

CLASSIFIER_TASK = "ImageClassification"


class ModuleNames(NamedTuple):
    """The modules of a layer: those that files have, and those of version 5 of transformers in memory."""

    attention: tuple[str, str, str, str]
    """Query, key, value and output."""
    norms: tuple[str, str]
    feedforward: tuple[str, str]


STORED_ATTENTION = (
    "attention.attention.query",
    "attention.attention.key",
    "attention.attention.value",
    "attention.output.dense",
)
MEMORY_ATTENTION = ("attention.q_proj", "attention.k_proj", "attention.v_proj", "attention.o_proj")
VIT_NORMS, DINOV2_NORMS = ("layernorm_before", "layernorm_after"), ("norm1", "norm2")
VIT = ModuleNames(STORED_ATTENTION, VIT_NORMS, ("intermediate.dense", "output.dense"))
VIT_IN_MEMORY = ModuleNames(MEMORY_ATTENTION, VIT_NORMS, ("mlp.fc1", "mlp.fc2"))
DINOV2 = ModuleNames(STORED_ATTENTION, DINOV2_NORMS, ("mlp.fc1", "mlp.fc2"))
DINOV2_IN_MEMORY = DINOV2._replace(attention=MEMORY_ATTENTION)


class VisionTransformer(NamedTuple):
    """The sizes and options of a network."""

    layers: int
    hidden: int
    heads: int
    intermediate: int
    activation: Any
    has_bias: bool
    dropout: float
    attention_dropout: float
    epsilon: float
    scale: float | None
    drop_path: float
    image: tuple[int, int]
    patch: tuple[int, int]
    channels: int

    @property
    def patch_count(self) -> int:
        return (self.image[0] // self.patch[0]) * (self.image[1] // self.patch[1])

    def entries(self) -> list[dict[str, Any]]:
        """The entries up to `last_hidden_state`."""
        size, patches = self.hidden, self.patch_count
        options = {
            "activation": self.activation,
            "use_query_key_value_bias": self.has_bias,
            "layer_scale_init_value": self.scale,
            "dropout": self.dropout,
            "attention_dropout": self.attention_dropout,
            "drop_path_rate": self.drop_path,
        }
        defaults = {
            "activation": "gelu",
            "use_query_key_value_bias": True,
            "layer_scale_init_value": None,
        }
        shown = {key: value for key, value in options.items() if value != defaults.get(key, 0.0)}
        return [
            entry("Conv2D", "patches", filters=size, kernel_size=[*self.patch], strides=[*self.patch]),
            entry("Reshape", "patch_sequence", target_shape=[patches, size]),
            entry("Variable", "class_token", "patch_sequence", shape=[1, size]),
            entry("Concatenate", "tokens", ["class_token", "patch_sequence"], axis=1),
            entry("PositionEmbedding", "position_embeddings", sequence_length=patches + 1),
            entry("Add", "embeddings_sum", ["tokens", "position_embeddings"]),
            entry("Dropout", "embeddings", rate=self.dropout),
            entry(
                "std.VisionTransformerLayer",
                "layer_${index}",
                repeat=self.layers,
                hidden_dim=size,
                intermediate_dim=self.intermediate,
                num_heads=self.heads,
                **shown,
                layer_norm_epsilon=self.epsilon,
            ),
            entry("LayerNormalization", "last_hidden_state", epsilon=self.epsilon),
        ]

    def weights(self, prefix: str, layers: str, names: ModuleNames) -> Weights:
        """The weights of these entries; the modules of layer 2 begin with `{layers}2.`."""
        size, embeddings = self.hidden, f"{prefix}embeddings"
        kernel = tensor(f"{embeddings}.patch_embeddings.projection.weight", size, self.channels, *self.patch)
        weights: Weights = {
            "patches/kernel": kernel.transposed(2, 3, 1, 0),
            "patches/bias": tensor(f"{embeddings}.patch_embeddings.projection.bias", size),
            "class_token/value": tensor(f"{embeddings}.cls_token", 1, 1, size).reshaped(1, size),
            "position_embeddings/embeddings": tensor(
                f"{embeddings}.position_embeddings", 1, self.patch_count + 1, size
            ).reshaped(self.patch_count + 1, size),
            **layer_norm("last_hidden_state", f"{prefix}layernorm", size),
        }
        for index in range(self.layers):
            weights |= self._layer_weights(f"layer_{index}", f"{layers}{index}", names)
        return weights

    def _layer_weights(self, layer: str, module: str, names: ModuleNames) -> Weights:
        size, heads, width = self.hidden, self.heads, self.intermediate
        weights: Weights = {}
        for role, name in zip(("query", "key", "value"), names.attention, strict=False):
            target = f"{layer}_attention/{role}"
            weights |= head_projection(target, f"{module}.{name}", size, heads, size // heads, bias=self.has_bias)
        output = f"{layer}_attention/attention_output"
        weights |= head_output(output, f"{module}.{names.attention[3]}", heads, size // heads, size)
        weights |= layer_norm(f"{layer}_attention_norm", f"{module}.{names.norms[0]}", size)
        weights |= layer_norm(f"{layer}_feedforward_norm", f"{module}.{names.norms[1]}", size)
        weights |= dense(f"{layer}_intermediate", f"{module}.{names.feedforward[0]}", size, width)
        weights |= dense(f"{layer}_output", f"{module}.{names.feedforward[1]}", width, size)
        if self.scale is not None:
            weights[f"{layer}_attention_scale/gamma"] = tensor(f"{module}.layer_scale1.lambda1", size)
            weights[f"{layer}_output_scale/gamma"] = tensor(f"{module}.layer_scale2.lambda1", size)
        return weights


def _pair(config: Config, key: str, default: int) -> tuple[int, int]:
    """Height and width: a number, or a list of two."""
    if config.is_list(key):
        sizes = config.list_of(key, int)
        if len(sizes) != 2 or not all(0 < size <= MAX_IMAGE_SIZE for size in sizes):
            config.fail(key, "invalid-value", f"{key!r} has to be a size, or height and width, got {sizes[:3]}")
        return sizes[0], sizes[1]
    size = config.integer(key, default, maximum=MAX_IMAGE_SIZE)
    return size, size


MAX_IMAGE_SIZE = 1 << 15
"""The largest height and width of an image, in pixels."""


def _read(config: Config, epsilon: float, scale: float | None) -> VisionTransformer:
    """The sizes and options, with the keys that ViT and DINOv2 have in common."""
    hidden, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    config.require_multiple("hidden_size", hidden, "num_attention_heads", heads)
    if scale is None:
        width = config.integer("intermediate_size")
    else:
        width = max(1, int(hidden * config.number("mlp_ratio", 4, maximum=64)))
    image, patch = _pair(config, "image_size", 224), _pair(config, "patch_size", 16 if scale is None else 14)
    if image[0] < patch[0] or image[1] < patch[1]:
        config.fail("patch_size", "invalid-value", "'patch_size' is larger than 'image_size'")
    return VisionTransformer(
        config.layer_count("num_hidden_layers"),
        hidden,
        heads,
        width,
        config.choice("hidden_act", ACTIVATIONS, "gelu"),
        config.flag("qkv_bias", True),
        config.rate("hidden_dropout_prob"),
        config.rate("attention_probs_dropout_prob"),
        config.number("layer_norm_eps", epsilon),
        scale,
        0.0 if scale is None else config.rate("drop_path_rate"),
        image,
        patch,
        config.integer("num_channels", 3, maximum=1024),
    )


def _inputs(network: VisionTransformer) -> dict[str, Any]:
    return {"pixel_values": {"shape": [*network.image, network.channels]}}


def translate_vit(config: Config, tensors: Mapping[str, Shape]) -> Translation:
    """ViT: the base model, or a classifier of images. Images have their channels last."""
    config.skip("encoder_stride")  # of the decoder of masked images
    network = _read(config, 1e-12, None)
    prefix, size = prefix_of("vit.", tensors), network.hidden
    is_stored = any(name.startswith(f"{prefix}encoder.") for name in tensors)
    layers, names = ("encoder.layer.", VIT) if is_stored else ("layers.", VIT_IN_MEMORY)
    entries, weights = network.entries(), network.weights(prefix, prefix + layers, names)
    pooled = config.integer("pooler_output_size", size)
    activation = config.choice("pooler_act", ACTIVATIONS, "tanh")
    pooler = read_pooler(f"{prefix}pooler.dense", size, tensors, pooled, activation)
    unused = (f"{prefix}embeddings.mask_token", "decoder.*", "classifier.*")
    body = Translation({"inputs": _inputs(network), "layers": entries}, weights, unused=unused)
    heads = {CLASSIFIER_TASK: _classifier(config, size, FIRST_TOKEN)}
    return replace(with_head(config, body, heads, pooler), pooling=(FIRST_TOKEN,), pooling_weights={})


def _classifier(config: Config, features: int, *entries: dict[str, Any]) -> Head:
    """Entries, and a Dense layer of logits."""
    classes = class_count(config)
    layer = entry("Dense", "classifier", units=classes)
    return Head((*entries, layer), dense("classifier", "classifier", features, classes))


def translate_dinov2(config: Config, tensors: Mapping[str, Shape]) -> Translation:
    """DINOv2: the base model, or a classifier of images. Images have the size of the configuration, channels last."""
    config.expect("use_swiglu_ffn", False)
    config.skip("apply_layernorm", "out_features", "out_indices", "reshape_hidden_states", "stage_names")  # backbones
    config.skip("use_mask_token")  # of the training with masked patches
    network = _read(config, 1e-6, config.number("layerscale_value", 1.0))
    prefix, size = prefix_of("dinov2.", tensors), network.hidden
    is_stored = any(".attention.attention." in name for name in tensors)
    names = DINOV2 if is_stored else DINOV2_IN_MEMORY
    has_encoder = any(name.startswith(f"{prefix}encoder.") for name in tensors)
    layers = "encoder.layer." if has_encoder else "layers."
    entries, weights = network.entries(), network.weights(prefix, prefix + layers, names)
    pooling = (
        FIRST_TOKEN,
        entry("ops.get_item", "patch_tokens", "last_hidden_state", key=[":", "1:"]),
        entry("GlobalAveragePooling1D", "patch_mean"),
        entry("Concatenate", "features", ["first_token", "patch_mean"]),
    )
    unused = (f"{prefix}embeddings.mask_token", "classifier.*")
    body = Translation({"inputs": _inputs(network), "layers": entries}, weights, unused=unused)
    heads = {CLASSIFIER_TASK: _classifier(config, 2 * size, *pooling)}
    return replace(with_head(config, body, heads, None), pooling=pooling)
