"""Hostile files of KerasHub's models."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from support.keras_hub_files import recorded_models, write_model

from .cases import Case

FILE = "model.keras"
BACKBONE = "backbone"


def _case(row: str, name: str, model: str, path: tuple[str, ...], value: Any) -> Case:
    """The import of a recorded model in whose configuration one value is changed."""

    def write() -> None:
        changed = copy.deepcopy(recorded_models()[model])
        holder = changed["config"]
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = value
        write_model(Path(FILE), changed)

    return Case(row, name, write, ("import", FILE))


def _key(row: str, name: str, key: str, value: Any) -> Case:
    """A changed key of BERT's backbone in a classifier."""
    return _case(row, name, "bert-classifier", ("config", BACKBONE, "config", key), value)


def _without_most_arrays() -> None:
    model = copy.deepcopy(recorded_models()["bert"])
    model["arrays"] = dict(list(model["arrays"].items())[:3])
    write_model(Path(FILE), model)


KERAS_HUB = (
    _key("G1", "text_for_a_size", "hidden_dim", "8"),
    _key("G1", "list_for_a_size", "num_layers", [1, 2]),
    _key("G1", "negative_size", "vocabulary_size", -1),
    _key("G1", "huge_size", "intermediate_dim", 10**400),
    _key("G1", "NaN", "dropout", float("nan")),
    _case("G1", "list_for_a_configuration", "bert", ("config",), []),
    _case("G1", "text_for_a_backbone", "bert-classifier", ("config", BACKBONE), "BertBackbone"),
    _case(
        "G1", "backbone_without_configuration", "bert-classifier", ("config", BACKBONE), {"class_name": "BertBackbone"}
    ),
    _case("G1", "list_for_the_arguments_of_compile", "bert-classifier", ("compile_config",), {"loss": [[]]}),
    _key("G2", "unknown_key", "rotary", True),
    _key("G2", "half_precision", "dtype", {"class_name": "DTypePolicy", "config": {"name": "float16"}}),
    _case("G2", "class_of_another_architecture", "bert", ("class_name",), "MoonshineBackbone"),
    _case("G2", "backbone_of_another_class", "bert-classifier", ("config", BACKBONE, "class_name"), "GPT2Backbone"),
    _case("G2", "code_as_activation", "bert-classifier", ("config", "activation"), {"class_name": "__lambda__"}),
    _key("G3", "wide", "intermediate_dim", 1 << 24),
    _key("G3", "many_layers", "num_layers", 1000),
    Case("G3", "too_few_arrays", _without_most_arrays, ("import", FILE)),
)
