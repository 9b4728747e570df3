"""SpectralNormalization. Not smooth, as the gradient treats the singular vectors as constants; the kernel's gradient is
tested by the comparison with Keras."""

from . import Case


def spectral(layer: dict, **more: object) -> dict:
    return {"type": "SpectralNormalization", "layer": layer, **more}


DENSE = {"type": "Dense", "units": 3}
CONV = {"type": "Conv2D", "filters": 3, "kernel_size": 2}

CASES = [
    Case("spectral-dense", spectral(DENSE), [(4,)], smooth=False),
    Case("spectral-twice", spectral({**DENSE, "activation": "tanh"}, power_iterations=3), [(5, 4)], smooth=False),
    Case("spectral-regularized", spectral({**DENSE, "kernel_regularizer": "l2"}), [(4,)], smooth=False),
    Case("spectral-penalty", spectral({**DENSE, "activity_regularizer": "l2"}), [(4,)], smooth=False),
    Case("spectral-frozen", spectral({**DENSE, "trainable": False}), [(4,)], smooth=False),
    Case("spectral-conv", spectral(CONV), [(4, 5, 2)], smooth=False),
    Case("spectral-conv-first", spectral({**CONV, "data_format": "channels_first"}), [(2, 4, 5)], smooth=False),
    Case("spectral-transposed", spectral({**CONV, "type": "Conv2DTranspose"}), [(3, 4, 2)], smooth=False),
    Case(
        "spectral-einsum",
        spectral({"type": "EinsumDense", "equation": "bc,cd->bd", "output_shape": 3}),
        [(4,)],
        smooth=False,
    ),
    Case(
        "spectral-embedding",
        spectral({"type": "Embedding", "input_dim": 5, "output_dim": 3}),
        [(4,)],
        integers=5,
        smooth=False,
    ),
]
