"""The `budget` section of a spec: what the network and its model may cost."""

from __future__ import annotations

from typing import Annotated

from ..core.components import ArrayCodec, DictCodec, NullableCodec, ScalarCodec, attr
from ..core.providers.known_providers import providers_with_kernel_table
from ..core.quantities import BYTES_CODEC, COUNT_CODEC, MAX_OPSET_LIMIT, MIN_OPSET_LIMIT
from .section_base import Section

BUDGET_KEY = "budget"
"""The key of the section in a spec."""

MAX_BATCH_SIZE = 1 << 20
MAX_AXIS_SIZE = (1 << 31) - 1

Count = Annotated[int | str | None, NullableCodec(COUNT_CODEC)]
Bytes = Annotated[int | str | None, NullableCodec(BYTES_CODEC)]
TargetName = ScalarCodec(type="string", enum=[provider.name for provider in providers_with_kernel_table()])
Targets = Annotated[tuple[str, ...] | None, NullableCodec(ArrayCodec(TargetName))]
Sizes = Annotated[dict[str, int], DictCodec(ScalarCodec(type="integer", minimum=1, maximum=MAX_AXIS_SIZE))]


class BudgetSection(Section):
    """The most that a network may cost; `jsonnx validate` reports what exceeds it."""

    parameters: Count = attr(
        None,
        doc='Parameters of the compiled model, non-trainable ones included, such as 250000, "250k" or "1.5M".',
    )
    multiply_adds: Count = attr(
        None, doc="Multiply-adds of matrix products and convolutions for one sample, as in `jsonnx summary`."
    )
    activation_memory: Bytes = attr(
        None,
        doc='The peak of the layers\' values that exist at a time, such as "4 MB" (4,000,000 bytes) or "4 MiB" '
        "(4,194,304), if layers run in order and a value is freed after the last layer that reads it.",
    )
    batch_size: int = attr(
        1, doc="Number of samples for which `activation_memory` is meant.", minimum=1, maximum=MAX_BATCH_SIZE
    )
    sizes: Sizes = attr(
        {},
        doc="The size of each symbolic axis of the inputs for which multiply-adds and memory are meant, by its name.",
    )
    model_bytes: Bytes = attr(
        None, doc="Bytes of the compiled model's file. Checked by `jsonnx compile` and `validate --compile`."
    )
    opset: int | None = attr(
        None,
        doc="The latest ONNX operator set that the compiled model may need. Checked like `model_bytes`.",
        minimum=MIN_OPSET_LIMIT,
        maximum=MAX_OPSET_LIMIT,
    )
    targets: Targets = attr(
        None,
        doc="Execution providers that must have a kernel for every operator of the model. Checked like `model_bytes`.",
    )
