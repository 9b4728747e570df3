"""Dense, Activation, Embedding, ReversibleEmbedding, Masking, SequenceMask, Identity."""

from . import Case

CASES = [
    Case("dense", {"type": "Dense", "units": 3}, [(5,)]),
    Case("dense-sequence", {"type": "Dense", "units": 3, "activation": "tanh"}, [(4, 5)]),
    Case("dense-no-bias", {"type": "Dense", "units": 3, "use_bias": False}, [(5,)]),
    Case("embedding", {"type": "Embedding", "input_dim": 5, "output_dim": 3}, [(4,)], integers=5),
    Case("embedding-smallest", {"type": "Embedding", "input_dim": 1, "output_dim": 1}, [(2,)], integers=1),
    Case("embedding-scalar", {"type": "Embedding", "input_dim": 4, "output_dim": 2}, [()], integers=4),
    Case("embedding-images", {"type": "Embedding", "input_dim": 4, "output_dim": 2}, [(2, 3)], integers=4),
    Case("reversible", {"type": "ReversibleEmbedding", "input_dim": 5, "output_dim": 3}, [(4,)], integers=5),
    Case("reversible-back", {"type": "ReversibleEmbedding", "input_dim": 5, "output_dim": 3}, [(4, 3)]),
    Case(
        "reversible-back-untied",
        {"type": "ReversibleEmbedding", "input_dim": 5, "output_dim": 3, "tie_weights": False, "logit_soft_cap": 2.0},
        [(3,)],
        smooth=False,  # the embedding matrix is not used by the projection
    ),
    Case("masking", {"type": "Masking"}, [(4, 3)]),
    Case("masking-value", {"type": "Masking", "mask_value": 1}, [(4, 2)], integers=3),
    Case("masking-features", {"type": "Masking", "mask_value": 0.5}, [(3,)]),
    Case("sequence-mask", {"type": "SequenceMask"}, [(4, 3)]),
    Case("sequence-mask-integers", {"type": "SequenceMask", "pad_value": 2}, [(5,)], integers=3),
    Case("sequence-mask-image", {"type": "SequenceMask", "pad_value": 0.5}, [(3, 2, 2)]),
    Case("sequence-mask-lengths", {"type": "SequenceMask"}, [(4, 3), ()], masks=(1,)),
    Case("identity", {"type": "Identity"}, [(4,)]),
]
