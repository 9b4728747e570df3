"""The spec's `training` section: data, loss, optimizer, and how long."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from ..core.components import (
    ArrayCodec,
    Codec,
    Component,
    ComponentCodec,
    Json,
    NumberCodec,
    ScalarCodec,
    SectionCodec,
    UnionCodec,
    attr,
)
from .losses import LOSSES, Loss
from .metrics import Metric, MetricCodec
from .optimizers import Optimizer


class Section(Component):
    """A part of the document with fixed keys: a brick that needs no `type`."""

    has_type_key: ClassVar[bool] = False


class DictCodec:
    """An object with keys that the user chooses, all values of one form."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec

    def schema(self) -> dict[str, Json]:
        return {"type": "object", "additionalProperties": self.codec.schema()}

    def read(self, value: Json) -> dict[str, object]:
        return {name: self.codec.read(item) for name, item in value.items()}

    def write(self, value: dict[str, object]) -> Json:
        return {name: self.codec.write(item) for name, item in value.items()}


def is_string(value: Json) -> bool:
    return isinstance(value, str)


def is_list(value: Json) -> bool:
    return isinstance(value, (list, tuple))


def is_component(value: Json) -> bool:
    return isinstance(value, (str, Component)) or (isinstance(value, dict) and isinstance(value.get("type"), str))


COLUMNS_CODEC = UnionCodec((is_string, ScalarCodec(type="string")), (is_list, ArrayCodec(ScalarCodec(type="string"))))
"""One column, or several."""

Columns = Annotated[
    str | tuple[str, ...] | dict[str, str | tuple[str, ...]],
    UnionCodec(
        (is_string, ScalarCodec(type="string")),
        (is_list, ArrayCodec(ScalarCodec(type="string"))),
        (lambda value: True, DictCodec(COLUMNS_CODEC)),
    ),
]
Losses = Annotated[
    Loss | dict[str, Loss],
    UnionCodec((is_component, ComponentCodec(LOSSES)), (lambda value: True, DictCodec(ComponentCodec(LOSSES)))),
]
Metrics = Annotated[
    tuple[Metric, ...] | dict[str, tuple[Metric, ...]],
    UnionCodec((is_list, ArrayCodec(MetricCodec())), (lambda value: True, DictCodec(ArrayCodec(MetricCodec())))),
]


class DataSection(Section):
    """Where the samples are: files beside the spec, and which of their columns are what."""

    train: str = attr(doc="File to train on: .npz, .npy or .csv, relative to the spec.")
    validation: str | None = attr(None, doc="File to validate on after every epoch.")
    test: str | None = attr(None, doc="File to evaluate on when training is over.")
    x: Columns | None = attr(
        None,
        doc="Column or columns of the input, or of each input by name; where omitted, columns bear the inputs' names.",
    )
    y: Columns | None = attr(
        None,
        doc="Column or columns of the target, or of each output's target by name; where omitted, named as the outputs.",
    )
    validation_split: float = attr(
        0.0, doc="Share of the training samples, the last ones, set aside for validation.", minimum=0, below=1
    )


class EarlyStoppingSection(Section):
    """Ends training when a figure no longer improves."""

    monitor: str = attr("val_loss", doc="Figure to watch.")
    patience: int = attr(0, doc="Epochs without improvement after which training ends.", minimum=0)
    min_delta: float = attr(0.0, doc="Least change that counts as an improvement.", minimum=0)
    mode: str = attr("auto", doc="Whether the figure should fall (`min`) or rise (`max`); `auto` judges by its name.")
    start_from_epoch: int = attr(0, doc="Epochs at the start that are not watched.", minimum=0)


ALL_LAYERS = ("*",)
"""The pattern of all layers."""


class InitialWeightsSection(Section):
    """A file of weights to start from, and which layers take theirs from it."""

    file: str = attr(doc="The .safetensors, .npz, .keras or .h5 file, relative to the spec.")
    layers: tuple[str, ...] = attr(
        ALL_LAYERS, doc="Patterns of the names of layers whose weights the file has; others are drawn."
    )
    prefix: str = attr("", doc="What those names begin with here, but not in the file.")


class InitialWeightsCodec(SectionCodec):
    """The file alone is all weights in it."""

    def schema(self) -> dict[str, Json]:
        return {"anyOf": [{"type": "string"}, super().schema()]}

    def read(self, value: Json) -> Component:
        return super().read({"file": value} if isinstance(value, str) else value)

    def write(self, value: Component) -> Json:
        written = super().write(value)
        return written["file"] if len(written) == 1 else written


class Training(Section):
    """How the network is trained."""

    data: DataSection | None = attr(None, doc="Where the samples are.")
    loss: Losses = attr(doc="What is minimised; by output name where there are several outputs.")
    loss_weights: Annotated[dict[str, float], DictCodec(NumberCodec())] | None = attr(
        None, doc="Factor on each output's loss, by output name."
    )
    optimizer: Optimizer = attr("rmsprop", doc="How gradients change weights.")
    weights: Annotated[InitialWeightsSection, InitialWeightsCodec(InitialWeightsSection)] | None = attr(
        None, doc="Weights to start from, in place of initial ones: a file, or which layers take theirs from it."
    )
    freeze: tuple[str, ...] = attr(
        (), doc="Patterns of the names of layers that training leaves as they are, as if they said `trainable: false`."
    )
    learning_rates: Annotated[dict[str, float], DictCodec(NumberCodec())] | None = attr(
        None,
        doc="Factor on the learning rate for the weights of some layers, by pattern of their names; where several "
        "match a name, the first counts.",
        above=0,
        maximum=1e6,
    )
    metrics: Metrics = attr((), doc="What is reported beside the loss; by output name where there are several outputs.")
    epochs: int = attr(1, doc="Passes over the training samples.", minimum=1, maximum=1_000_000)
    batch_size: int = attr(32, doc="Samples a step.", minimum=1, maximum=1 << 20)
    shuffle: bool = attr(True, doc="Whether every epoch takes the samples in a new order.")
    seed: int = attr(0, doc="Decides initial weights, order of samples and dropout.", minimum=0, maximum=(1 << 63) - 1)
    early_stopping: EarlyStoppingSection | None = attr(None, doc="When to end before the last epoch.")
    restore_best_weights: bool = attr(
        False,
        doc="Whether the run ends with the weights of its best epoch, by validation loss (or the watched figure).",
    )
    remat: Literal["full", "activations"] | None = attr(
        None,
        doc="What is computed again on the way back instead of kept in memory: `full` is what takes the least of it, "
        "for about one more forward pass; `activations` all but the results of products and convolutions.",
    )
