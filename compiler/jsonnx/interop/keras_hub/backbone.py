"""What all backbones have in common."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...core.diagnostics import Report
from ..hugging_face.config import Config
from ..hugging_face.translation import Weights

TOKEN_INPUT = {"shape": ["time"], "dtype": "int32"}
INPUT_NAMES = {
    "input_ids": "token_ids",
    "attention_mask": "padding_mask",
    "token_type_ids": "segment_ids",
    "pixel_values": "images",
}
"""KerasHub's name of an input, by that of Hugging Face."""


class Source(NamedTuple):
    """The configuration of a backbone and the file that it is in."""

    config: Config
    root: str
    """The prefix of the backbone's groups in the file of weights."""
    arrays: frozenset[str]
    """The paths of all arrays in the file; empty for a file without weights."""
    report: Report
    """Takes warnings."""
    is_language_model: bool = False
    """Whether the model is a causal language model: the embedding of tokens also gives its logits."""

    def warn(self, message: str) -> None:
        """Warns that the imported model differs from KerasHub's."""
        self.report.add("keras-differs", (), message, severity="warning")


class Backbone(NamedTuple):
    """A backbone as entries of a spec, from which a head may go on."""

    spec: dict[str, Any]
    """Inputs, layers, outputs and perhaps blocks."""
    weights: Weights
    """By our names; the sources are arrays of the file."""
    hidden: int
    """Features of the last hidden state."""
    head: tuple[str, ...] = ()
    """The layers with weights that a task adds."""
    unused: tuple[str, ...] = ()
    """Patterns of paths of arrays that are no weights here."""


def with_hub_inputs(spec: dict[str, Any]) -> dict[str, Any]:
    """The spec with KerasHub's names and element types of the inputs."""
    inputs = {}
    for name, entry in spec["inputs"].items():
        hub_name = INPUT_NAMES[name]
        inputs[hub_name] = entry if hub_name == "images" else TOKEN_INPUT
    return {**spec, "inputs": inputs, "layers": [_renamed(layer) for layer in spec["layers"]]}


def _renamed(layer: dict[str, Any]) -> dict[str, Any]:
    source = layer.get("from")
    if isinstance(source, list):
        return {**layer, "from": [INPUT_NAMES.get(name, name) for name in source]}
    return layer if source is None else {**layer, "from": INPUT_NAMES.get(source, source)}
