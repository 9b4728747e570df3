"""What inputs, outputs and states of training graphs are called."""

LEARNING_RATE = "learning_rate"
"""The input that is the step size."""
LOSS = "loss"
"""The output that is minimised; where there are several losses, what each output's ends with besides."""
SHARD_FRACTION = "+share"
"""The input of a share of a step that says how large a part of the batch it gets."""
GRADIENT_PREFIX = "+gradient/"
"""What the outputs of a share of a step begin with that are a weight's gradient. Nobody else's begins with a plus."""
METRIC_PREFIX = "metrics/"
"""What the outputs begin with that are a metric's sums."""
SLOT_PREFIX = "optimizer/"
"""What the states begin with that belong to the optimizer, not to the network."""


def target_name(output: str) -> str:
    """The name under which a graph is fed an output's target."""
    return f"{output}/target"
