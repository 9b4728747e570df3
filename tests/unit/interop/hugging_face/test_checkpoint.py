"""Tensors of a folder: single files and shards, element types, missing and superfluous ones, unsafe files."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError, Diagnostic, UsageError
from jsonnx.core.numpy_types import numpy_dtype
from jsonnx.interop.safetensors_file import safetensors_parts
from support.hugging_face_folders import fixture, random_tensors, write_fixture, write_folder

WORDS = "embeddings.word_embeddings.weight"
INDEX = "model.safetensors.index.json"

Tensors = dict[str, np.ndarray]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_fixture(tmp_path / "bert", "bert")


def tensors() -> Tensors:
    return random_tensors(fixture("bert")["tensors"])


def write(folder: Path, changed: Tensors) -> Path:
    return write_folder(folder, fixture("bert")["config"], changed)


def write_shards(folder: Path, shards: dict[str, Tensors], **changes: str) -> None:
    """Replaces the file of a folder by shards and their index."""
    (folder / "model.safetensors").unlink()
    for file, arrays in shards.items():
        (folder / file).write_bytes(b"".join(bytes(part) for part in safetensors_parts(arrays, {})))
    weight_map = {name: file for file, arrays in shards.items() for name in arrays}
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map | changes}))


def halves() -> dict[str, Tensors]:
    items = list(tensors().items())
    return {"model-00001-of-2.safetensors": dict(items[:20]), "model-00002-of-2.safetensors": dict(items[20:])}


def errors_of(folder: Path) -> list[Diagnostic]:
    with pytest.raises(CompileError) as caught:
        jsonnx.from_hugging_face(folder)
    return caught.value.diagnostics


def error_of(folder: Path) -> Diagnostic:
    (error,) = errors_of(folder)
    return error


def weights_of(folder: Path) -> Tensors:
    return jsonnx.from_hugging_face(folder)[1]


def assert_equal(actual: Tensors, expected: Tensors) -> None:
    assert actual.keys() == expected.keys()
    assert all(actual[name].tobytes() == expected[name].tobytes() for name in expected)


# -- files that are read -----------------------------------------------------------------------------------------------


def test_shards_are_read_as_one(folder: Path) -> None:
    expected = weights_of(folder)
    write_shards(folder, halves())
    assert_equal(weights_of(folder), expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_floating_point_types_become_float32(dtype: str, folder: Path, tmp_path: Path) -> None:
    rounded = {name: array.astype(numpy_dtype(dtype)) for name, array in tensors().items()}
    expected = weights_of(write(tmp_path / "float32", {name: a.astype(np.float32) for name, a in rounded.items()}))
    assert_equal(weights_of(write(folder, rounded)), expected)
    assert {array.dtype for array in weights_of(folder).values()} == {np.dtype("float32")}


def test_names_of_old_versions_are_read(folder: Path) -> None:
    expected = weights_of(folder)
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): array
        for name, array in tensors().items()
    }
    assert_equal(weights_of(write(folder, old)), expected)


def test_a_prefix_and_buffers_do_not_matter(folder: Path) -> None:
    expected = weights_of(folder)
    named = {f"bert.{name}": array for name, array in tensors().items()}
    named["bert.embeddings.position_ids"] = np.arange(16)[None]
    named["cls.predictions.bias"] = np.zeros(19, np.float32)
    assert_equal(weights_of(write(folder, named)), expected)


def test_names_of_version_5_in_memory_are_read(tmp_path: Path) -> None:
    for name in ("vit", "dinov2"):
        recorded = fixture(name)
        stored = random_tensors(recorded["tensors"])
        expected = weights_of(write_fixture(tmp_path / name, name))
        parts = {"query": "q_proj", "key": "k_proj", "value": "v_proj"}
        renamed = {}
        for key, array in stored.items():
            for old, new in parts.items():
                key = key.replace(f"attention.attention.{old}", f"attention.{new}")
            key = key.replace("attention.output.dense", "attention.o_proj").replace("encoder.layer.", "layers.")
            if name == "vit":
                key = key.replace("intermediate.dense", "mlp.fc1").replace(".output.dense", ".mlp.fc2")
            renamed[key] = array
        assert_equal(weights_of(write_folder(tmp_path / f"{name}5", recorded["config"], renamed)), expected)


# -- tensors that do not fit -------------------------------------------------------------------------------------------


def test_missing_superfluous_and_misshaped_tensors_are_named(folder: Path) -> None:
    changed = tensors()
    del changed["pooler.dense.bias"]
    changed["adapter.weight"] = np.zeros(2, np.float32)
    changed[WORDS] = changed[WORDS].T
    superfluous, misshaped, missing = (error.message for error in errors_of(write(folder, changed)))
    assert misshaped == f"the tensor '{WORDS}' has the shape [8, 19], config.json leads to [19, 8]"
    assert superfluous == "the tensor 'adapter.weight' belongs to no weight of the network"
    assert missing == "the tensor 'pooler.dense.bias' is missing"


def test_quantized_tensors_are_refused(folder: Path) -> None:
    changed = {**tensors(), WORDS: np.zeros((19, 8), np.int8)}
    error = error_of(write(folder, changed))
    assert (error.code, f"the tensor '{WORDS}' has elements of type int8" in error.message) == (
        "unsupported-model",
        True,
    )


def test_numbers_that_are_not_finite_are_refused(folder: Path) -> None:
    changed = tensors()
    changed[WORDS][3, 2] = np.nan
    assert error_of(write(folder, changed)).code == "not-finite"


# -- unsafe and damaged files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shard", ["../outside.safetensors", "/etc/passwd", "sub/a.safetensors", "..", "", "a\\b"])
def test_a_shard_outside_of_the_folder_is_refused(shard: str, folder: Path) -> None:
    (folder.parent / "outside.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    write_shards(folder, halves(), **{WORDS: shard})
    assert error_of(folder).code == "unsafe-file"


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_link_is_refused(name: str, folder: Path) -> None:
    (folder / name).rename(folder.parent / "moved")
    os.symlink(folder.parent / "moved", folder / name)
    error = error_of(folder)
    assert (error.code, "symbolic link" in error.message) == ("unsafe-file", True)
    assert "cp -RL" in (error.help or "")


@pytest.fixture
def cached(folder: Path, tmp_path: Path) -> Path:
    """A folder as the cache of Hugging Face has it: links into `blobs`."""
    model = tmp_path / "models--owner--bert"
    version = model / "snapshots" / "5f3a"
    version.mkdir(parents=True)
    (model / "blobs").mkdir()
    for number, name in enumerate(("config.json", "model.safetensors")):
        (folder / name).rename(model / "blobs" / f"b{number}")
        os.symlink(f"../../blobs/b{number}", version / name)
    return version


def test_links_of_the_cache_are_followed(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = weights_of(cached)
    monkeypatch.chdir(cached)
    assert_equal(weights_of(Path()), weights)


@pytest.mark.parametrize("target", ["../../../secret", "/etc/hosts", "../../blobs/link", "../../blobs/../../secret"])
def test_other_links_in_the_cache_are_refused(target: str, cached: Path) -> None:
    blobs = cached.parents[1] / "blobs"
    (cached.parents[2] / "secret").write_text("{}")
    (blobs / "link").symlink_to(cached.parents[2] / "secret")
    (cached / "config.json").unlink()
    (cached / "config.json").symlink_to(target)
    assert error_of(cached).code == "unsafe-file"


def test_a_model_of_the_cache_leads_to_its_versions(cached: Path) -> None:
    with pytest.raises(UsageError) as caught:
        jsonnx.from_hugging_face(cached.parents[1])
    assert "snapshots" in (caught.value.diagnostic.help or "")


@pytest.mark.parametrize("suffix", [".bin", ".pkl"])
def test_an_index_that_names_pickles_is_refused(suffix: str, folder: Path) -> None:
    write_shards(folder, halves(), **{WORDS: f"pytorch_model-1{suffix}"})
    assert error_of(folder).code == "unsafe-file"


def test_a_pickle_is_not_opened_and_the_help_converts_it(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": print}))
    error = error_of(folder)
    assert (error.code, "save_pretrained" in (error.help or "")) == ("unsafe-file", True)


def test_shards_and_index_have_to_agree(folder: Path) -> None:
    shards = halves()
    write_shards(folder, shards, **{"further.weight": next(iter(shards))})
    assert "lack 'further.weight'" in error_of(folder).message
    weight_map = json.loads((folder / INDEX).read_text())["weight_map"]
    del weight_map["further.weight"], weight_map[WORDS]
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    assert f"have '{WORDS}', not in the index" in error_of(folder).message


@pytest.mark.parametrize("index", [{}, {"weight_map": []}, {"weight_map": {}}, {"weight_map": {"a": 1}}, []])
def test_a_malformed_index_is_an_error(index: Any, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / INDEX).write_text(json.dumps(index))
    assert error_of(folder).code == "damaged-file"


@pytest.mark.parametrize("size", [0, 7, 100, 2000, -1])
def test_a_truncated_file_is_an_error(size: int, folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:size])
    assert error_of(folder).code == "damaged-file"


def test_missing_files_are_errors_of_use(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="there are no weights"):
        jsonnx.from_hugging_face(folder)
    write_shards(write_fixture(folder, "bert"), halves(), **{WORDS: "absent.safetensors"})
    with pytest.raises(UsageError, match=r"absent\.safetensors"):
        jsonnx.from_hugging_face(folder)
    with pytest.raises(UsageError, match=r"config\.json"):
        jsonnx.from_hugging_face(tmp_path)


# -- sentence-transformers ---------------------------------------------------------------------------------------------


def write_modules(folder: Path, pooling: dict[str, Any], *kinds: str) -> Path:
    modules = [{"type": f"sentence_transformers.models.{kind}", "path": path} for kind, path in zip(
        ("Transformer", *kinds), ("", "1_Pooling", "2_Normalize"), strict=False)]  # fmt: skip
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


@pytest.mark.parametrize(
    "pooling",
    [
        {"word_embedding_dimension": 8, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True},
        {"embedding_dimension": 8, "pooling_mode": "mean", "include_prompt": True},
    ],
)
def test_the_mean_of_tokens_is_the_embedding_of_a_sentence(pooling: dict[str, Any], folder: Path) -> None:
    recorded = fixture("bert")
    inputs = {name: np.array(value) for name, value in recorded["inputs"].items()}
    hidden, mask = np.array(recorded["outputs"]["last_hidden_state"]), inputs["attention_mask"][..., None]
    mean = (hidden * mask).sum(1) / mask.sum(1)
    spec, weights = jsonnx.from_hugging_face(write_modules(folder, pooling, "Pooling", "Normalize"))
    result = jsonnx.Session(jsonnx.compile(spec, weights=weights)).run(inputs)["sentence_embedding"]
    np.testing.assert_allclose(result, mean / np.linalg.norm(mean, axis=1, keepdims=True), atol=1e-5)


def test_the_first_token_is_the_embedding_of_a_sentence(folder: Path) -> None:
    recorded = fixture("bert")
    inputs = {name: np.array(value) for name, value in recorded["inputs"].items()}
    spec, weights = jsonnx.from_hugging_face(write_modules(folder, {"pooling_mode_cls_token": True}, "Pooling"))
    result = jsonnx.Session(jsonnx.compile(spec, weights=weights)).run(inputs)["sentence_embedding"]
    np.testing.assert_allclose(result, np.array(recorded["outputs"]["last_hidden_state"])[:, 0], atol=1e-5)


@pytest.mark.parametrize(
    ("pooling", "kinds", "text"),
    [
        ({"pooling_mode_max_tokens": True}, ["Pooling"], "'pooling_mode_max_tokens' is true"),
        ({"pooling_mode": "lasttoken"}, ["Pooling"], "'pooling_mode' is 'lasttoken'"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, ["Pooling"], "several kinds of pooling"),
        ({"pooling_mode_mean_tokens": False}, ["Pooling"], "none of the kinds of pooling"),
        ({"pooling_mode_other": True}, ["Pooling"], "'pooling_mode_other' may change results"),
        ({}, ["Dense"], "the module 'Dense'"),
    ],
)
def test_other_modules_are_refused(pooling: dict[str, Any], kinds: list[str], text: str, folder: Path) -> None:
    error = error_of(write_modules(folder, pooling, *kinds))
    assert (error.code, text in error.message) == ("unsupported-model", True)
