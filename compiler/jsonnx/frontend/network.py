"""What was written: layer calls and the names that connect them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from ..core.components import Json
from ..core.diagnostics import JsonPath
from ..core.types import ShapeError, TensorType
from ..layers import Layer
from ..training.section import Training


@dataclass(frozen=True)
class Call:
    """One use of a layer. `owner` is the call whose weights it uses: itself, unless it says `use`.

    `layer` is None where its attributes are wrong; then its results have no types.
    """

    name: str
    layer: Layer | None
    sources: tuple[str, ...]
    path: JsonPath
    owner: str
    block_uses: tuple[tuple[str, str], ...] = ()
    """The uses of blocks that it stands in, from the outermost: their names, and which blocks they are."""

    @property
    def results(self) -> tuple[str, ...]:
        """The names of its values: its own, and one for every further output."""
        try:
            more = self.layer.output_names() if self.layer else ()
        except ShapeError:  # what is wrong with a layer inside it `infer` says
            more = ()
        return (self.name, *(f"{self.name}.{output}" for output in more))

    @property
    def takes_mask(self) -> bool:
        """Whether Keras connects it with the mask beside its input."""
        return self.layer is not None and self.layer.mask_argument and len(self.sources) == 1


@dataclass(frozen=True)
class Network:
    """The calls in an order in which they can run."""

    name: str
    inputs: Mapping[str, TensorType]
    calls: tuple[Call, ...]
    outputs: tuple[str, ...]
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    training: Training | None = None
    learning_rate_factors: Mapping[str, float] = field(default_factory=dict)
    """Factor on the learning rate by layer, where there is one."""
    paths: Mapping[str, JsonPath] = field(default_factory=dict)
    """Where each value was defined."""
    document: Json = None
    """The spec: what was written, with all changes that were asked for."""
    flat_document: Json = None
    """The same without blocks, repetitions and expressions."""

    def calls_needed_for(self, values: Iterable[str], known: Container[str] = ()) -> list[Call]:
        """The calls on which some values depend, in their order, back to those whose values are given."""
        read, calls = set(values), []
        for call in reversed(self.calls):
            if read.intersection(call.results):
                calls.append(call)
                read.update(() if call.name in known else call.sources)
        return calls[::-1]
