"""The reserved names: how the inputs, outputs and states of training graphs and checkpoints are called.

The manifest of an exported training step documents `next/`, `metrics/` and `losses/`, so programs depend on them. The
other prefixes are private to this package.
"""

from __future__ import annotations

from collections.abc import Iterable

LEARNING_RATE = "learning_rate"
"""Input: the step size. Also the name in a history of that of the last step of an epoch."""
LAST_LEARNING_RATE = "last_learning_rate"
"""Output: the learning rate of the step before."""
LOSS = "loss"
"""Output: the value that training minimizes."""
LOSS_WEIGHT = "+loss_weight"
"""Output: what the mean loss of a batch is divided by, such as the number of losses that a mask lets count."""
SHARD_FRACTION = "+share"
"""Input of a shard of a step: the shard's samples over the samples of the batch."""
BATCH_SAMPLES = "+samples"
"""Feed of a step in a distributed training: the number of samples of the batch, of which a rank has some."""
OPTIMIZER_SCOPE = "optimizer"
"""Scope of the nodes that the optimizer emits."""
STEP_COUNT = "optimizer/iterations"
"""State: the number of steps so far."""
FROZEN_RANGES = "optimizer/ranges_frozen"
"""State: 1 while steps do not update the ranges of quantizers, else 0."""
AVERAGE_SLOT = "average"
"""Name, within the slots of a weight, of its exponential moving average."""
ROW_INDICES = "rows"
"""Input of the graph that brings rows of a lazily updated table up to date: the indices of the rows."""
LORA_A, LORA_B, LORA_MAGNITUDE = "/lora_a", "/lora_b", "/lora_magnitude"
"""Ends of the names of the weights of a low-rank adapter, after the name of the weight that it adapts."""
ADAPT_INPUT = "examined"
"""Output of an adapt task's graph: the values that the layer learns from."""

_GRADIENT, _METRIC, _SLOT, _NEXT, _BEST = "+gradient/", "metrics/", "optimizer/", "next/", "+best/"
_GRADIENT_INDICES, _GRADIENT_ROWS = "+indices/", "+rows/"
_CHANGE = "+change/"
_ADDED_LOSS = "losses/"
_TOUCHED, _BEFORE, _CURRENT = "rows/", "before/", "now/"
_RANGE = "/quantizer/"
_CALLBACK = "+callbacks/"
_EARLIER_BEST = "best/"
"""The prefix of best weights in checkpoints of earlier versions, which a layer may have as its name."""


def is_adapter_weight(name: str) -> bool:
    """Whether a weight belongs to a low-rank adapter."""
    return name.endswith((LORA_A, LORA_B, LORA_MAGNITUDE))


def target_name(output: str) -> str:
    """Input: the target of an output."""
    return f"{output}/target"


def network_value_name(output: str) -> str:
    """Output: the network's own values of an output whose target is transformed."""
    return f"+network/{output}"


def sample_weight_name(output: str) -> str:
    """Input: the weights of the losses of an output."""
    return f"{output}/sample_weight"


def teacher_output_name(output: str) -> str:
    """Input: the teacher's output, as logits if it has classes or labels."""
    return f"{output}/teacher"


def output_loss_name(output: str) -> str:
    """Output: the loss of one of several outputs."""
    return f"{output}_{LOSS}"


def added_loss_name(layer: str) -> str:
    """Output: the value that a layer AddLoss adds to the loss."""
    return f"{_ADDED_LOSS}{layer}"


def is_added_loss_name(name: str) -> bool:
    return name.startswith(_ADDED_LOSS)


def loss_metric(output: str) -> str:
    """The name under which the output for a loss is reported."""
    return output.removeprefix(_ADDED_LOSS)


def validation_name(metric: str) -> str:
    """The name in a history of a loss or metric on the validation data."""
    return f"val_{metric}"


def is_validation_name(name: str) -> bool:
    return name.startswith("val_")


def metric_sums_name(metric: str) -> str:
    """Output: the sums over a batch that a metric is computed from."""
    return f"{_METRIC}{metric}"


def is_metric_sums_name(name: str) -> bool:
    return name.startswith(_METRIC)


def next_name(variable: str) -> str:
    """Output: the value of a variable at the next step."""
    return f"{_NEXT}{variable}"


def gradient_name(weight: str) -> str:
    """Output of a shard of a step: the gradient of a weight."""
    return f"{_GRADIENT}{weight}"


def is_gradient_name(name: str) -> bool:
    return name.startswith(_GRADIENT)


def gradient_indices_name(weight: str) -> str:
    """Output of a shard of a step: the indices of the rows of a sparse gradient, with duplicates."""
    return f"{_GRADIENT_INDICES}{weight}"


def gradient_rows_name(weight: str) -> str:
    """Output of a shard of a step: the rows of a sparse gradient."""
    return f"{_GRADIENT_ROWS}{weight}"


def sparse_gradient_weight(name: str) -> str | None:
    """The weight of an output that is a part of a sparse gradient; None of other outputs."""
    weight = name.removeprefix(_GRADIENT_INDICES).removeprefix(_GRADIENT_ROWS)
    return None if weight == name else weight


def state_change_name(state: str) -> str:
    """Output of a shard of a step: by how much the shard changes a state, times its fraction of the batch."""
    return f"{_CHANGE}{state}"


def shard_result_name(shard: int, output: str) -> str:
    """Input of the graph that combines shards: an output of one shard."""
    return f"+{shard}/{output}"


def schedule_steps_name(optimizer: int, attribute: str) -> str:
    """State: a number of steps in the schedule of one of several optimizers, which the length of a training determines;
    0 until a fit sets it."""
    return f"{_SLOT}+{optimizer}/{attribute}" if optimizer else f"{_SLOT}{attribute}"


def schedule_attribute(state: str) -> str:
    """The attribute of a `schedule_steps_name`, with the number of the optimizer before it unless it is the first."""
    return state.removeprefix(_SLOT)


def range_name(quantizer: str, bound: str) -> str:
    """State: a bound, `low` or `high`, of the range of a quantizer, whose key is the name of a layer or an input."""
    return f"{quantizer}{_RANGE}{bound}"


def is_range_name(name: str) -> bool:
    return _RANGE in name


def slot_scope(weight: str) -> str:
    """The prefix, without the slash, of the states that the optimizer keeps for a weight."""
    return f"{_SLOT}{weight}"


def is_slot_name(name: str) -> bool:
    """Whether a state, or the scope of a node, belongs to the optimizer."""
    return name.startswith(_SLOT)


def touched_rows_name(weight: str) -> str:
    """Output: the indices of the rows of a lazily updated table that a step writes."""
    return f"{_TOUCHED}{weight}"


def rows_before_name(variable: str) -> str:
    """Output: the rows of a lazily updated variable that a step overwrites, as they were."""
    return f"{_BEFORE}{variable}"


def current_rows_name(variable: str) -> str:
    """Output: rows of a lazily updated variable, brought up to the current step."""
    return f"{_CURRENT}{variable}"


def variable_of_current_rows(name: str) -> str:
    """The variable of a `current_rows_name`."""
    return name.removeprefix(_CURRENT)


def best_weight_name(weight: str) -> str:
    """Entry of a checkpoint: a weight at the best epoch so far."""
    return f"{_BEST}{weight}"


def split_best_weights(names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """The entries of a checkpoint: the weights of the best epoch by entry, and the other entries."""
    entries = list(names)
    best = {name: name.removeprefix(_BEST) for name in entries if name.startswith(_BEST)}
    if not best:
        earlier = {name: name.removeprefix(_EARLIER_BEST) for name in entries if name.startswith(_EARLIER_BEST)}
        best = {name: weight for name, weight in earlier.items() if weight in entries}
    return best, [name for name in entries if name not in best]


def callback_array_name(number: int) -> str:
    """Entry of a checkpoint: an array in the states of callbacks."""
    return f"{_CALLBACK}{number}"


def callback_arrays(names: Iterable[str]) -> dict[str, int]:
    """The numbers of the arrays of callbacks among the entries of a checkpoint; other numbers than ours are ignored."""
    numbers = {name: name.removeprefix(_CALLBACK) for name in names if name.startswith(_CALLBACK)}
    return {name: int(number) if number.isdecimal() and number.isascii() else -1 for name, number in numbers.items()}
