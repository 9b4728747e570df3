"""Records results of lookup layers in Keras, which need TensorFlow, for `tests/unit/layers/test_lookup.py`.

KERAS_BACKEND=jax python tests/environments/parity/record_lookups.py    (with keras, jax and tensorflow-cpu installed)
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import keras
import numpy as np
import tensorflow

FIXTURE = Path(__file__).parent / "fixtures" / "lookups.json"
WORDS = [
    "the",
    "cat",
    "The",
    "Cat.",
    "dog!",
    "don't",
    "on",
    "mat,",
    "(ok)",
    "a-b",
    "été",
    "ÉTÉ",
    "漢字",
    "x_y",
    "...",
    "😀",
]
SPACES = [" ", "  ", "\t", "\n", " \r\n ", "\x0b", "\x0c", "\u00a0", "\x1c", ""]
TOKENS = ["the", "cat", "dog", "dont", "don't", "on", "mat", "ok", "ab", "a-b", "été", "ÉTÉ", "漢字", "the cat"]
TOKENS += ["cat on", "t", "e", "c", "t h", "😀", "h e", " "]
STRINGS = ["a", "b", "c", "ä", "", "m", "[UNK]", "d e"]
INTEGERS = [3, 5, -1, 0, 7, -9, 123456789]
MODES = ["int", "int", "int", "one_hot", "multi_hot", "count", "tf_idf"]
COUNT = 70


def draw_text(rng: Random) -> tuple[dict[str, Any], Any]:
    layer: dict[str, Any] = {
        "type": "TextVectorization",
        "standardize": rng.choice(["lower_and_strip_punctuation", "lower", "strip_punctuation", None]),
        "split": rng.choice(["whitespace", "whitespace", "character", None]),
        "ngrams": rng.choice([None, None, 2, 3, [2], [3, 1]]),
        "output_mode": rng.choice(MODES),
        "vocabulary": rng.sample(TOKENS, rng.randint(1, 12)),
    }
    if layer["output_mode"] == "int":
        layer["output_sequence_length"] = rng.choice([None, 1, 3, 8])
    if layer["output_mode"] == "tf_idf":
        layer["idf_weights"] = [round(rng.random(), 3) for _ in layer["vocabulary"]]
    texts = ["".join(rng.choice(WORDS) + rng.choice(SPACES) for _ in range(rng.randint(0, 7))) for _ in range(4)]
    return layer, texts if layer["split"] else np.array(texts).reshape(2, 2).tolist()


def draw_lookup(rng: Random, kind: str) -> tuple[dict[str, Any], Any]:
    pool: list[Any] = STRINGS if kind == "StringLookup" else INTEGERS
    layer: dict[str, Any] = {
        "type": kind,
        "output_mode": rng.choice(MODES),
        "num_oov_indices": 1 if kind == "StringLookup" else rng.choice([1, 2, 3]),
        "vocabulary": rng.sample(pool, rng.randint(1, len(pool) - 1)),
        "mask_token": rng.choice([None, *pool]),
    }
    if layer["output_mode"] == "tf_idf":
        layer["idf_weights"] = [round(rng.random(), 3) for _ in layer["vocabulary"]]
    layer["invert"] = layer["output_mode"] == "int" and rng.random() < 0.4
    if rng.random() < 0.4:
        layer |= {"max_tokens": 12, "pad_to_max_tokens": True}
    source = range(-1, 9) if layer["invert"] else [*pool, "zz" if kind == "StringLookup" else 99]
    shape = rng.choice([(2, 1), (2, 3), (2, 4, 1), (2, 2, 3)])
    return layer, np.array([rng.choice(source) for _ in range(int(np.prod(shape)))]).reshape(shape).tolist()


def keras_output(layer: dict[str, Any], x: Any) -> Any:
    """Returns the output of Keras."""
    arguments = {
        name: tuple(value) if name == "ngrams" and isinstance(value, list) else value for name, value in layer.items()
    }
    keras_layer = getattr(keras.layers, arguments.pop("type"))(**arguments)
    output = keras_layer(tensorflow.constant(x) if "invert" in layer else np.array(x, object))
    output = np.asarray(output)
    return np.vectorize(bytes.decode, otypes=[object])(output) if output.dtype == object else output


def adapted_states(layer: dict[str, Any], x: Any) -> dict[str, Any]:
    """Returns the states that a layer adapts to data in Keras."""
    arguments = {name: value for name, value in layer.items() if name != "type"}
    keras_layer = getattr(keras.layers, layer["type"])(**arguments)
    keras_layer.adapt(np.array(x, object if isinstance(np.ravel(x)[0], str) else None))
    if layer["type"] == "Discretization":
        return {"bin_boundaries": keras_layer.bin_boundaries}
    if layer["type"] == "Normalization":
        return {
            "mean": keras_layer.adapt_mean.numpy().tolist(),
            "variance": keras_layer.adapt_variance.numpy().tolist(),
        }
    states = {"vocabulary": np.array(keras_layer.get_vocabulary(include_special_tokens=False)).tolist()}
    inner = getattr(keras_layer, "_lookup_layer", keras_layer)
    return states | (
        {"idf_weights": inner.idf_weights.numpy().tolist()} if layer.get("output_mode") == "tf_idf" else {}
    )


PADDED = {"output_mode": "tf_idf", "max_tokens": 9, "pad_to_max_tokens": True}


def adapt_cases(rng: Random) -> list[tuple[dict[str, Any], Any]]:
    """Returns layers with the data that they are adapted to."""
    texts = ["".join(rng.choice(WORDS) + rng.choice(SPACES[:6]) for _ in range(6)) for _ in range(9)]
    tokens = [[rng.choice(STRINGS) for _ in range(3)] for _ in range(9)]
    numbers = [[rng.choice(INTEGERS) for _ in range(3)] for _ in range(9)]
    values = [[rng.gauss(2, 3), rng.random()] for _ in range(300)]
    return [
        *(({"type": "TextVectorization", **more}, texts) for more in ({}, {"ngrams": 2, "max_tokens": 12}, PADDED)),
        *(({"type": "StringLookup", **more}, tokens) for more in ({}, {"mask_token": "m", "max_tokens": 5}, PADDED)),
        *(({"type": "IntegerLookup", **more}, numbers) for more in ({}, {"mask_token": 0, "max_tokens": 5}, PADDED)),
        *(({"type": "Discretization", "num_bins": bins, "epsilon": e}, values) for bins, e in ((4, 0.01), (7, 0.05))),
        ({"type": "Discretization", "num_bins": 6}, values[:2]),
        *(({"type": "Normalization", "axis": axis}, values) for axis in (-1, None)),
    ]


def main() -> None:
    rng = Random(0)
    drawn: list[tuple[dict[str, Any], Any]] = []
    for _ in range(COUNT):
        drawn += [draw_text(rng), draw_lookup(rng, "StringLookup"), draw_lookup(rng, "IntegerLookup")]
    calls = []
    for layer, x in drawn:
        try:
            calls.append({"layer": layer, "x": x, "y": keras_output(layer, x).tolist()})
        except Exception:  # inputs that Keras refuses are not recorded
            continue
    adapted = [{"layer": layer, "x": x, "states": adapted_states(layer, x)} for layer, x in adapt_cases(rng)]
    fixture = {"calls": calls, "lessons": adapted}
    parts = [
        f'"{key}": [\n' + ",\n".join(json.dumps(item, ensure_ascii=False) for item in items) + "\n]"
        for key, items in fixture.items()
    ]
    FIXTURE.write_text("{" + ",\n".join(parts) + "}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
