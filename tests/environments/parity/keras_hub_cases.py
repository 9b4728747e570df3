"""Layers that KerasHub has, as layers of a spec: what `record_keras_hub` records and `test_keras_hub` compares.

Inputs and weights are drawn from the case's name, so that both sides have the same.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FIXTURE = Path(__file__).parent / "fixtures" / "keras_hub.json"


class HubCase(NamedTuple):
    """A layer in a spec, the class and the arguments in KerasHub, and the shape of its input with the batch."""

    id: str
    layer: dict[str, Any]
    keras_class: str
    arguments: dict[str, Any]
    shape: tuple[int, ...]
    positions: bool = False
    """Whether there is a second input with the positions."""
    weights: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """The names here and the shapes of the weights, in the order of KerasHub."""

    @property
    def fingerprint(self) -> str:
        """A hash of everything that determines the results of KerasHub."""
        fields = self.id, self.keras_class, self.arguments, self.shape, self.positions, self.weights
        return blake2b(json.dumps(fields, sort_keys=True).encode(), digest_size=6).hexdigest()

    def inputs(self) -> list[np.ndarray]:
        """The input, and the positions if the case has them."""
        rng = np.random.default_rng(list(self.id.encode()))
        x = rng.normal(size=self.shape).astype(np.float32)
        return [x, rng.integers(0, 9, self.shape[:2]).astype(np.int32)] if self.positions else [x]

    def drawn_weights(self) -> dict[str, np.ndarray]:
        """The weights by their names here, without the name of the layer."""
        rng = np.random.default_rng([*self.id.encode(), 1])
        return {name: (rng.normal(size=shape) * 0.4).astype(np.float32) for name, shape in self.weights}


def same(id: str, kind: str, shape: tuple[int, ...], *, start: int = 0, **options: Any) -> HubCase:
    """A case of a layer that has the same name and the same arguments in KerasHub."""
    case_options = {key: options.pop(key) for key in ("positions", "weights") if key in options}
    layer = {"type": kind, **options, **({"start_index": start} if start else {})}
    return HubCase(id, layer, kind, {**options, "start_index": start}, shape, **case_options)


TABLE = ((("embeddings", (9, 6))),)
YARN = {"rope_type": "yarn", "scaling_factor": 4.0, "original_max_position_embeddings": 16, "max_wavelength": 500}
ATTENTION = {
    "head_dim": 4,
    "num_query_heads": 4,
    "num_key_value_heads": 2,
    "use_causal_mask": True,
    "rotary": {"max_wavelength": 500},
    "use_bias": False,
}
QUERY, KEY, VALUE = (("query/kernel", (16, 4, 4)), ("key/kernel", (16, 2, 4)), ("value/kernel", (16, 2, 4)))
OUTPUT = ("attention_output/kernel", (4, 4, 16))
NORMS = (("query_norm/scale", (4,)), ("key_norm/scale", (4,)))
BIASES = (("query/bias", (4, 4)), ("key/bias", (2, 4)), ("value/bias", (2, 4)))
HEADS = {"num_query_heads": 4, "num_key_value_heads": 2, "rope_max_wavelength": 500}

CASES = [
    same("position-embedding", "PositionEmbedding", (2, 7, 6), sequence_length=9, weights=TABLE),
    same("position-embedding-start", "PositionEmbedding", (2, 7, 6), start=2, sequence_length=9, weights=TABLE),
    same(
        "position-embedding-positions", "PositionEmbedding", (2, 7, 6), sequence_length=9, weights=TABLE, positions=True
    ),
    same("sine", "SinePositionEncoding", (2, 30, 8)),
    same("sine-odd", "SinePositionEncoding", (2, 11, 5), start=4, max_wavelength=300),
    same("rotary", "RotaryEmbedding", (2, 30, 8)),
    same("rotary-heads", "RotaryEmbedding", (2, 9, 3, 8), start=5, max_wavelength=500, scaling_factor=2.0),
    same("rotary-axes", "RotaryEmbedding", (2, 8, 3, 5), sequence_axis=-1, feature_axis=1),
    same("rotary-positions", "RotaryEmbedding", (2, 9, 3, 8), positions=True),
    same("rotary-dynamic", "RotaryEmbedding", (2, 9, 8), rope_type="dynamic", scaling_factor=3.0),
    same("rotary-denominator", "RotaryEmbedding", (2, 9, 8), denominator_dim=12),
    same("rotary-yarn", "RotaryEmbedding", (2, 24, 16), **YARN, truncate=False),
    same("rotary-yarn-truncated", "RotaryEmbedding", (2, 24, 16), **YARN, truncate=True),
    HubCase(
        "llama",
        {"type": "GroupQueryAttention", **ATTENTION},
        "LlamaAttention",
        HEADS,
        (2, 7, 16),
        weights=(QUERY, KEY, VALUE, OUTPUT),
    ),
    HubCase(
        "qwen2",
        {"type": "GroupQueryAttention", **ATTENTION, "use_bias": True, "use_output_bias": False},
        "QwenAttention",
        HEADS,
        (2, 7, 16),
        weights=(QUERY, BIASES[0], KEY, BIASES[1], VALUE, BIASES[2], OUTPUT),
    ),
    HubCase(
        "qwen3",
        {"type": "GroupQueryAttention", **ATTENTION, "use_query_key_norm": True, "layer_norm_epsilon": 1e-5},
        "Qwen3Attention",
        {**HEADS, "head_dim": 4, "layer_norm_epsilon": 1e-5},
        (2, 7, 16),
        weights=(QUERY, NORMS[0], KEY, NORMS[1], VALUE, OUTPUT),
    ),
]
