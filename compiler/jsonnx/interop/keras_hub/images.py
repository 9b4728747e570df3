"""ViT and DINOv2 of KerasHub."""

from __future__ import annotations

from typing import Any

from ..hugging_face.families.vision_transformer import DINOV2 as DINOV2_MODULES
from ..hugging_face.families.vision_transformer import MAX_IMAGE_SIZE, ModuleNames, VisionTransformer
from ..hugging_face.families.vision_transformer import VIT as VIT_MODULES
from .backbone import Backbone, Source
from .stored_weights import Place, Places, extra_axis

EPSILON = 1e-6
MAX_CHANNELS = 1024
"""The most channels of an image."""

VIT = Places(
    "vi_t_encoder/encoder_layers/vi_t_encoder_block",
    {
        "attention/query": "mha/query_dense",
        "attention/key": "mha/key_dense",
        "attention/value": "mha/value_dense",
        "attention/attention_output": "mha/output_dense",
        "attention_norm": "layer_norm_1",
        "feedforward_norm": "layer_norm_2",
        "intermediate": "mlp/dense_1",
        "output": "mlp/dense_2",
    },
    {
        "patches": "vi_t_patching_and_embedding/patch_embedding",
        "class_token": Place("vi_t_patching_and_embedding", extra_axis),
        "position_embeddings": "vi_t_patching_and_embedding/position_embedding",
        "last_hidden_state": "vi_t_encoder/layer_norm",
    },
)


def dinov2_places(position_variable: int) -> Places:
    """The places of DINOv2's weights; the embedding of positions is a variable of this number."""
    return Places(
        "dinov2_encoder/layers/dinov2_layer",
        {
            "attention/query": "attention/attention/query_dense",
            "attention/key": "attention/attention/key_dense",
            "attention/value": "attention/attention/value_dense",
            "attention/attention_output": "attention/attention/output_dense",
            "attention_norm": "norm1",
            "attention_scale": "layer_scale1",
            "feedforward_norm": "norm2",
            "intermediate": "mlp/fc1",
            "output": "mlp/fc2",
            "output_scale": "layer_scale2",
        },
        {
            "patches": "dinov2_embedding/patch_embeddings/projection",
            "class_token": Place("dinov2_embedding", extra_axis),
            "position_embeddings": Place(f"dinov2_embedding/vars/{position_variable}", extra_axis),
            "last_hidden_state": "layer_normalization",
        },
    )


def read_vit(source: Source) -> Backbone:
    """ViT."""
    config = source.config
    for key in ("use_mha_bias", "use_mlp_bias", "use_class_token", "use_patch_bias"):
        config.expect(key, True)
    dropout = config.rate("dropout_rate")
    if dropout:
        source.warn("'dropout_rate' applies to the results of the feedforward networks, not to the values inside them")
    network = _read(source, "mlp_dim")._replace(
        dropout=dropout,
        attention_dropout=config.rate("attention_dropout"),
        epsilon=config.number("layer_norm_epsilon", EPSILON),
    )
    return _backbone(source, network, VIT, VIT_MODULES)


def read_dinov2(source: Source) -> Backbone:
    """DINOv2, for images of the size in its configuration.

    The file has two embeddings of positions: for images of that size, and for those of the first training, from which
    KerasHub computes the former when it creates the model.
    """
    config = source.config
    config.expect("use_swiglu_ffn", False)
    config.expect("num_register_tokens", 0)
    config.skip("position_embedding_shape", "antialias_in_interpolation", "apply_layernorm")
    dropout = config.rate("dropout_rate")
    if dropout:
        source.warn("'dropout_rate' applies to the results of the feedforward networks, too")
    network = _read(source, "intermediate_dim")._replace(
        dropout=dropout,
        attention_dropout=dropout,
        scale=config.number("layer_scale_init_value", 1.0, minimum=-1e6),
        drop_path=config.rate("drop_path_rate"),
    )
    position_variable = 1 + config.flag("use_mask_token", True)
    group = f"{source.root}layers/dinov2_embedding/vars"
    unused = (f"{group}/1", f"{group}/{position_variable + 1}")
    return _backbone(source, network, dinov2_places(position_variable), DINOV2_MODULES, unused)


def _read(source: Source, intermediate_key: str) -> VisionTransformer:
    """The sizes that both architectures have."""
    config = source.config
    size, heads = config.integer("hidden_dim"), config.integer("num_heads")
    config.require_multiple("hidden_dim", size, "num_heads", heads)
    image = config.list_of("image_shape", int, max_length=3)
    if len(image) != 3 or not all(0 < side <= MAX_IMAGE_SIZE for side in image[:2]) or not 0 < image[2] <= MAX_CHANNELS:
        message = f"'image_shape' has to be height, width and up to {MAX_CHANNELS:,} channels, got {image}"
        config.fail("image_shape", "invalid-value", message)
    patch = config.list_of("patch_size", int) if config.is_list("patch_size") else 2 * [config.integer("patch_size")]
    if len(patch) != 2 or not all(0 < length <= side for length, side in zip(patch, image, strict=False)):
        message = f"'patch_size' has to be height and width of a part of an image, got {patch[:3]}"
        config.fail("patch_size", "invalid-value", message)
    return VisionTransformer(
        layers=config.layer_count("num_layers"),
        hidden=size,
        heads=heads,
        intermediate=config.integer(intermediate_key),
        activation="gelu",
        has_bias=True,
        dropout=0.0,
        attention_dropout=0.0,
        epsilon=EPSILON,
        scale=None,
        drop_path=0.0,
        image=(image[0], image[1]),
        patch=(patch[0], patch[1]),
        channels=image[2],
    )


def _backbone(
    source: Source, network: VisionTransformer, places: Places, modules: ModuleNames, unused: tuple[str, ...] = ()
) -> Backbone:
    shapes = {name: weight.shape for name, weight in network.weights("", "", modules).items()}
    inputs: dict[str, Any] = {"images": {"shape": [*network.image, network.channels]}}
    spec = {"inputs": inputs, "layers": network.entries(), "outputs": ["last_hidden_state"]}
    return Backbone(spec, places.sources(shapes, source.root), network.hidden, unused=unused)
