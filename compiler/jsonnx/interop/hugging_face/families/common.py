"""Parts that several families share: names of activations, inputs, heads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ....frontend.schema.phrases import short_name
from ..config import Config

ACTIVATIONS: dict[str, Any] = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    **{name: {"type": "gelu", "approximate": True} for name in ("gelu_new", "gelu_fast", "gelu_pytorch_tanh")},
    **{name: name for name in ("relu", "relu6", "silu", "sigmoid", "tanh", "mish", "linear")},
    "leaky_relu": {"type": "leaky_relu", "negative_slope": 0.01},
    "swish": "silu",
}
"""Our activation, by the name that transformers has for it."""

TOKEN_INPUTS: dict[str, Any] = {
    "input_ids": {"shape": ["time"], "dtype": "int64"},
    "attention_mask": {"shape": ["time"], "dtype": "int64"},
}
"""The inputs of an encoder of texts. The mask is 1 for tokens and 0 for padding."""


def entry(type_: str, name: str, source: str | list[str] | None = None, **arguments: Any) -> dict[str, Any]:
    """An entry of `layers`; without a source it reads the entry before it."""
    return {"type": type_, "name": name, **({} if source is None else {"from": source}), **arguments}


LAST_HIDDEN_STATE = entry("Identity", "last_hidden_state")
FIRST_TOKEN = entry("ops.get_item", "first_token", "last_hidden_state", key=[":", 0])


def task_of(config: Config, supported: Iterable[str] = ()) -> str:
    """The task of the model that was saved, by its class: `SequenceClassification` of `BertForSequenceClassification`.
    Empty for a base model, and for a task that is not among the supported ones, which is imported without its head."""
    task = _saved_class(config).partition("For")[2]
    return task if task in supported else ""


def left_out_head(config: Config, supported: Iterable[str] = ()) -> tuple[str, ...]:
    """A sentence about the head of the model that was saved, if its task is not among the supported ones."""
    saved = _saved_class(config)
    if "For" not in saved or task_of(config, supported):
        return ()
    return (f"the head of {short_name(saved)} is left out: the spec is the model before it",)


def _saved_class(config: Config) -> str:
    classes = config.list_of("architectures", str, [])
    return classes[0] if classes else ""


def class_count(config: Config) -> int:
    """The number of classes of a classifier."""
    config.skip("num_labels", "id2label", "label2id")
    labels = config.section("id2label")
    if labels is None:
        count: int = config.integer("num_labels", 2)
        return count
    labels.skip(*labels.keys())
    return len(labels.keys())


def class_names(config: Config) -> list[str]:
    """The names of the classes of a classifier; none if the configuration has no names but those that transformers
    numbers."""
    labels = config.section("id2label")
    keys = [] if labels is None else labels.keys()
    if labels is None or len(keys) < 2 or set(keys) != {str(index) for index in range(len(keys))}:
        return []
    names = [labels.text(str(index)) for index in range(len(keys))]
    is_numbered = all(name == f"LABEL_{index}" for index, name in enumerate(names))
    return [] if is_numbered or len(set(names)) < len(names) or "" in names else names


def prefix_of(prefix: str, names: Iterable[str]) -> str:
    """The prefix, if tensors have it: base models are saved without."""
    return prefix if any(name.startswith(prefix) for name in names) else ""
