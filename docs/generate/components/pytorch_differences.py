"""How what stands for a name of PyTorch differs from it."""

from __future__ import annotations

_BATCH_NORM = "`momentum` is one minus PyTorch's: 0.99 by default, not 0.9; `epsilon` is 0.001, not 1e-5"
_INSTANCE_NORM = "`center` and `scale` are true by default; `epsilon` is 0.001, not 1e-5"
_EPSILON = "`epsilon` is 0.001 by default, not 1e-5"
_RECURRENT = "`return_sequences` gives all steps, not the last one only; one bias is the sum of PyTorch's two"
_EPSILON_OF_ADAM = "`epsilon` is 1e-7 by default, not 1e-8"
_DECOUPLED = "`weight_decay` is not part of the gradient, as in AdamW"
_NO_INDICES = "the result has no indices"
_COSINE = "{}, in batches, not epochs; `alpha` is a fraction of the rate at the start, `eta_min` is a rate"
_STEPS = "it counts steps, that is batches, not epochs"

DIFFERENCES = {
    **dict.fromkeys(("torch.nn.BatchNorm1d", "torch.nn.BatchNorm2d", "torch.nn.BatchNorm3d"), _BATCH_NORM),
    **dict.fromkeys(("torch.nn.InstanceNorm1d", "torch.nn.InstanceNorm2d", "torch.nn.InstanceNorm3d"), _INSTANCE_NORM),
    **dict.fromkeys(("torch.nn.LayerNorm", "torch.nn.GroupNorm"), _EPSILON),
    "torch.nn.LocalResponseNorm": "`size` is twice `depth_radius` plus 1, and divides PyTorch's `alpha`",
    "torch.nn.RNN": _RECURRENT,
    "torch.nn.LSTM": _RECURRENT,
    "torch.nn.GRU": "`return_sequences` gives all steps, not the last one only",
    "torch.nn.MultiheadAttention": "`key_dim` is the size of one head: `embed_dim / num_heads`",
    "torch.nn.TransformerDecoderLayer": "std.TransformerDecoder is without attention to an encoder",
    "torch.nn.PixelShuffle": "the order of the channels: here those of one position follow one another",
    "torch.nn.Embedding": (
        "weights start from -0.05 to 0.05, not normal with `std` 1; `mask_zero` masks index 0, but unlike with "
        "`padding_idx`, its vector is neither zero nor frozen"
    ),
    "torch.nn.PReLU": "a slope for each element; `shared_axes` lists the axes that share one",
    "torch.nn.LeakyReLU": "`negative_slope` is 0.3 by default, not 0.01",
    "torch.nn.functional.leaky_relu": "`negative_slope` is 0.2 by default, not 0.01",
    "torch.nn.functional.normalize": "`axis` is the last one by default, not 1",
    "torch.nn.functional.scaled_dot_product_attention": "the tensors are [batch, time, heads, size]",
    "torch.nn.SmoothL1Loss": "equal for `beta=1`; else `delta` is `beta`, and a factor of the loss",
    "torch.nn.KLDivLoss": "the output has probabilities, not their logarithms",
    "torch.nn.PoissonNLLLoss": "the output is the expected count, not its logarithm",
    "torch.std": "divides by the number of elements, as with `correction=0`",
    "torch.var": "divides by the number of elements, as with `correction=0`",
    "torch.split": "a number is that of the parts, not their size",
    **dict.fromkeys(("torch.max", "torch.min", "torch.sort"), _NO_INDICES),
    "torchvision.transforms.Normalize": "takes `variance`, the square of `std`, or learns it from the data",
    "torchvision.transforms.RandomRotation": "`factor` is a fraction of a full turn, not an angle in degrees",
    "torch.nn.init.normal_": "`stddev` is 0.05 by default, not 1",
    "torch.nn.init.trunc_normal_": "`stddev` is 0.05 by default, not 1",
    "torch.nn.init.uniform_": "from -0.05 to 0.05 by default, not from 0 to 1",
    "torch.optim.Adam": f"{_EPSILON_OF_ADAM}; {_DECOUPLED}",
    "torch.optim.AdamW": f"`weight_decay` is 0.004 by default, not 0.01; {_EPSILON_OF_ADAM}",
    "torch.optim.NAdam": f"{_EPSILON_OF_ADAM}; {_DECOUPLED}",
    "torch.optim.Adamax": f"`learning_rate` is 0.001 by default, not 0.002; {_DECOUPLED}",
    "torch.optim.SGD": _DECOUPLED,
    "torch.optim.RMSprop": f"`rho` is 0.9 by default, PyTorch's `alpha` 0.99; {_DECOUPLED}",
    "torch.optim.Adagrad": f"the sums start at 0.1, not at 0; {_DECOUPLED}",
    "torch.optim.Adadelta": "`learning_rate` is 0.001 by default, not 1; `rho` is 0.95, not 0.9",
    **{
        f"torch.optim.lr_scheduler.{name}": _STEPS
        for name in ("ExponentialLR", "StepLR", "MultiStepLR", "PolynomialLR")
    },
    "torch.optim.lr_scheduler.CosineAnnealingLR": _COSINE.format("`decay_steps` is `T_max`"),
    "torch.optim.lr_scheduler.CosineAnnealingWarmRestarts": _COSINE.format("`first_decay_steps` is `T_0`"),
}
"""What changes the result, by the name of PyTorch with its module."""
