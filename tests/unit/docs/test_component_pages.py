"""The generated pages of components: what they contain, their links, and which names lead to them."""

from __future__ import annotations

import os.path
import re

import pytest
from generate.components.component_pages import component_names, component_pages, search_words
from generate.components.indexes import layer_groups
from generate.components.kin import kin
from generate.components.mentions import named_records
from generate.components.records import Record, find_record, keras_names, records
from jsonnx.layers import LAYERS
from jsonnx.render.reference.component_reference import KINDS

MAX_GROUP = 40
"""Pages of a group in the sidebar."""

PAGES = component_pages()


def page_of(kind: str, name: str) -> str:
    return PAGES[find_record(kind, name).page]


def test_every_component_has_a_page() -> None:
    count = len([*LAYERS]) + sum(len([*registry]) for registry in KINDS.values())
    assert len([record for record in records() if record.component]) == count
    assert {record.page for record in records()} <= PAGES.keys()
    assert len({record.page for record in records()}) == len(records())


def test_names_of_files_differ_in_more_than_case() -> None:
    assert len({path.lower() for path in PAGES}) == len(PAGES)


def test_pages_are_the_same_when_they_are_generated_again() -> None:
    assert component_pages() == PAGES


def test_every_link_leads_to_a_page_or_to_a_written_one() -> None:
    for path, text in PAGES.items():
        for target in re.findall(r"\]\(([^)#]+)", text):
            page = os.path.normpath(os.path.join(os.path.dirname(path), target))
            assert page in PAGES or not page.startswith("reference/"), (path, target)


def test_every_page_is_in_the_navigation() -> None:
    listed = set()
    for path, text in PAGES.items():
        for block in re.findall(r"```\{toctree\}\n:hidden:\n\n(.*?)\n```", text, re.DOTALL):
            listed |= {os.path.normpath(os.path.join(os.path.dirname(path), name)) for name in block.split("\n")}
    kinds = {path for path in PAGES if path.endswith("/index.md")}
    assert listed | kinds == PAGES.keys()


@pytest.mark.parametrize("kind", ["layer", "operator"])
def test_groups_are_short(kind: str) -> None:
    assert all(len(group.members) <= MAX_GROUP for group in layer_groups(kind))


def test_the_page_of_a_layer() -> None:
    text = page_of("layer", "LSTM")
    assert text.startswith("---\nsearch: ")
    assert "# LSTM\n\nLayer ([Recurrent layers](recurrent-layers.md)). Long short-term memory" in text
    assert '{"type": "LSTM", "units": 8}' in text
    assert "applied to the new state. *An [activation](../activations/index.md) or null.* |" in text
    assert "| `float32[batch, time, 32]` | `float32[batch, 8]` |" in text
    assert "- Further results with `return_state`: `lstm.state_h`, `lstm.state_c`" in text
    assert "| Keras | `keras.layers.LSTM` |" in text
    assert "| PyTorch | `torch.nn.LSTM` (`return_sequences` gives all steps" in text
    assert "[arguments of every layer](index.md#arguments-of-every-layer)" in text
    assert "## Arguments of every layer" in PAGES["reference/layers/index.md"]


def test_the_page_of_a_loss() -> None:
    text = page_of("loss", "mse")
    assert text.startswith("---\nsearch: ")
    assert '"training": {"loss": "mean_squared_error"}' in text
    assert "- [mean_squared_error](../metrics/mean_squared_error.md) (metric):" in text
    assert "`torch.nn.MSELoss`" in text


def test_components_that_keras_lacks_say_so() -> None:
    assert "| Keras | not in Keras |" in page_of("loss", "quantile")
    assert "`keras_hub.layers.RotaryEmbedding`" in page_of("layer", "RotaryEmbedding")
    assert not any("Keras" in line for line in page_of("block", "std.MLP").split("## Other names")[1:])


def test_the_page_of_a_block_has_its_definition() -> None:
    text = page_of("block", "std.MLP")
    assert "## Definition" in text
    assert '"blocks": {' in text
    assert "- Parameters of the example: 739" in text


def test_search_words_are_the_names_elsewhere() -> None:
    words = search_words(find_record("layer", "Dense"))
    assert {"keras.layers.Dense", "torch.nn.Linear", "Linear"} <= {*words}
    assert "Dense" not in words


def test_aliases_in_keras() -> None:
    assert keras_names(find_record("layer", "MaxPooling2D")) == ["keras.layers.MaxPooling2D", "keras.layers.MaxPool2D"]
    assert keras_names(find_record("layer", "GroupQueryAttention")) == ["keras.layers.GroupQueryAttention"]
    assert keras_names(find_record("operator", "ops.abs")) == ["keras.ops.abs", "keras.ops.absolute"]


def names(found: list[Record]) -> list[str]:
    return [f"{record.kind} {record.name}" for record in found]


def test_kin_are_namesakes_first() -> None:
    assert names(kin(find_record("activation", "relu")))[:2] == ["layer ReLU", "operator ops.relu"]
    assert names(kin(find_record("metric", "mse")))[0] == "loss mean_squared_error"
    assert {"layer Conv1D", "layer Conv3D"} <= {*names(kin(find_record("layer", "Conv2D")))}


def test_names_lead_to_the_page_of_one_component() -> None:
    found = component_names()
    assert found["LSTM"] == "reference/layers/LSTM.md"
    assert found["ops.softmax"] == "reference/operators/softmax.md"
    assert found["std.MLP"] == "reference/blocks/MLP.md"
    assert found["adamw"] == found["AdamW"] == "reference/optimizers/adamw.md"
    assert found["huber"] == "reference/losses/huber.md"
    for ambiguous in ("mse", "mean_squared_error", "accuracy", "constant", "threshold", "l2", "Linear", "precision"):
        assert ambiguous not in found
    assert {*found.values()} <= PAGES.keys()


def test_code_names_components_by_its_keys() -> None:
    text = """`Dense` and `GRU()` are layers, but add is none.

```json
{"layers": [{"type": "Conv2D", "activation": "relu", "bias_initializer": {"type": "zeros"}}],
 "training": {"loss": "mse", "metrics": ["mae", {"type": "auc"}], "optimizer": "adam", "Dropout": "x"}}
```
"""
    assert sorted(names([*named_records(text)])) == [
        "activation relu",
        "initializer zeros",
        "layer Conv2D",
        "layer Dense",
        "loss mean_squared_error",
        "metric auc",
        "metric mean_absolute_error",
        "optimizer adam",
    ]
