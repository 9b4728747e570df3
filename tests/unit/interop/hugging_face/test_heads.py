"""Heads: which one the class in the configuration means, tied tensors, and what a new head keeps of the old one."""

from __future__ import annotations

from pathlib import Path

import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.pipeline.compile.hugging_face_import import import_folder
from support.hugging_face_folders import Fixture, fixture, random_tensors, write_fixture, write_folder

WORDS = "bert.embeddings.word_embeddings.weight"
Tensors = dict[str, np.ndarray]


def pretrained() -> tuple[Fixture, Tensors]:
    """Configuration and tensors as the first published files of BERT have them: with the pooler and both heads, the
    embedding twice, and `gamma` and `beta`."""
    recorded = fixture("bert_masked_lm")
    tensors = random_tensors(recorded["tensors"])
    random = np.random.RandomState(1)
    extra = {"bert.pooler.dense": (8, 8), "cls.seq_relationship": (2, 8)}
    for module, shape in extra.items():
        tensors[f"{module}.weight"] = random.standard_normal(shape).astype(np.float32)
        tensors[f"{module}.bias"] = random.standard_normal(shape[0]).astype(np.float32)
    tensors["cls.predictions.decoder.weight"] = tensors[WORDS]
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for new_name, old_name in old.items():
        tensors = {name.replace(new_name, old_name): array for name, array in tensors.items()}
    return recorded["config"], tensors


def test_a_published_file_of_bert_is_its_masked_language_model(tmp_path: Path) -> None:
    recorded = fixture("bert_masked_lm")
    spec, weights = jsonnx.from_hugging_face(write_folder(tmp_path, *pretrained()))
    assert spec["outputs"] == ["logits"]
    inputs = {name: np.array(value) for name, value in recorded["inputs"].items()}
    logits = jsonnx.Session(jsonnx.compile(spec, weights=weights)).run(inputs)["logits"]
    kept = inputs["attention_mask"] == 1
    np.testing.assert_allclose(logits[kept], np.array(recorded["outputs"]["logits"])[kept], atol=2e-5)


def test_a_new_head_of_a_language_model_stands_on_the_pooler(tmp_path: Path) -> None:
    config, tensors = pretrained()
    spec, weights = jsonnx.from_hugging_face(write_folder(tmp_path, config, tensors), {"kind": 3})
    names = [entry["name"] for entry in spec["layers"]]
    assert names[-5:] == ["last_hidden_state", "first_token", "pooler", "dropout", "kind"]
    assert weights["pooler/kernel"].tobytes() == tensors["bert.pooler.dense.weight"].T.tobytes()
    jsonnx.Trainer(spec, weights=weights, partial=True)


def test_a_copy_that_differs_from_its_tensor_is_an_error(tmp_path: Path) -> None:
    config, tensors = pretrained()
    tensors["cls.predictions.decoder.weight"] = tensors[WORDS] + 1
    with pytest.raises(CompileError, match=r"'cls\.predictions\.decoder\.weight' and .* differ"):
        jsonnx.from_hugging_face(write_folder(tmp_path, config, tensors))


def test_untied_vectors_of_a_masked_language_model_are_refused(tmp_path: Path) -> None:
    config, tensors = pretrained()
    with pytest.raises(CompileError, match="'tie_word_embeddings' is false"):
        jsonnx.from_hugging_face(write_folder(tmp_path, {**config, "tie_word_embeddings": False}, tensors))


def test_a_head_that_is_not_imported_is_named(tmp_path: Path) -> None:
    config, tensors = pretrained()
    folder = write_folder(tmp_path, {**config, "architectures": ["BertForQuestionAnswering"]}, tensors)
    imported = import_folder(folder)
    (notice,) = imported.notices
    assert (notice.code, notice.severity) == ("not-imported", "warning")
    assert notice.message.startswith("the head of 'BertForQuestionAnswering' is left out")
    assert imported.spec["outputs"] == ["last_hidden_state", "pooler"]


def test_the_number_of_classes_is_that_of_the_names(tmp_path: Path) -> None:
    recorded = fixture("bert_classifier")
    config = {**recorded["config"], "id2label": {"0": "good", "1": "fair", "2": "poor"}}
    spec, _ = jsonnx.from_hugging_face(write_folder(tmp_path, config, random_tensors(recorded["tensors"])))
    assert spec["layers"][-1] == {"type": "Dense", "name": "classifier", "units": 3}


def test_layers_read_what_a_dropout_without_effect_reads(tmp_path: Path) -> None:
    folder = write_fixture(tmp_path, "bert_classifier", hidden_dropout_prob=0)
    layers = {entry["name"]: entry for entry in jsonnx.from_hugging_face(folder)[0]["layers"]}
    assert "embeddings" not in layers
    assert "dropout" not in layers
    assert layers["layer_${index}"]["from"] == ["embeddings_norm", "attention_mask"]


@pytest.mark.parametrize(
    ("name", "tensors"), [("llama_lm", "'lm_head.weight' is"), ("vit_classifier", "'classifier.weight' are")]
)
def test_tensors_of_a_head_without_a_class_are_left_out_with_a_warning(name: str, tensors: str, tmp_path: Path) -> None:
    (notice,) = import_folder(write_fixture(tmp_path, name, architectures=None)).notices
    assert f"{tensors} left out" in notice.message


@pytest.mark.parametrize("name", ["bert", "vit", "dinov2", "llama", "modernbert"])
def test_a_base_model_without_a_class_is_whole(name: str, tmp_path: Path) -> None:
    assert import_folder(write_fixture(tmp_path, name, architectures=None)).notices == ()


@pytest.mark.parametrize("name", ["llama_lm", "gemma2_lm", "bert_masked_lm"])
def test_a_new_head_leaves_no_weights_of_logits(name: str, tmp_path: Path) -> None:
    spec, weights = jsonnx.from_hugging_face(write_fixture(tmp_path, name), {"kind": 3})
    assert {entry["type"] for entry in spec["layers"] if entry["name"] == "word_embeddings"} == {"Embedding"}
    assert [key for key in weights if key.startswith("word_embeddings/")] == ["word_embeddings/embeddings"]
    jsonnx.Trainer(spec, weights=weights, partial=True)
