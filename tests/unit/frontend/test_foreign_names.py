"""Every name of the table of foreign names leads to something that exists."""

from __future__ import annotations

import json
from pathlib import Path

import jsonnx
import pytest
from jsonnx import library
from jsonnx.frontend.foreign.foreign_help import LAYER_LOSS_HELP, foreign_name_help, key_correction
from jsonnx.frontend.foreign.foreign_names import KEYS, NAMES_BY_KIND, NEEDLESS_KEYS, SPLIT_KEYS
from jsonnx.frontend.schema.schema import DTYPES, ENTRY_KEYS, REGISTRIES, definition, root_schema
from jsonnx.layers import LAYERS
from jsonnx.sections.data_section import DataSection
from jsonnx.sections.sweep_section import SweepSection
from jsonnx.sections.training_section import EarlyStoppingSection, InitialWeightsSection, Training

KNOWN_NAMES = {registry.kind: registry.by_name for registry in (LAYERS, *REGISTRIES)} | {
    "dtype": dict.fromkeys(DTYPES, None),
    "sampler": dict.fromkeys(SweepSection.codecs()["sampler"].schema()["enum"], None),
}
KNOWN_NAMES["layer"] = {**LAYERS.by_name, **dict.fromkeys(library.block_types())}
NAMES = [(kind, name, replacement) for kind, names in NAMES_BY_KIND.items() for name, replacement in names.items()]
KNOWN_KEYS = [
    *(set(component.attributes) | set(ENTRY_KEYS) for registry in (LAYERS, *REGISTRIES) for component in registry),
    *(set(section.attributes) for section in (Training, DataSection, EarlyStoppingSection, InitialWeightsSection)),
    set(root_schema()["properties"]),
    set(definition("input")["properties"]),
]


def test_the_table_is_not_small() -> None:
    assert len(NAMES) + len(KEYS) + len(SPLIT_KEYS) + len(NEEDLESS_KEYS) >= 120


def check_component(kind: str, value: object) -> None:
    if isinstance(value, str):
        assert value in KNOWN_NAMES[kind] or (kind == "layer" and value in library.block_types()), value
        return
    assert isinstance(value, dict)
    component = KNOWN_NAMES[kind][value["type"]]
    assert set(value) - {"type", "from"} <= set(component.attributes), value
    for key, item in value.items():
        if isinstance(item, dict):
            check_component("layer", item)
        elif key == "activation":
            assert item in KNOWN_NAMES["activation"]
        elif key != "type" and item is not ...:
            component.codecs()[key].read(item)


@pytest.mark.parametrize(("kind", "name", "replacement"), NAMES, ids=[f"{kind}-{name}" for kind, name, _ in NAMES])
def test_a_name_is_foreign_and_its_replacement_exists(kind: str, name: str, replacement: object) -> None:
    assert name not in KNOWN_NAMES[kind], "the name exists: it needs no replacement"
    for value in replacement if isinstance(replacement, tuple) else [replacement]:
        check_component(kind, value)
    assert foreign_name_help(kind, name, KNOWN_NAMES[kind])


@pytest.mark.parametrize("key", [*KEYS, *SPLIT_KEYS])
def test_every_replacement_of_a_key_is_a_key_of_an_object_that_lacks_the_key(key: str) -> None:
    for replacement in KEYS.get(key) or SPLIT_KEYS[key]:
        assert any(replacement in known and key not in known for known in KNOWN_KEYS), replacement


@pytest.mark.parametrize("key", NEEDLESS_KEYS)
def test_a_needless_key_is_recognised_by_a_key_that_exists(key: str) -> None:
    assert any(NEEDLESS_KEYS[key][0] in known and key not in known for known in KNOWN_KEYS)


@pytest.mark.parametrize(
    ("kind", "name", "help"),
    [
        ("layer", "nn.Linear", 'write {"type": "Dense", "units": ...}'),
        ("layer", "torch.nn.ReLU", 'write "ReLU"'),
        ("layer", "nn.Conv2d", 'write "Conv2D"'),
        ("layer", "tf.keras.layers.Dense", 'write "Dense"'),
        ("layer", "keras.ops.mean", 'write "ops.mean"'),
        ("layer", "tf.reduce_mean", 'write "ops.mean"'),
        ("layer", "DenseLayer", 'write "Dense"'),
        ("layer", "GELU", 'write {"type": "Activation", "activation": "gelu"}'),
        ("layer", "TransformerEncoder", 'write "std.TransformerEncoder"'),
        ("layer", "PositionalEncoding", "write it as layers: SinePositionEncoding, Add"),
        ("loss", "nn.TripletMarginLoss", LAYER_LOSS_HELP),
        ("loss", "contrastive", LAYER_LOSS_HELP),
        ("loss", "nn.CrossEntropyLoss", 'write {"type": "sparse_categorical_crossentropy", "from_logits": true}'),
        ("optimizer", "torch.optim.Adam", 'write "Adam"'),
        ("layer", "RotaryEmbedding", None),
        ("layer", "Dens", None),
        ("metric", "sklearn.metrics.roc_auc_score", 'write "auc"'),
        ("metric", "MAPP", None),
    ],
)
def test_help_for_a_name(kind: str, name: str, help: str | None) -> None:
    assert foreign_name_help(kind, name, KNOWN_NAMES[kind]) == help


@pytest.mark.parametrize(("name", "is_safe"), [("GELU", True), ("nn.GELU", True), ("geLU", False), ("GeLU", False)])
def test_a_foreign_name_in_another_case_may_be_another_name_misspelt(name: str, is_safe: bool, tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({"inputs": {"x": {"shape": [4]}}, "layers": [{"type": name}]}))
    (diagnostic,) = jsonnx.validate(path)
    assert diagnostic.fix is not None
    assert diagnostic.fix.is_safe == is_safe


@pytest.mark.parametrize(
    ("key", "known", "help"),
    [
        ("p", ["rate", "seed"], "write 'rate'"),
        ("dim", ["axis"], "write 'axis'"),
        ("betas", ["beta_1", "beta_2"], "write 'beta_1' and 'beta_2'"),
        ("in_features", ["units"], "remove it: the size of the input is inferred"),
        ("in_features", ["rate"], None),
        ("p", ["units"], None),
    ],
)
def test_help_for_a_key(key: str, known: list[str], help: str | None) -> None:
    correction = key_correction(key, known)
    assert (correction.text if correction else None) == help


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("BCEWithLogitsLoss", "binary_crossentropy"),
        ("CrossEntropyLoss", "sparse_categorical_crossentropy"),
        ("NLLLoss", "sparse_categorical_crossentropy"),
        ("softmax_cross_entropy", "categorical_crossentropy"),
    ],
)
def test_a_loss_of_logits_is_replaced_by_one_that_raises_no_warning(name: str, loss: str) -> None:
    """The network behind such a loss has no activation."""
    layers = [{"type": "Dense", "units": 3}]
    (error,) = jsonnx.validate({"inputs": {"x": {"shape": [4]}}, "layers": layers, "training": {"loss": name}})
    assert error.help == f'write {{"type": "{loss}", "from_logits": true}}'
    training = {"loss": {"type": loss, "from_logits": True}}
    assert jsonnx.validate({"inputs": {"x": {"shape": [4]}}, "layers": layers, "training": training}) == []
