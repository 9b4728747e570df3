"""The propagation of masks, and the gradients of layers that read them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonnx
import numpy as np
import pytest
from click.testing import Result
from jsonnx.cli import main
from jsonnx.lowering.lower import lower
from jsonnx.pipeline.check.check import check_spec
from support.commands import IN_PROCESS
from support.harness import check_gradients, draw_weights

WORDS = {"type": "Embedding", "name": "words", "input_dim": 4, "output_dim": 4, "mask_zero": True}
IDS = np.array([[1, 2, 0, 0, 0], [0, 3, 0, 2, 0], [1, 1, 1, 1, 1]])
MEAN = {"type": "GlobalAveragePooling1D"}


def spec(*layers: dict, **training) -> dict:
    section = {"loss": "mse", "optimizer": {"type": "SGD", "learning_rate": 0.1}} | training
    inputs = {"ids": {"shape": [5], "dtype": "int64"}}
    return {"inputs": inputs, "layers": [WORDS, *layers], "training": section}


READERS = {
    "mean": [MEAN],
    "batch-normalization": [{"type": "BatchNormalization"}],
    "batch-normalization-of-time": [{"type": "BatchNormalization", "axis": 1}],
    "multiply": [{"type": "Dense", "units": 4, "name": "d"}, {"type": "Multiply", "from": ["words", "d"]}],
    "maximum": [{"type": "Dense", "units": 4, "name": "d"}, {"type": "Maximum", "from": ["words", "d"]}],
    "masking": [{"type": "Dense", "units": 3}, {"type": "Masking"}],
    "heads": [{"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 2}, MEAN],
    "groups": [{"type": "GroupQueryAttention", "head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1}],
    "attention": [{"type": "Attention", "use_scale": True}],
    "additive": [{"type": "AdditiveAttention"}],
}


@pytest.mark.parametrize("layers", READERS.values(), ids=READERS.keys())
def test_gradients_of_layers_that_read_masks_equal_finite_differences(layers: list[dict]) -> None:
    graph = lower(check_spec(spec(*layers)).require(), training=True, float_dtype="float64")
    feeds = {"ids": IDS, **draw_weights(graph, np.random.default_rng(0))}
    assert check_gradients(graph, feeds, list(graph.parameters)) < 1e-6


def test_the_mean_of_a_fully_masked_sequence_is_zero() -> None:
    model = jsonnx.compile(spec(MEAN))
    assert not model.session().run(np.zeros((2, 5), "int64"))["global_average_pooling1d"].any()


def test_targets_at_masked_positions_change_neither_loss_nor_gradient() -> None:
    trainer = jsonnx.Trainer(spec({"type": "Dense", "units": 2}))
    start = trainer.weights()
    target = np.random.default_rng(0).normal(size=(3, 5, 2)).astype("float32")
    other = np.where(IDS[..., None] == 0, 100.0, target).astype("float32")
    results = []
    for y in (target, other):
        trainer.set_weights(start)
        results.append((trainer.step(IDS, y)["loss"], trainer.weights()))
    (loss, weights), (again, same) = results
    assert loss == again
    assert all((weights[name] == same[name]).all() for name in weights)


def test_a_fully_masked_batch_has_a_loss_of_zero() -> None:
    trainer = jsonnx.Trainer(spec({"type": "Dense", "units": 2}))
    assert trainer.step(np.zeros((3, 5), "int64"), np.ones((3, 5, 2), "float32"))["loss"] == 0


def test_a_layer_without_mask_support_drops_the_mask_with_a_warning() -> None:
    ended = spec({"type": "Conv1D", "filters": 2, "kernel_size": 1}, MEAN)
    (warning,) = jsonnx.validate(ended)
    assert (warning.code, warning.severity, warning.path) == ("mask-ends", "warning", "$.layers[1]")
    assert check_spec(ended).require().masks.connected.value_masks.keys() == {"words"}


def ends(*layers: dict, **changes) -> list[str]:
    """The paths of layers that discard a mask."""
    return [item.path for item in jsonnx.validate(spec(*layers) | changes) if item.code == "mask-ends"]


POSITIONS = {"type": "PositionEmbedding", "name": "positions", "sequence_length": 5}


@pytest.mark.parametrize("merge", ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"])
def test_a_merge_with_an_unmasked_input_drops_the_mask_with_a_warning(merge: str) -> None:
    merged = {"type": merge, "from": ["words", "positions"]}
    (warning,) = jsonnx.validate(spec(POSITIONS, merged, {"type": "LSTM", "units": 2}))
    assert (warning.code, warning.path) == ("mask-ends", "$.layers[2]")
    assert "drops the mask of 'words', because 'positions' has none" in warning.message
    kept = {"type": "SequenceMask", "name": "kept"}
    assert ends(kept, POSITIONS, merged | {"from": ["kept", "positions"]}, {"type": "LSTM", "units": 2}) == []


def test_the_mask_that_the_help_recommends_passes_an_addition() -> None:
    merged = {"type": "Add", "from": ["kept", "positions"]}
    written = spec({"type": "SequenceMask", "name": "kept"}, POSITIONS, merged, MEAN)
    written["inputs"]["ids"]["shape"] = ["time"]
    session = jsonnx.compile(written).session()
    padded, alone = (session.run(np.array([ids])) for ids in ([1, 2, 3, 0, 0], [1, 2, 3]))
    np.testing.assert_allclose(padded["global_average_pooling1d"], alone["global_average_pooling1d"], rtol=1e-6)


def test_a_mask_that_nothing_reads_ends_without_a_warning() -> None:
    heads = {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 2}
    token = {"type": "ops.get_item", "key": [":", 0]}
    dense = {"type": "Dense", "units": 2}
    add = {"type": "Add", "from": ["words", "positions"]}
    assert ends(heads, token, dense) == []
    assert ends(heads, token | {"key": [":", -1]}, dense) == ["$.layers[2]"]
    assert ends(heads, token | {"key": ["...", 0]}, dense) == ["$.layers[2]"]
    assert ends(POSITIONS, add, token, dense) == ["$.layers[2]"]
    assert ends(POSITIONS, add, dense, training=None) == []
    assert ends(POSITIONS, add, dense) == ["$.layers[2]"]
    assert ends({"type": "ops.multiply", "x2": 2}, {"type": "Flatten"}) == ["$.layers[1]"]


@pytest.mark.parametrize("learned", [False, True], ids=["of-inputs", "of-weights"])
def test_a_compiled_model_is_evaluated_with_the_masks_of_its_run(learned: bool, tmp_path: Path) -> None:
    masking = [{"type": "Dense", "units": 1, "activation": "relu"}, {"type": "Masking"}] if learned else []
    written = spec(*masking, {"type": "Dense", "units": 1}, metrics=["mae"])
    written["training"]["data"] = {"train": "d.npz", "x": "ids", "y": "y"}
    (tmp_path / "s.json").write_text(json.dumps(written))
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", ids=np.tile(IDS, (4, 1)), y=rng.normal(size=(12, 5, 1)).astype("float32"))

    def run(*words: object) -> Result:
        return IN_PROCESS.invoke(main, [str(word) for word in words])

    assert run("train", tmp_path / "s.json", "-o", tmp_path / "run").exit_code == 0
    options = ("--data", tmp_path / "d.npz", "--format", "json")
    whole, bare = (run("evaluate", of, *options) for of in (tmp_path / "run", tmp_path / "run" / "model.onnx"))
    if learned:
        assert bare.exit_code == 1
        assert "needs-weights" in bare.output
    else:
        metrics, expected = (json.loads(done.stdout) for done in (bare, whole))
        assert metrics.pop("data") == expected.pop("data")
        assert metrics == pytest.approx(expected, rel=1e-5)


# -- masks that attention clears -----------------------------------------------------------------------------------


def heads(name: str, source: str) -> dict:
    return {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 2, "name": name, "from": [source]}


def add(name: str, *sources: str) -> dict:
    return {"type": "Add", "name": name, "from": list(sources)}


def given(*layers: dict, training: bool = False, reader: str) -> list[bool]:
    """Which inputs of a layer have a mask at run time."""
    masks = check_spec(spec(*layers)).require().masks.runtime_masks(training)
    return [mask is not None for mask in masks.input_masks[reader]]


DROPPED = {"type": "Dropout", "rate": 0.1, "name": "dropped", "from": "words"}
LSTM = {"type": "LSTM", "units": 4, "name": "lstm", "return_sequences": True}
GROUPS = {"type": "GroupQueryAttention", "head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1, "name": "a"}


@pytest.mark.parametrize(
    ("layers", "reader", "inference", "training"),
    [
        ([heads("a", "words"), add("c", "words", "a")], "a", [True], [True]),
        ([heads("a", "words"), add("c", "words", "a")], "c", [False, True], [False, True]),
        ([heads("a", "words"), add("c", "words", "a"), heads("b", "c")], "b", [False], [False]),
        ([heads("a", "words"), add("c", "words", "a"), LSTM], "lstm", [True], [True]),
        ([heads("a", "words"), add("c", "words", "a"), LSTM, heads("b", "lstm")], "b", [True], [True]),
        ([GROUPS, add("c", "words", "a"), heads("b", "c")], "b", [True], [True]),
        ([DROPPED, heads("a", "dropped"), add("c", "words", "a")], "c", [False, True], [True, True]),
        ([heads("a", "words"), add("c", "words", "words"), add("d", "c", "a")], "c", [True, True], [True, True]),
        (
            [heads("a", "words"), heads("b", "a"), add("c", "words", "words"), add("d", "c", "b")],
            "c",
            [False] * 2,
            [False] * 2,
        ),
    ],
    ids=["itself", "residual", "next", "lstm", "behind-lstm", "groups", "dropped", "equally-far", "nearer-the-end"],
)
def test_attention_clears_the_same_masks_as_in_keras(
    layers: list[dict], reader: str, inference: list[bool], training: list[bool]
) -> None:
    assert given(*layers, reader=reader) == inference
    assert given(*layers, reader=reader, training=True) == training


def test_a_loss_counts_all_positions_of_an_output_whose_mask_attention_cleared() -> None:
    two = spec(heads("a", "words"), {"type": "Dense", "units": 4, "name": "b", "from": "a"})
    trainer = jsonnx.Trainer({**two, "outputs": ["words", "b"]})
    target = np.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32")
    other = np.where(IDS[..., None] == 0, 100.0, target).astype("float32")
    assert trainer.evaluate(IDS, {"words": target, "b": target}) == trainer.evaluate(IDS, {"words": target, "b": other})
    bare = [trainer.evaluate(IDS, {"words": y, "b": target})["loss"] for y in (target, other)]
    assert bare[0] != bare[1]
