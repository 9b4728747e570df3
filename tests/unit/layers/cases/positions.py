"""PositionEmbedding, SinePositionEncoding, RotaryEmbedding, RelativePositionBias, and options of attention layers that
Keras lacks.

The values of an input that only gives its size have no gradient, so it counts as a mask.
"""

from . import Case

X, IMAGE, POSITIONS = (5, 4), (3, 2, 4), (5,)
LEARNED, SINES, ROTARY = {"type": "PositionEmbedding"}, {"type": "SinePositionEncoding"}, {"type": "RotaryEmbedding"}
HEADS = {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 4}
GROUPS = {"type": "GroupQueryAttention", "head_dim": 4, "num_query_heads": 4, "num_key_value_heads": 2}
LLAMA = {**GROUPS, "use_bias": False, "use_causal_mask": True, "rotary": {"max_wavelength": 500}}
YARN = {"rope_type": "yarn", "original_max_position_embeddings": 8, "scaling_factor": 4.0}
LLAMA3 = {"rope_type": "llama3", "original_max_position_embeddings": 16, "scaling_factor": 4.0, "max_wavelength": 100}
LONGROPE = {"rope_type": "longrope", "short_factor": [1.0, 1.5], "long_factor": [2.0, 5.0]}
LONG, SHORT = ({**LONGROPE, "original_max_position_embeddings": length} for length in (4, 5))
CAPPED = {"score_soft_cap": 0.7, "use_causal_mask": True}
VALUE_MASK = {"arguments": ["query", "value", "value_mask"]}
BUCKETS = {"type": "t5", "num_buckets": 6, "max_distance": 5}
SHAW = {"type": "shaw", "max_distance": 2}
BIAS = {"type": "RelativePositionBias", "num_heads": 3, "num_buckets": 8, "max_distance": 5}

CASES = [
    Case("position-embedding", {**LEARNED, "sequence_length": 7}, [X], masks=(0,)),
    Case("position-embedding-all", {**LEARNED, "sequence_length": 5, "initializer": "zeros"}, [X], masks=(0,)),
    Case("position-embedding-start", {**LEARNED, "sequence_length": 7, "start_index": 2}, [X], masks=(0,)),
    Case("position-embedding-image", {**LEARNED, "sequence_length": 3}, [IMAGE], masks=(0,)),
    Case("position-embedding-positions", {**LEARNED, "sequence_length": 2}, [X, POSITIONS], masks=(0, 1)),
    Case("sine-positions", SINES, [X], masks=(0,)),
    Case("sine-positions-odd", {**SINES, "max_wavelength": 50, "start_index": 3}, [(2, 6, 5)], masks=(0,)),
    Case("sine-positions-positions", SINES, [X, POSITIONS], masks=(0,)),
    Case("rotary", ROTARY, [X]),
    Case("rotary-heads", {**ROTARY, "max_wavelength": 100, "scaling_factor": 2.0, "start_index": 4}, [(5, 3, 6)]),
    Case("rotary-axes", {**ROTARY, "sequence_axis": -1, "feature_axis": 1}, [(4, 3, 5)]),
    Case("rotary-dynamic", {**ROTARY, "rope_type": "dynamic", "scaling_factor": 3.0}, [(5, 6)]),
    Case("rotary-yarn", {**ROTARY, **YARN}, [(12, 8)]),
    Case("rotary-yarn-fractions", {**ROTARY, **YARN, "truncate": False}, [(12, 8)]),
    Case("rotary-llama3", {**ROTARY, **LLAMA3}, [(12, 8)]),
    Case("rotary-longrope", {**ROTARY, **LONG, "scaling_factor": 8.0}, [X]),
    Case("rotary-longrope-short", {**ROTARY, **SHORT, "attention_factor": 1.5}, [X]),
    Case("rotary-longrope-positions", {**ROTARY, **LONG}, [X, POSITIONS], masks=(1,)),
    Case("rotary-denominator", {**ROTARY, "denominator_dim": 8}, [X]),
    Case("rotary-positions", ROTARY, [(5, 3, 4), POSITIONS], masks=(1,)),
    Case("heads-rotary", {**HEADS, "rotary": True}, [X]),
    Case("heads-rotary-cross", {**HEADS, "rotary": {"scaling_factor": 2.0}}, [X, (3, 2)]),
    Case("heads-rotary-columns", {**HEADS, "rotary": True, "attention_axes": [2]}, [IMAGE]),
    Case("heads-norm", {**HEADS, "use_query_key_norm": True, "layer_norm_epsilon": 1e-3, "rotary": True}, [X]),
    Case("heads-biases", {**HEADS, "use_key_bias": False, "use_gate": True}, [X]),
    Case("groups-llama", LLAMA, [X]),
    Case("groups-qwen2", {**LLAMA, "use_bias": True, "use_output_bias": False}, [X]),
    Case("groups-qwen3", {**LLAMA, "use_query_key_norm": True}, [X]),
    Case("groups-llama3", {**LLAMA, "rotary": LLAMA3}, [X]),
    Case("groups-gemma2", {**LLAMA, "score_scale": 0.3, "score_soft_cap": 0.5, "sliding_window": 3}, [X]),
    Case("heads-score-scale", {**HEADS, "score_scale": 2.0}, [X, (3, 4)]),
    Case("heads-score-cap", {**HEADS, **CAPPED, "return_attention_scores": True}, [X, (3, 4)]),
    Case("groups-score-cap", {**GROUPS, **CAPPED, **VALUE_MASK}, [X, X, (5,)], masks=(2,)),
    Case("groups-biases", {**GROUPS, "use_bias": False, "use_query_bias": True, "use_value_bias": True}, [X]),
    Case("heads-alibi", {**HEADS, "num_heads": 3, "relative_position": "alibi"}, [X]),
    Case("heads-alibi-causal", {**HEADS, "relative_position": "alibi", "use_causal_mask": True}, [X, (3, 4)]),
    Case("heads-t5", {**HEADS, "relative_position": BUCKETS}, [X]),
    Case("heads-t5-causal", {**HEADS, "relative_position": BUCKETS, "use_causal_mask": True}, [X]),
    Case("heads-t5-cross", {**HEADS, "relative_position": {**BUCKETS, "bidirectional": False}}, [X, (3, 4)]),
    Case("heads-shaw", {**HEADS, "relative_position": SHAW}, [X]),
    Case("heads-shaw-values", {**HEADS, "relative_position": {**SHAW, "use_values": True}}, [X, (7, 4)]),
    Case("heads-shaw-columns", {**HEADS, "relative_position": SHAW, "attention_axes": [2]}, [IMAGE]),
    Case("heads-shaw-one", {**HEADS, "relative_position": {**SHAW, "use_values": True}}, [(1, 4), (3, 4)]),
    Case("heads-bias", {**HEADS, "arguments": ["query", "attention_bias"]}, [X, (1, 5, 5)]),
    Case("groups-alibi", {**GROUPS, "relative_position": "alibi"}, [X]),
    Case("groups-t5", {**GROUPS, "relative_position": BUCKETS, "rotary": True}, [X]),
    Case("groups-shaw", {**GROUPS, "relative_position": {**SHAW, "use_values": True}, "dropout": 0.5}, [X]),
    Case("relative-position-bias", BIAS, [(5, 1)], masks=(0,)),
    Case("relative-position-bias-cross", {**BIAS, "bidirectional": False}, [(3, 1), (6, 2)], masks=(0, 1)),
]
