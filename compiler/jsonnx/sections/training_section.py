"""The `training` section of a spec: data, objective, optimizer and schedule."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from ..core.components import (
    ArrayCodec,
    Component,
    ComponentCodec,
    DictCodec,
    Json,
    NullableCodec,
    NumberCodec,
    ScalarCodec,
    SectionCodec,
    UnionCodec,
    attr,
    is_list,
    is_string,
)
from ..training.losses.losses import LOSSES, Loss
from ..training.metrics.metrics import Metric, MetricCodec
from ..training.optimizers.optimizer import Optimizer
from ..training.target_form import TargetForm, TransformName
from ..training.weights.lora import LoraSection
from .class_weights import BALANCED, has_weights_by_output
from .data_section import DataSection
from .distill_section import DistillSection
from .distributed_section import DistributedSection
from .loss_scaling import GROWTH_STEPS, INITIAL_SCALE, LossScaleSection
from .section_base import Section
from .trackers import Tracker


class LossesCodec(DictCodec):
    """Losses by output name. A string under `type` is the type of a single loss, not the loss of an output `type`."""

    def schema(self) -> dict[str, Json]:
        return super().schema() | {"properties": {"type": {"type": "object", **self.codec.schema()}}}


def is_component(value: Json) -> bool:
    return isinstance(value, (str, Component)) or (isinstance(value, dict) and isinstance(value.get("type"), str))


def is_object_of_numbers(value: Json) -> bool:
    return isinstance(value, dict) and not has_weights_by_output(value)


BALANCED_CODEC = ScalarCodec(type="string", enum=[BALANCED])
CLASS_WEIGHTS_CODEC = UnionCodec((is_string, BALANCED_CODEC), (lambda value: True, DictCodec(NumberCodec())))
"""The weights of the classes of an output."""

Losses = Annotated[
    Loss | dict[str, Loss] | None,
    NullableCodec(
        UnionCodec((is_component, ComponentCodec(LOSSES)), (lambda value: True, LossesCodec(ComponentCodec(LOSSES))))
    ),
]
Metrics = Annotated[
    tuple[Metric, ...] | dict[str, tuple[Metric, ...]],
    UnionCodec((is_list, ArrayCodec(MetricCodec())), (lambda value: True, DictCodec(ArrayCodec(MetricCodec())))),
]
ClassWeight = Annotated[
    str | dict[str, float] | dict[str, str | dict[str, float]] | None,
    NullableCodec(
        UnionCodec(
            (is_string, BALANCED_CODEC),
            (is_object_of_numbers, DictCodec(NumberCodec())),
            (lambda value: True, DictCodec(CLASS_WEIGHTS_CODEC)),
        )
    ),
]

OutputChoice = Annotated[
    bool | tuple[str, ...],
    UnionCodec((is_list, ArrayCodec(ScalarCodec(type="string"))), (lambda value: True, ScalarCodec(type="boolean"))),
]
"""Whether all outputs are meant, or a list of them."""


TRANSFORM_CODEC = ScalarCodec(type="string", enum=list(get_args(TransformName)))
TransformChoice = Annotated[
    TransformName | dict[str, TransformName] | None,
    NullableCodec(UnionCodec((is_string, TRANSFORM_CODEC), (lambda value: True, DictCodec(TRANSFORM_CODEC)))),
]
"""The transform of all targets, or those of some outputs."""


class TargetSection(Section):
    """How the loss sees the targets."""

    transform: TransformChoice = attr(
        None,
        doc="Function of the targets that the losses compare with the network's values: `log`, `log1p` (the logarithm "
        "of 1 + target) or `yeo_johnson`, whose exponent is learned from the training data; by output name if only "
        "some have one. The model computes the inverse, and the metrics have the unit of the targets.",
    )
    normalize: OutputChoice = attr(
        False,
        doc="Whether the losses compare standardized targets and outputs, or a list of the outputs for which they do. "
        "Mean and variance of the targets, after a transform, are learned from the training data; the model and the "
        "metrics have the unit of the targets.",
    )


class EarlyStoppingSection(Section):
    """Stops training when a metric no longer improves."""

    monitor: str = attr("val_loss", doc="Metric that is monitored, such as `loss` or `val_accuracy`.")
    patience: int = attr(0, doc="Number of epochs without improvement after which training stops.", minimum=0)
    min_delta: float = attr(0.0, doc="Minimum change that counts as an improvement.", minimum=0)
    mode: Literal["auto", "min", "max"] = attr(
        "auto", doc="Whether lower (`min`) or higher (`max`) metrics are better; `auto` decides by the name."
    )
    start_from_epoch: int = attr(0, doc="Number of epochs at the start that are not monitored.", minimum=0)


class ReduceOnPlateauSection(Section):
    """Multiplies the learning rate by a factor when a metric no longer improves."""

    monitor: str = attr("val_loss", doc="Metric that is monitored, such as `loss` or `val_accuracy`.")
    factor: float = attr(0.1, doc="Factor of the learning rate.", above=0, below=1)
    patience: int = attr(10, doc="Number of epochs without improvement after which the rate is reduced.", minimum=0)
    min_delta: float = attr(0.0001, doc="Minimum change that counts as an improvement.", minimum=0)
    mode: Literal["auto", "min", "max"] = attr(
        "auto", doc="Whether lower (`min`) or higher (`max`) metrics are better; `auto` decides by the name."
    )
    cooldown: int = attr(0, doc="Number of epochs after a reduction in which patience does not count.", minimum=0)
    min_lr: float = attr(0.0, doc="Lower bound of the learning rate.", minimum=0)


class CheckpointSection(Section):
    """When `jsonnx train` writes checkpoints, and how many it keeps. It writes the last one in any case."""

    every_epochs: int | None = attr(None, doc="Number of epochs between two checkpoints.", minimum=1)
    every_steps: int | None = attr(None, doc="Number of steps between two checkpoints.", minimum=1)
    every_minutes: float | None = attr(None, doc="Minutes between two checkpoints.", above=0)
    keep: int = attr(2, doc="Number of the newest checkpoints that are kept.", minimum=1, maximum=10_000)
    monitor: str | None = attr(
        None, doc="Metric whose best epoch so far has a checkpoint of its own, `checkpoints/best.safetensors`."
    )
    mode: Literal["auto", "min", "max"] = attr(
        "auto", doc="Whether lower (`min`) or higher (`max`) metrics are better; `auto` decides by the name."
    )


class TimeLimitSection(Section):
    """Ends training after some time, as Ctrl-C does, so that it can be resumed. The parts are added up."""

    seconds: float = attr(0.0, doc="Seconds.", minimum=0, maximum=1e9)
    minutes: float = attr(0.0, doc="Minutes.", minimum=0, maximum=1e9)
    hours: float = attr(0.0, doc="Hours.", minimum=0, maximum=1e9)

    @property
    def total_seconds(self) -> float:
        return self.seconds + 60 * self.minutes + 3600 * self.hours


def is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_by_label(value: Json) -> bool:
    """Whether a value of `threshold` has thresholds by label: a ThresholdSection has a text."""
    return isinstance(value, dict) and bool(value) and all(map(is_number, value.values()))


class ThresholdSection(Section):
    """How the threshold of sigmoid outputs is chosen on the validation data after training."""

    maximize: Literal["f1", "f2", "accuracy", "balanced_accuracy", "mcc", "precision", "recall"] = attr(
        doc="Metric that the threshold maximizes; `mcc` is Matthews' correlation coefficient."
    )
    by_label: bool = attr(
        False,
        doc="Whether a threshold is chosen for each label of an output with several labels, rather than one for all.",
    )
    min_precision: float | None = attr(None, doc="Least precision, if any threshold reaches it.", minimum=0, maximum=1)
    min_recall: float | None = attr(None, doc="Least recall, if any threshold reaches it.", minimum=0, maximum=1)


class LabelThresholdsCodec(DictCodec):
    """Thresholds by label, at least one."""

    def schema(self) -> dict[str, Json]:
        return super().schema() | {"minProperties": 1}


ThresholdChoice = Annotated[
    float | dict[str, float] | ThresholdSection | None,
    NullableCodec(
        UnionCodec(
            (is_number, NumberCodec()),
            (is_by_label, LabelThresholdsCodec(NumberCodec())),
            (lambda value: True, SectionCodec(ThresholdSection)),
        )
    ),
]
"""A threshold, several by label, or how they are chosen."""

ALL_LAYERS = ("*",)
"""The pattern that matches all layers."""


class InitialWeightsSection(Section):
    """A file with initial weights, and the layers that are initialized from it."""

    file: str = attr(doc="File with weights (.safetensors, .npz, .keras or .h5); the path is relative to the spec.")
    layers: tuple[str, ...] = attr(
        ALL_LAYERS, doc="Patterns for the names of layers that are initialized from the file; other weights are drawn."
    )
    prefix: str = attr("", doc="Prefix that the names of these layers have in the network, but not in the file.")


class InitialWeightsCodec(SectionCodec):
    """A string is a file that initializes all layers."""

    def schema(self) -> dict[str, Json]:
        return {"anyOf": [{"type": "string"}, super().schema()]}

    def read(self, value: Json) -> Component:
        return super().read({"file": value} if isinstance(value, str) else value)

    def write(self, value: Component) -> Json:
        written = super().write(value)
        return written["file"] if len(written) == 1 else written


class Training(Section):
    """The training of the network."""

    data: DataSection | None = attr(None, doc="Files with the samples.")
    loss: Losses = attr(
        None,
        doc="Loss that training minimizes; by output name if there are several outputs. Only a spec with layers "
        "AddLoss may leave it out.",
    )
    target: TargetSection | None = attr(None, doc="How the losses see the targets of a regression.")
    auxiliary_outputs: tuple[str, ...] = attr(
        (),
        doc="Names of layers that are outputs in training and evaluation, with losses and targets, and that the "
        "compiled model does not have.",
    )
    loss_weights: Annotated[dict[str, float], DictCodec(NumberCodec())] | None = attr(
        None, doc="Factors of the losses, by output name."
    )
    class_weight: ClassWeight = attr(
        None,
        doc="Factors of the losses of training samples by their class, by the index or the name of the class; or "
        '"balanced", which gives all classes the same total weight. By output name if there are several outputs.',
    )
    distill: DistillSection | None = attr(None, doc="Teacher whose outputs the network also learns from.")
    optimizer: Optimizer = attr(
        "rmsprop", doc="Optimizer that updates the weights; RMSprop with its default arguments if omitted."
    )
    weights: Annotated[InitialWeightsSection, InitialWeightsCodec(InitialWeightsSection)] | None = attr(
        None, doc="Initial weights: a file, or an object with a file and the layers that are initialized from it."
    )
    freeze: tuple[str, ...] = attr(
        (),
        doc="Patterns for the names of layers that are not trained, as with `trainable: false`, or of single weights, "
        "such as `net/layer4.*`; `!` before one leaves layers or weights out.",
    )
    lora: LoraSection | None = attr(
        None,
        doc="Low-rank adaptation: small matrices are trained in place of some weights, into which the model has them "
        "merged.",
    )
    frozen_dtype: Literal["float32", "float16", "bfloat16", "int8", "int4"] = attr(
        "float32",
        doc="Element type in which training keeps frozen weights with 8,192 elements or more; steps compute with them "
        "in float32. `float16` and `bfloat16` halve their memory, `int8` (a scale for each output) and `int4` (one for "
        "each 32 inputs) keep kernels in a quarter and about a sixth of it. The trained model has the rounded weights.",
    )
    learning_rates: Annotated[dict[str, float], DictCodec(NumberCodec())] | None = attr(
        None,
        doc="Factors of the learning rate for the weights of layers, by patterns for their names. The first pattern "
        "that matches a name applies.",
        above=0,
        maximum=1e6,
    )
    metrics: Metrics = attr((), doc="Metrics that are reported, or an object with those of each output.")
    weighted_metrics: Metrics = attr(
        (), doc="Metrics like those in `metrics`, in which a sample counts as much as its weight."
    )
    epochs: int = attr(1, doc="Number of passes over the training samples.", minimum=1, maximum=1_000_000)
    batch_size: int = attr(32, doc="Number of samples per step.", minimum=1, maximum=1 << 20)
    shuffle: bool = attr(True, doc="Whether the samples are shuffled before each epoch.")
    seed: int = attr(0, doc="Seed of initial weights, shuffling and dropout.", minimum=0, maximum=(1 << 63) - 1)
    early_stopping: EarlyStoppingSection | None = attr(None, doc="Condition for stopping before the last epoch.")
    restore_best_weights: bool = attr(
        False,
        doc="Whether training ends with the weights of the best epoch, by validation loss or the monitored metric.",
    )
    reduce_on_plateau: ReduceOnPlateauSection | None = attr(None, doc="Condition for a lower learning rate.")
    checkpoint: CheckpointSection | None = attr(
        None, doc="When checkpoints are written; without it, once a minute and at the ends of epochs."
    )
    time_limit: TimeLimitSection | None = attr(None, doc="Time after which training ends; it can be resumed.")
    csv_log: bool = attr(
        False, doc="Whether `jsonnx train` also writes losses and metrics to `metrics.csv` in the RUN folder."
    )
    trackers: tuple[Tracker, ...] = attr(
        (), doc="Trackers that `jsonnx train` sends losses and metrics to, each type at most once."
    )
    threshold: ThresholdChoice = attr(
        None,
        doc="Probability above which a sigmoid output predicts a class, an object with such numbers by label (others "
        "have 0.5), or one that says what they maximize on validation data. The model keeps them; 0.5 if null.",
        above=0,
        below=1,
    )
    calibration: Literal["temperature"] | None = attr(
        None,
        doc="Calibration of probabilities on the validation data after training. `temperature` divides the logits of "
        "softmax and sigmoid outputs by the number that minimizes the cross-entropy.",
    )
    remat: Literal["full", "activations"] | None = attr(
        None,
        doc="Rematerialization: values that the backward pass recomputes, to save memory. `activations` recomputes "
        "all but the results of matrix products and convolutions; `full` keeps as little as possible and costs about "
        "one more forward pass.",
    )
    distributed: DistributedSection | None = attr(
        None, doc="How the samples of a step are divided among workers; null for training on one machine."
    )
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = attr(
        "float32",
        doc="Element type of matrix products and convolutions in training, as a global dtype policy in Keras; weights "
        "and losses are float32. The mixed ones need a provider that has them, such as `cuda` or `webgpu`.",
    )
    quantize: str | None = attr(
        None,
        doc="Quantization-aware training: steps round weights and activations as the quantized model does, and learn "
        "the ranges of activations. `int8`, or the name of a variant in `quantization` with this precision.",
    )
    loss_scale: LossScaleSection | None = attr(
        None,
        doc="Dynamic loss scaling, as with LossScaleOptimizer in Keras. `mixed_float16` always has it, by default with "
        "the default values.",
    )

    @property
    def effective_loss_scale(self) -> LossScaleSection | None:
        """The loss scaling of the training step; None if there is none."""
        if self.loss_scale is None and self.precision == "mixed_float16":
            return LossScaleSection(initial_scale=INITIAL_SCALE, dynamic_growth_steps=GROWTH_STEPS)
        return self.loss_scale

    def loss_of(self, output: str) -> Loss | None:
        """The loss of an output; None if it has none."""
        return self.loss.get(output) if isinstance(self.loss, dict) else self.loss

    def target_form(self, output: str) -> TargetForm | None:
        """What the loss of an output compares; None if it is the target itself, and the output."""
        loss, target = self.loss_of(output), self.target
        if loss is None:
            return None
        transform, normalize = (None, False) if target is None else (target.transform, target.normalize)
        form = TargetForm(
            transform.get(output) if isinstance(transform, dict) else transform,
            normalize if isinstance(normalize, bool) else output in normalize,
            loss.has_quantiles,
        )
        return None if form == TargetForm(None, False) else form
