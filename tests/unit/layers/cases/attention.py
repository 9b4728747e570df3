"""MultiHeadAttention, GroupQueryAttention, Attention, AdditiveAttention."""

from . import Case

X, Y, MASK = (4, 3), (5, 3), (4, 5)
HEADS = {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 3}
GROUPS = {"type": "GroupQueryAttention", "head_dim": 2, "num_query_heads": 4, "num_key_value_heads": 2}
DOT, ADD = {"type": "Attention"}, {"type": "AdditiveAttention"}
SCORES, CAUSAL = {"return_attention_scores": True}, {"use_causal_mask": True}
MASKED = {"arguments": ["query", "value", "attention_mask"]}
ALL_MASKS = {"arguments": ["query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask"]}
LIST_MASKS = {"arguments": ["query", "value", "query_mask", "value_mask"]}

CASES = [
    Case("heads-self", HEADS, [X]),
    Case("heads-smallest", {**HEADS, "num_heads": 1, "key_dim": 1}, [(1, 1)]),
    Case("heads-cross", HEADS, [X, (5, 2)]),
    Case("heads-key", {**HEADS, "use_bias": False}, [X, (5, 2), (5, 4)]),
    Case("heads-gate", {**HEADS, "use_gate": True}, [X, Y]),
    Case("heads-value-dim", {**HEADS, "value_dim": 2}, [X, (5, 2), (5, 4)]),
    Case("heads-value-dim-scores", {**HEADS, "value_dim": 4, "use_gate": True, **SCORES}, [X, Y]),
    Case("heads-output", {**HEADS, "output_shape": 5}, [X]),
    Case("heads-output-axes", {**HEADS, "output_shape": [2, 3]}, [X]),
    Case("heads-scores", {**HEADS, **SCORES}, [X, Y]),
    Case("heads-dropout", {**HEADS, "dropout": 0.4, "seed": 3, **SCORES}, [X]),
    Case("heads-causal", {**HEADS, **CAUSAL}, [X, Y]),
    Case("heads-window", {**HEADS, "sliding_window": 2, "flash_attention": False}, [(5, 3)]),
    Case("heads-window-short", {**HEADS, "sliding_window": 1}, [(5, 3), (2, 3)]),
    Case("heads-window-short-scores", {**HEADS, "sliding_window": 1, **SCORES}, [(5, 3), (2, 3)]),
    Case("heads-window-causal", {**HEADS, "sliding_window": 2, **CAUSAL, **SCORES}, [(5, 3)]),
    Case("heads-mask", {**HEADS, **MASKED}, [X, Y, MASK], masks=(2,)),
    Case("heads-mask-heads", {**HEADS, **MASKED, **CAUSAL}, [X, Y, (2, 1, 5)], masks=(2,)),
    Case("heads-masks", {**HEADS, **ALL_MASKS, **SCORES}, [X, Y, Y, (4,), (5,), (5,), MASK], masks=(3, 4, 5, 6)),
    Case("heads-image", HEADS, [(2, 3, 2)]),
    Case("heads-image-scores", {**HEADS, **SCORES, "use_gate": True}, [(2, 3, 2), (4, 1, 2)]),
    Case("heads-image-mask", {**HEADS, **MASKED}, [(2, 3, 2), (2, 1, 2), (2, 3, 2, 1)], masks=(2,)),
    Case("heads-columns", {**HEADS, "attention_axes": 2, **SCORES}, [(2, 3, 2), (2, 4, 2)]),
    Case("heads-rows", {**HEADS, "attention_axes": [-3], **CAUSAL}, [(3, 2, 2)]),
    Case("heads-swapped-axes", {**HEADS, "attention_axes": [2, 1], **SCORES}, [(2, 3, 2)]),
    Case("heads-middle", {**HEADS, "attention_axes": [1, 3], "output_shape": [3, 1]}, [(2, 2, 3, 2)]),
    Case("groups", GROUPS, [X]),
    Case("groups-one-shared", {**GROUPS, "num_key_value_heads": 1, "use_gate": True}, [X, Y]),
    Case("groups-none-shared", {**GROUPS, "num_key_value_heads": 4, "use_bias": False}, [X, Y, (5, 2)]),
    Case("groups-scores", {**GROUPS, **SCORES, **CAUSAL}, [X, Y]),
    Case("groups-window", {**GROUPS, "sliding_window": 2}, [(5, 3)]),
    Case("groups-mask", {**GROUPS, **MASKED}, [X, Y, MASK], masks=(2,)),
    Case("groups-dropout", {**GROUPS, "dropout": 0.5}, [X]),
    Case("dot-attention", DOT, [X, Y]),
    Case("dot-attention-self", {**DOT, "use_scale": True, **CAUSAL}, [X]),
    Case("dot-attention-key", {**DOT, **SCORES}, [X, (5, 2), Y]),
    Case("dot-attention-masks", {**DOT, **LIST_MASKS}, [X, Y, (4,), (5,)], masks=(2, 3)),
    Case(
        "dot-attention-masks-causal",
        {**DOT, **LIST_MASKS, **CAUSAL, **SCORES},
        [X, Y, (4,), (5,)],
        smooth=False,  # fully masked positions: differences of numbers near 1e9
        masks=(2, 3),
    ),
    Case("dot-attention-images", DOT, [(2, 4, 3), (2, 5, 3)]),
    Case("dot-attention-concat", {**DOT, "score_mode": "concat"}, [X, Y]),
    Case("dot-attention-concat-scale", {**DOT, "score_mode": "concat", "use_scale": True, "dropout": 0.3}, [X, Y]),
    Case("additive-attention", ADD, [X, Y]),
    Case("additive-attention-plain", {**ADD, "use_scale": False, **CAUSAL, **SCORES}, [X, (5, 2), Y]),
    Case("additive-attention-dropout", {**ADD, "dropout": 0.5, "seed": 1, **SCORES}, [X]),
    Case("additive-attention-masks", {**ADD, **LIST_MASKS}, [X, Y, (4,), (5,)], masks=(2, 3)),
]
