"""Pretrained word vectors: `vectors` of an Embedding, and files of them as vocabularies."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError, UsageError
from jsonnx.core.files.word_vectors import MalformedVectors, VectorFile
from safetensors.numpy import load_file
from support.commands import jsonnx as command

SIZE = 12
WORDS = [f"w{number}" for number in range(30)]
VECTORS = np.random.default_rng(0).normal(size=(20, SIZE)).astype(np.float32).round(4)
KNOWN = {word: VECTORS[number] for number, word in enumerate(WORDS[:20])}
FROZEN = {"optimizer": {"type": "sgd", "learning_rate": 1e-12}}


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("v.txt").write_bytes(text())
    rng = np.random.default_rng(1)
    rows = [f"{' '.join(rng.permutation(WORDS)[:6])},{number % 2}" for number in range(40)]
    Path("d.csv").write_text("\n".join(["text,y", *rows]) + "\n")
    return tmp_path


def text(header: str = "", end: str = "\n") -> bytes:
    lines = [f"{word} {' '.join(f'{value:.4f}' for value in row)}{end}" for word, row in KNOWN.items()]
    return (header + "".join(lines)).encode()


def binary(dtype: str = "<f4") -> bytes:
    entries = [word.encode() + b" " + row.astype(dtype).tobytes() + b"\n" for word, row in KNOWN.items()]
    return b"%d %d\n" % VECTORS.shape + b"".join(entries)


FILES = {
    "glove.txt": text(),
    "word2vec.txt": text(f"{len(KNOWN)} {SIZE}\n"),
    "fasttext.vec": text(f"{len(KNOWN)} {SIZE}\n", " \n"),
    "windows.txt": text(end="\r\n"),
    "word2vec.bin": binary(),
    "glove.txt.gz": gzip.compress(text()),
    "word2vec.bin.gz": gzip.compress(binary()),
}


def spec(file: str = "v.txt", lookup: dict[str, Any] | None = None, count: int = 40, **training: Any) -> str:
    document = {
        "inputs": {"text": {"shape": [], "dtype": "string"}},
        "layers": [
            {"type": "TextVectorization", "name": "tokens"} | (lookup or {"max_tokens": count}),
            {"type": "Embedding", "name": "words", "input_dim": count, "output_dim": SIZE, "vectors": file},
            {"type": "GlobalAveragePooling1D"},
            {"type": "Dense", "name": "y", "units": 1, "activation": "sigmoid"},
        ],
        "training": {"loss": "binary_crossentropy", "data": {"train": "d.csv", "x": "text", "y": "y"}, "epochs": 1}
        | FROZEN
        | training,
    }
    Path("spec.json").write_text(json.dumps(document))
    return "spec.json"


def assert_has_vectors(weights: dict[str, np.ndarray], tokens: list[str], first: int, initial: np.ndarray) -> None:
    embeddings = weights["words/embeddings"]
    expected = initial.copy()
    for index, token in enumerate(tokens, first):
        expected[index] = KNOWN.get(token, initial[index])
    np.testing.assert_allclose(embeddings, expected, atol=1e-6)
    assert (expected != initial).any(1).sum() == len(KNOWN.keys() & {*tokens})


def drawn() -> np.ndarray:
    """The embeddings that would be drawn."""
    document = json.loads(Path("spec.json").read_text())
    del document["layers"][1]["vectors"]
    return jsonnx.Trainer(document).weights()["words/embeddings"]


@pytest.mark.parametrize("file", FILES)
def test_tokens_that_are_learned_get_their_vectors_and_others_start_as_usual(file: str) -> None:
    Path(file).write_bytes(FILES[file])
    trainer = jsonnx.Trainer(spec(file))
    trainer.fit(verbose=0)
    weights = trainer.weights()
    assert_has_vectors(weights, [str(token) for token in weights["tokens/vocabulary"]], 2, drawn())


@pytest.mark.parametrize("lookup", [{"type": "TextVectorization"}, {"type": "StringLookup", "mask_token": ""}])
def test_tokens_of_the_spec_get_their_vectors_in_a_compiled_model_too(lookup: dict[str, Any]) -> None:
    tokens = ["w5", "other", "w0"]
    path = spec(lookup=lookup | {"vocabulary": tokens}, count=5)
    if lookup["type"] == "StringLookup":
        document = json.loads(Path(path).read_text())
        document["inputs"]["text"]["shape"] = [6]
        Path(path).write_text(json.dumps(document))
    assert_has_vectors(jsonnx.Trainer(path).weights(), tokens, 2, drawn())
    assert_has_vectors(jsonnx.compile(path).weights, tokens, 2, drawn())


@pytest.mark.parametrize("file", ["glove.txt", "word2vec.bin", "glove.txt.gz"])
def test_the_file_of_vectors_is_a_vocabulary_too(file: str) -> None:
    Path(file).write_bytes(FILES[file])
    path = spec(file, lookup={"vocabulary": file}, count=22)
    assert_has_vectors(jsonnx.Trainer(path).weights(), WORDS[:20], 2, drawn())
    path = spec(file, lookup={"vocabulary": file, "max_tokens": 7}, count=7)
    assert_has_vectors(jsonnx.Trainer(path).weights(), WORDS[:5], 2, drawn())


def test_a_vocabulary_of_vectors_without_an_embedding_has_their_tokens_and_lines_of_words_stay_tokens() -> None:
    layers = [{"type": "StringLookup", "vocabulary": "v.txt", "output_mode": "one_hot"}, {"type": "Dense", "units": 1}]
    model = jsonnx.compile(write_layers(layers))
    assert model.weights["dense/kernel"].shape == (21, 1)
    Path("v.txt").write_text("new york\n3 4\na b c d 1 2 3\n")
    assert jsonnx.compile(write_layers(layers)).weights["dense/kernel"].shape == (4, 1)


def write_layers(layers: list[dict[str, Any]]) -> str:
    document = {"inputs": {"text": {"shape": [], "dtype": "string"}}, "layers": layers}
    Path("layers.json").write_text(json.dumps(document))
    return "layers.json"


def test_a_run_says_what_it_found_records_the_file_and_needs_it_no_more() -> None:
    spec(epochs=2)
    shown = command("train", "spec.json", "-o", "run", "--quiet").stderr
    assert "note[found-vectors]: 20 of 30 tokens have vectors in 'v.txt'" in shown
    recorded = json.loads(Path("run/run.json").read_text())["vectors"]
    assert [*recorded] == ["v.txt"]
    command("lock", "run")
    Path("v.txt").rename("elsewhere.txt")
    command("evaluate", "run", "--data", "d.csv")
    command("predict", "run", "--data", "d.csv")
    command("report", "run")
    command("train", "spec.json", "-o", "run", "--resume", "--quiet", "--set", "training.epochs=3")
    assert json.loads(Path("run/run.json").read_text())["vectors"] == recorded
    assert "'v.txt'" in command("train", "spec.json", "-o", "new", "--quiet", status=2).stderr
    assert not Path("new").exists()
    Path("v.txt").write_bytes(text().replace(b"w1 ", b"v1 "))
    locked = command("train", "spec.json", "--locked", "-o", "locked", status=1).stderr
    assert "the file of word vectors 'v.txt' has changed" in locked


def test_a_resumed_run_with_tokens_of_the_spec_does_not_need_the_file() -> None:
    spec(lookup={"vocabulary": WORDS}, count=32, epochs=2)
    command("train", "spec.json", "-o", "run", "--quiet")
    weights = load_file("run/weights.safetensors")
    Path("v.txt").unlink()
    command("train", "spec.json", "-o", "run", "--resume", "--quiet", "--set", "training.epochs=3")
    np.testing.assert_allclose(
        load_file("run/weights.safetensors")["words/embeddings"], weights["words/embeddings"], atol=1e-6
    )


def test_an_interrupted_run_is_resumed_with_the_same_bytes() -> None:
    spec(epochs=4, optimizer="adam")
    command("train", "spec.json", "-o", "whole", "--quiet")
    command("train", "spec.json", "-o", "part", "--quiet", "--set", "training.epochs=2")
    command("train", "spec.json", "-o", "part", "--quiet", "--resume")
    assert Path("whole/weights.safetensors").read_bytes() == Path("part/weights.safetensors").read_bytes()


def test_frozen_vectors_stay_and_given_weights_replace_them() -> None:
    spec(freeze=["words"], optimizer={"type": "adam", "learning_rate": 0.1}, epochs=3)
    command("train", "spec.json", "-o", "frozen", "--quiet")
    weights = load_file("frozen/weights.safetensors")
    rows = {row.tobytes() for row in weights["words/embeddings"].round(4)}
    assert sum(row.tobytes() in rows for row in VECTORS) == len(VECTORS)
    spec()
    changed = {**jsonnx.Trainer("spec.json", weights="frozen").weights()}
    changed["words/embeddings"] = changed["words/embeddings"] + 1
    trainer = jsonnx.Trainer("spec.json", weights=changed)
    trainer.fit(verbose=0)
    np.testing.assert_allclose(trainer.weights()["words/embeddings"], changed["words/embeddings"], atol=1e-6)


@pytest.mark.parametrize(("found", "severity"), [(0, "warning"), (1, "warning"), (2, "note")])
def test_few_tokens_with_vectors_are_a_warning(found: int, severity: str) -> None:
    tokens = [*WORDS[:found], *(f"W{number}" for number in range(8 - found))]
    spec(lookup={"vocabulary": tokens}, count=10)
    shown = command("train", "spec.json", "-o", "run", "--quiet").stderr
    assert f"{severity}[found-vectors]: {found} of 8 tokens" in shown
    assert ("letter by letter" in shown) == (severity == "warning")


def test_an_export_to_keras_has_the_vectors_as_weights() -> None:
    path = spec(lookup={"vocabulary": ["w3"]}, count=3)
    document = json.loads(Path(path).read_text())
    document["layers"][0] = {"type": "StringLookup", "vocabulary": ["w3"], "name": "tokens", "mask_token": ""}
    document["inputs"]["text"]["shape"] = [6]
    Path(path).write_text(json.dumps(document))
    exported = jsonnx.to_keras(path)
    assert '"vectors"' not in json.dumps(exported.config)


# -- errors ------------------------------------------------------------------------------------------------------------

LINES = text().splitlines(keepends=True)
DAMAGED_BINARY = gzip.compress(binary(), 0)[:-8] + b"\xff" * 99
"""Data that are damaged behind the first lines: the flag of a last block is cleared."""
DAMAGED_BINARY = DAMAGED_BINARY[:10] + b"\0" + DAMAGED_BINARY[11:]
MALFORMED = {
    "a number too few": (b"".join([*LINES[:3], b"x 1 2 3\n", *LINES[3:]]), "v.txt:4", "the line has 3 numbers"),
    "a number too many": (b"".join([*LINES[:3], LINES[3].rstrip() + b" 5\n"]), "v.txt:4", "the line has 13 numbers"),
    "no number": (b"".join([*LINES[:2], LINES[2].replace(b"-", b"x")]), "v.txt:3", "a value is not a number"),
    "not finite": (b"".join([b"w2 nan" + b" 1" * 11 + b"\n", *LINES[:2]]), "v.txt:1", "a value is not finite"),
    "a header of more": (text(f"21 {SIZE}\n"), "v.txt:1", "the header says 21 vectors, the file has 20"),
    "a cut binary file": (binary()[:-30], "v.txt", "the file ends within vector 20 of 20"),
    "a damaged gzip file": (gzip.compress(text())[:10] + b"\xff" * 99, "v.txt:1", "the compressed data are damaged"),
    "a damaged word2vec file": (DAMAGED_BINARY, "v.txt", "the compressed data are damaged"),
    "a cut gzip file": (gzip.compress(text())[:-20], "v.txt", "the file ends within compressed data"),
    "more than the header": (
        binary().replace(b"20", b"10", 1),
        "v.txt:1",
        "the file goes on after 10 vectors of 12 numbers, each a float32 of 4 bytes",
    ),
    "float64": (binary("<f8"), "v.txt:1", "the file goes on after 20 vectors of 12 numbers"),
    "big-endian": (binary(">f4"), "v.txt", "over 1,000,000, which no word vector has"),
    "no header": (binary().partition(b"\n")[2], "v.txt:1", "it is neither a text nor has the header of word2vec"),
    "a great number": (b"".join([b"w2 1e12" + b" 1" * 11 + b"\n", *LINES[:2]]), "v.txt:1", "a value of 1e+12 is over"),
    "no numbers": (b"w0\nw1\n", "v.txt:1", "the first line has no numbers behind its token"),
}


@pytest.mark.parametrize("suffix", ["txt", "txt.gz"])
def test_a_damaged_vocabulary_is_an_error_of_validate(suffix: str) -> None:
    damaged, lookup = f"w.{suffix}", {"vocabulary": f"w.{suffix}"}
    Path(damaged).write_bytes(gzip.compress(text())[:10] + b"\xff" * 99)
    for vectors in ("v.txt", damaged):
        result = command("validate", spec(vectors, lookup=lookup, count=22), status=1)
        assert damaged in result.stdout + result.stderr
    assert "the compressed data are damaged" in result.stdout + result.stderr


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_file_is_an_error_with_its_line(case: str) -> None:
    content, place, message = MALFORMED[case]
    Path("v.txt").write_bytes(content)
    spec()
    error = command("train", "spec.json", "-o", "run", "--quiet", status=1).stderr
    assert message in error
    assert place in error
    assert not Path("run").exists()


def test_the_size_of_the_vectors_and_the_file_are_checked_before_training() -> None:
    spec()
    assert command("validate", "spec.json").stderr == ""
    Path("v.txt").write_text("w0 1 2\nw1 3 4\n")
    error = command("validate", "spec.json", status=1).stdout + command("validate", "spec.json", status=1).stderr
    assert "the vectors in 'v.txt' have 2 numbers, the Embedding's 12" in error
    assert 'write "output_dim": 2' in error
    with pytest.raises(CompileError, match="the vectors have 2 numbers"):
        jsonnx.Trainer(spec(lookup={"vocabulary": ["w0"]}, count=3))
    Path("v.txt").unlink()
    with pytest.raises(UsageError, match=r"cannot read 'v\.txt'"):
        jsonnx.Trainer(spec(lookup={"vocabulary": ["w0"]}, count=3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (['layers=[{"type": "Embedding", "input_dim": 3, "output_dim": 12, "vectors": "v.txt"}]'], "no layer directly"),
        (['training.weights="v.txt"'], 'name a file of word vectors by "vectors" in the Embedding'),
        (["layers.1.vectors=../v.txt"], "unsafe-path"),
        (
            [
                'layers.1={"type": "TimeDistributed", "layer": {"type": "Embedding", "input_dim": 40, '
                '"output_dim": 12, "vectors": "v.txt"}}'
            ],
            "with which only a layer of its own can start",
        ),
    ],
)
def test_misuse_is_an_error_that_says_what_to_write(changes: list[str], message: str) -> None:
    spec()
    if changes[0].startswith("layers=["):
        document = json.loads(Path("spec.json").read_text())
        document |= {"inputs": {"x": {"shape": [], "dtype": "int64"}}, "layers": json.loads(changes[0][7:])}
        Path("spec.json").write_text(json.dumps(document | {"training": None}))
        changes = []
    options = [word for change in changes for word in ("--set", change)]
    result = command("validate", "spec.json", *options, status=1)
    assert message in result.stdout + result.stderr


def test_more_tokens_than_vectors_are_an_error() -> None:
    path = spec(lookup={"type": "TextVectorization"}, count=12)
    error = command("train", path, "-o", "run", "--quiet", status=1).stderr
    assert "error[out-of-range]: the Embedding has 12 vectors for 32 indices: 2 special ones and those of 30" in error
    assert 'set "input_dim" to 32, or "max_tokens" of the layer before it to 12' in error
    assert "spec.json:1:" in error
    command("train", path, "-o", "run", "--quiet", "--set", "layers.1.input_dim=32")


def test_tokens_may_have_spaces_and_the_first_of_equal_tokens_counts() -> None:
    Path("v.txt").write_text(". . 1 2\na 3 4\na 5 6\n\u00e9 7 8\n".replace(". . 1 2\na 3 4", "a 3 4\n. . 1 2"))
    with open("v.txt", "rb") as file:
        vectors = VectorFile(file)
        assert (vectors.size, vectors.tokens()) == (2, ["a", ". .", "\u00e9"])
        indices, rows = vectors.vectors({b". .": 7, b"a": 1, "\u00e9".encode(): 2, b"none": 3})
    assert dict(zip(indices.tolist(), rows.tolist(), strict=True)) == {1: [3, 4], 7: [1, 2], 2: [7, 8]}


def test_a_token_that_is_not_text_is_an_error_of_a_vocabulary() -> None:
    Path("v.txt").write_bytes(b"a 1 2\n\xff 1 2\n")
    with open("v.txt", "rb") as file, pytest.raises(MalformedVectors, match="the token is not UTF-8"):
        VectorFile(file).tokens()
