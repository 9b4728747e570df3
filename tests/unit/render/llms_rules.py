"""For each rule of docs/llms.txt, specs that show it, and specs that it refuses."""

from __future__ import annotations

from typing import Any, NamedTuple

Spec = dict[str, Any]


class Shown(NamedTuple):
    """A valid spec, and the types that some of its values have, without the batch axis."""

    spec: Spec
    shapes: dict[str, tuple[object, ...]] = {}


class Refused(NamedTuple):
    """A spec with an error, and the code of that error."""

    spec: Spec
    code: str


class Rule(NamedTuple):
    """A rule: how it begins on the page, and specs for it."""

    beginning: str
    shown: tuple[Shown, ...]
    refused: tuple[Refused, ...] = ()


DENSE: Spec = {"type": "Dense", "units": 4}


def net(*layers: Spec, inputs: Spec | None = None, **more: Any) -> Spec:
    """A spec of some layers, with one input of four numbers unless others are given."""
    return {"inputs": inputs or {"x": {"shape": [4]}}, "layers": [*layers], **more}


def trained(*layers: Spec, inputs: Spec | None = None, **training: Any) -> Spec:
    return net(*layers, inputs=inputs, training={"loss": "mse", **training})


def tensor(*shape: object, dtype: str = "float32") -> Spec:
    return {"shape": list(shape), "dtype": dtype}


TWO_HEADS: Spec = {
    "layers": [DENSE, {**DENSE, "name": "side", "units": 2, "from": "input"}],
    "outputs": ["dense", "side"],
}
TWO_INPUTS = {"a": tensor(4), "b": tensor(4)}
WORDS = {"words": tensor("time", dtype="int32")}
STEPS = {"steps": tensor("time", 8)}
SOFTMAX = {"type": "Dense", "name": "out", "units": 3, "activation": "softmax"}
SIGMOID = {"type": "Dense", "name": "out", "units": 2, "activation": "sigmoid"}

LANGUAGE_RULES = (
    Rule(
        "Plain JSON",
        (Shown(net(DENSE, name="model", description="A test.", version=1)),),
        (Refused(net(DENSE, optimizer="adam"), "unknown-key"), Refused({"inputs": {"x": tensor(4)}}, "missing-key")),
    ),
    Rule(
        "Input:",
        (
            Shown(net({"type": "LSTM", "units": 3}, inputs={"x": tensor("time", 2)}), {"lstm": (3,)}),
            Shown(net({"type": "Embedding", "input_dim": 5, "output_dim": 2}, inputs={"x": tensor(dtype="uint8")})),
        ),
        (Refused(net(DENSE, inputs={"x": tensor(4, dtype="float")}), "invalid-value"),),
    ),
    Rule(
        "A layer takes the result of the entry before",
        (
            Shown(net(DENSE, {"type": "Add", "from": ["dense", "x"]})),
            Shown(net({**DENSE, "from": "b"}, {"type": "Add", "from": ["a", "dense"]}, inputs=TWO_INPUTS)),
        ),
        (
            Refused(
                net(DENSE, {"type": "Add", "from": ["a", "b"]}, inputs=TWO_INPUTS, outputs=["dense", "add"]),
                "missing-key",
            ),
            Refused(net(DENSE, {"type": "Add"}), "wrong-inputs"),
        ),
    ),
    Rule(
        '`"from": ["x", "layer_*.skip"]`',
        (
            Shown(net({"type": "Add", "from": ["field_*"]}, inputs={"field_a": tensor(4), "field_b": tensor(4)})),
            Shown(
                net(
                    {"type": "b", "name": "layer_${index}", "repeat": 3},
                    {"type": "Concatenate", "from": ["x", "layer_*.skip"]},
                    blocks={
                        "b": {
                            "layers": [DENSE, {**DENSE, "units": 2, "name": "skip", "from": "dense"}],
                            "outputs": ["dense", "skip"],
                        }
                    },
                ),
                {"concatenate": (10,)},
            ),
        ),
        (Refused(net({"type": "Concatenate", "from": ["x", "layer_*"]}), "unknown-name"),),
    ),
    Rule(
        '`"name"`',
        (Shown(net(DENSE, DENSE, {"type": "Add", "name": "_a-1", "from": ["dense", "dense_1"]})),),
        (
            Refused(net({**DENSE, "name": "1a"}), "invalid-name"),
            Refused(net({**DENSE, "name": "X"}), "duplicate-name"),
        ),
    ),
    Rule(
        "Every result must be used",
        (
            Shown(net(DENSE, {**DENSE, "name": "b"}, outputs=["dense", "b"])),
            Shown(
                net(
                    {"type": "b", "name": "first"},
                    {"type": "b", "name": "second"},
                    {"type": "Add", "from": ["first.side", "second.side"]},
                    blocks={"b": {"layers": [DENSE, {**DENSE, "name": "side", "from": "input"}],
                                  "outputs": ["dense", "side"]}},
                )
            ),
        ),
        (Refused(net(DENSE, {**DENSE, "from": "x"}), "unused-layer"),),
    ),
    Rule(
        '`"outputs"`',
        (
            Shown(net({**DENSE, "name": "a"}, DENSE, outputs=["a", "dense"])),
            Shown(net(DENSE, outputs="dense")),
            Shown(net({"type": "b", "name": "d"}, blocks={"b": TWO_HEADS}, outputs=["d", "d.side"], training={
                "loss": {"d": "mse", "d.side": "mae"}, "data": {"train": "a.npz", "y": {"d": "p", "d.side": "q"}}}),
                {"d_dense": (4,), "d_side": (2,)}),
        ),
        (Refused(net(DENSE, outputs="densely"), "unknown-name"),),
    ),
    Rule(
        "`jsonnx compile spec.json --weights",
        (
            Shown(net({**DENSE, "name": "z", "from": "x"}, {"type": "Concatenate", "from": ["z", "condition"]},
                      {**DENSE, "name": "decoder"}, inputs={"x": tensor(4), "condition": tensor(2)})),
        ),
    ),
    Rule(
        '`{"use": "a"',
        (
            Shown(net({**DENSE, "from": "a"}, {"use": "dense", "from": "b"}, {"type": "Add", "from": ["dense*"]},
                      inputs=TWO_INPUTS)),
            Shown(net({"type": "b"}, {"use": "b"}, {"type": "Add", "from": ["b", "b_1"]},
                      blocks={"b": {"layers": [DENSE]}})),
        ),
        (Refused(net({"use": "dense"}), "unknown-name"),),
    ),
    Rule(
        '`"from": "lstm.state_h"`',
        (
            Shown(net({"type": "LSTM", "units": 3, "return_state": True},
                      {"type": "Add", "from": ["lstm", "lstm.state_h", "lstm.state_c"]}, inputs=STEPS)),
            Shown(net({"type": "GRU", "units": 3, "return_state": True}, {**DENSE, "from": "gru.state_h"},
                      inputs=STEPS)),
            Shown(net({"type": "ops.top_k", "k": 2}, {"type": "ops.one_hot", "from": "top_k.indices", "num_classes": 4},
                      outputs=["one_hot", "top_k"])),
            Shown(net({"type": "ops.split", "indices_or_sections": 2, "axis": -1},
                      {"type": "Add", "from": ["split", "split.1"]})),
            Shown(net({"type": "Attention", "return_attention_scores": True}, inputs=STEPS,
                      outputs=["attention", "attention.attention_scores"])),
        ),
        (Refused(net({"type": "ops.top_k", "k": 2}, {**DENSE, "from": "top_k.values"}), "unknown-name"),),
    ),
    Rule(
        '`"labels"',
        (
            Shown(net(SOFTMAX, labels=["a", "b", "c"])),
            Shown(net({**SOFTMAX, "name": "p"}, {**SIGMOID, "from": "x"}, outputs=["p", "out"],
                      labels={"p": ["a", "b", "c"]})),
        ),
        (Refused(net(SOFTMAX, labels=["a"], training={"loss": "sparse_categorical_crossentropy"}), "labels-mismatch"),),
    ),
    Rule(
        "Classes:",
        (
            Shown(trained(SOFTMAX, loss="sparse_categorical_crossentropy")),
            Shown(trained(SIGMOID, loss="binary_crossentropy")),
            Shown(trained({**SOFTMAX, "activation": "linear"},
                          loss={"type": "sparse_categorical_crossentropy", "from_logits": True})),
            Shown(trained({"type": "Embedding", "input_dim": 3, "output_dim": 4},
                          {"type": "GRU", "units": 4, "return_sequences": True}, SOFTMAX, inputs=WORDS,
                          loss="sparse_categorical_crossentropy",
                          data={"train": "a.npz", "x": "words", "y": "next"})),
        ),
    ),
    Rule(
        "Several labels",
        (
            Shown(trained(SIGMOID, loss="binary_crossentropy", threshold={"maximize": "f1", "by_label": True},
                          data={"train": "a.csv", "y": "tags", "label_separator": ";", "validation_split": 0.1})),
            Shown(trained(SIGMOID, loss="binary_crossentropy", data={"train": "a.jsonl", "y": "tags"})),
            Shown(trained(SIGMOID, loss="binary_crossentropy", data={"train": "a.csv", "x": "*", "y": ["p", "q"]})),
        ),
        (Refused(trained(SOFTMAX, loss="sparse_categorical_crossentropy",
                         data={"train": "a.csv", "y": "tags", "label_separator": ";"}), "loss-mismatch"),),
    ),
    Rule(
        "`ctc` takes logits",
        (
            Shown(trained({"type": "SequenceMask"}, {"type": "Dense", "units": 9}, inputs=STEPS, loss="ctc"),
                  {"dense": ("time", 9)}),
            Shown(net({"type": "SequenceMask"}, {"type": "Dense", "units": 3}, inputs=STEPS, labels=["-", "a", "b"],
                      training={"loss": "ctc", "data": {"train": "a.jsonl", "sequences": {}}})),
        ),
    ),
    Rule(
        "An argument that is an activation",
        (
            Shown(net({**DENSE, "activation": {"type": "leaky_relu", "negative_slope": 0.1}, "kernel_regularizer": "l2",
                       "bias_regularizer": {"type": "l2", "l2": 0.001}})),
        ),
        (Refused(net({**DENSE, "activation": {"name": "relu"}}), "missing-key"),),
    ),
    Rule(
        "A layer as an argument",
        (Shown(net({"type": "Bidirectional", "layer": {"type": "LSTM", "units": 8}}, inputs=STEPS)),),
        (Refused(net({"type": "Bidirectional", "layer": {"type": "LSTM", "units": 8, "name": "a"}}, inputs=STEPS),
                 "unknown-key"),),
    ),
    Rule(
        "Text and categories",
        (
            Shown(net({"type": "StringLookup", "max_tokens": 1000}, {"type": "Embedding", "input_dim": 1000,
                      "output_dim": 4}, inputs={"x": tensor(dtype="string")})),
            Shown(net({"type": "TextVectorization", "max_tokens": 50, "output_sequence_length": 7},
                      {"type": "Embedding", "input_dim": 50, "output_dim": 4}, inputs={"x": tensor(dtype="string")}),
                  {"text_vectorization": (7,)}),
            Shown(net({"type": "StringLookup", "output_mode": "one_hot", "max_tokens": 9, "pad_to_max_tokens": True},
                      inputs={"x": tensor(dtype="string")}), {"string_lookup": (9,)}),
            Shown(net({"type": "StringLookup", "output_mode": "one_hot", "vocabulary": ["a", "b"]},
                      inputs={"x": tensor(dtype="string")}), {"string_lookup": (3,)}),
        ),
    ),
    Rule(
        "Embedding takes integers",
        (
            Shown(net({"type": "StringLookup", "vocabulary": ["a", "b"]},
                      {"type": "Embedding", "input_dim": 3, "output_dim": 4, "vectors": "glove.txt"},
                      inputs={"word": tensor("time", dtype="string")}), {"embedding": ("time", 4)}),
            Shown(net({"type": "Embedding", "input_dim": 9, "output_dim": 4, "mask_zero": True},
                      {"type": "LSTM", "units": 3}, inputs=WORDS)),
            Shown(net({"type": "Embedding", "input_dim": 9, "output_dim": 4, "name": "word"},
                      {"type": "PositionEmbedding", "name": "place", "sequence_length": 5},
                      {"type": "SinePositionEncoding", "name": "wave", "from": "word"},
                      {"type": "Add", "from": ["word", "place", "wave"]}, inputs={"x": tensor(5, dtype="int32")}),
                  {"place": (5, 4), "wave": (5, 4)}),
        ),
    ),
    Rule(
        "DateFeatures takes",
        (
            Shown(net({"type": "DateFeatures", "formats": ["%d.%m.%Y"]}, inputs={"day": tensor(dtype="string")}),
                  {"date_features": (4,)}),
        ),
        (Refused(net({"type": "DateFeatures"}, inputs={"day": tensor(dtype="int32")}), "shape-mismatch"),),
    ),
    Rule(
        "ReversibleEmbedding",
        (
            Shown(net({"type": "ReversibleEmbedding", "name": "embedding", "input_dim": 90, "output_dim": 8},
                      {"type": "GRU", "units": 8, "return_sequences": True}, {"use": "embedding", "name": "logits"},
                      inputs=WORDS), {"embedding": ("time", 8), "logits": ("time", 90)}),
        ),
    ),
    Rule(
        "Recurrent layers",
        (
            Shown(net({"type": "LSTM", "units": 3}, inputs=STEPS), {"lstm": (3,)}),
            Shown(net({"type": "GRU", "units": 3, "return_sequences": True}, inputs=STEPS), {"gru": ("time", 3)}),
        ),
        (Refused(net({"type": "LSTM", "units": 3}), "shape-mismatch"),),
    ),
    Rule(
        "Dense works on the last axis",
        (
            Shown(net(DENSE, inputs={"x": tensor(8, 8, 3)}), {"dense": (8, 8, 4)}),
            Shown(net({"type": "Flatten"}, DENSE, inputs={"x": tensor(8, 8, 3)}), {"dense": (4,)}),
        ),
    ),
    Rule(
        "MultiHeadAttention takes",
        (
            Shown(net({"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 4, "rotary": True}, inputs=STEPS)),
            Shown(net({"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 4, "from": ["q", "v", "mask", "pairs"],
                       "arguments": ["query", "value", "value_mask", "attention_mask"],
                       "rotary": {"max_wavelength": 500}},
                      inputs={"q": tensor(5, 8), "v": tensor(6, 8), "mask": tensor(6), "pairs": tensor(5, 6)})),
        ),
        (Refused(net({"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 4, "from": ["q", "m"],
                      "arguments": ["query", "mask"]}, inputs={"q": tensor(5, 8), "m": tensor(5)}), "invalid-value"),),
    ),
    Rule(
        '`"relative_position": "alibi"`',
        (
            Shown(net({"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 4, "relative_position": "alibi"},
                      inputs=STEPS)),
            Shown(net({"type": "RelativePositionBias", "num_heads": 2, "from": "steps"},
                      {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 4,
                       "from": ["steps", "steps", "relative_position_bias"],
                       "arguments": ["query", "value", "attention_bias"]}, inputs=STEPS)),
        ),
        (Refused(net({"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 4, "relative_position": "rope"},
                     inputs=STEPS), "unknown-type"),),
    ),
    Rule(
        "Variable is",
        (
            Shown(net({"type": "Variable", "name": "b", "shape": [4]}, {"type": "ops.add", "from": ["x", "b"]}),
                  {"add": (4,)}),
            Shown(net({"type": "Variable", "name": "queries", "from": "steps", "shape": [5, 8]},
                      {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 4, "from": ["queries", "steps"]},
                      inputs=STEPS), {"multi_head_attention": (5, 8)}),
            Shown(net({"type": "ops.arange", "name": "v", "start": 0, "stop": 4, "dtype": "float32"},
                      {"type": "ops.multiply", "from": ["x", "v"]}), {"multiply": (4,)}),
        ),
        (Refused(net({"type": "Variable", "name": "b", "shape": [3]}, {"type": "ops.add", "from": ["x", "b"]}),
                 "shape-mismatch"),),
    ),
    Rule(
        "random.normal and random.uniform",
        (Shown(net({"type": "random.normal", "name": "noise", "from": "x"}, {"type": "Add", "from": ["x", "noise"]}),
               {"noise": (4,)}),),
        (Refused(net({"type": "random.normal", "name": "noise", "from": "y"}), "unknown-name"),),
    ),
    Rule(
        "SequenceMask behind",
        (
            Shown(net({"type": "SequenceMask"}, {"type": "Conv1D", "filters": 4, "kernel_size": 3},
                      {"type": "LSTM", "units": 3}, inputs=STEPS), {"lstm": (3,)}),
            Shown(net({"type": "SequenceMask", "from": ["steps", "length"]}, {"type": "LSTM", "units": 3},
                      inputs={**STEPS, "length": tensor(dtype="int32")})),
            Shown(net({"type": "SequenceMask"}, {"type": "Dense", "units": 4}, {"type": "SequenceMask"}, inputs=STEPS),
                  {"sequence_mask_1": ("time", 4)}),
        ),
    ),
    Rule(
        "Augmentation layers",
        (Shown(net({"type": "Rescaling", "scale": 0.1}, {"type": "RandomFlip"}, {"type": "Flatten"}, DENSE,
                   inputs={"x": tensor(8, 8, 3)})),),
        (Refused(trained({"type": "Conv2D", "filters": 3, "kernel_size": 3}, {"type": "RandomFlip"},
                         {"type": "Flatten"}, inputs={"x": tensor(8, 8, 3)}), "not-supported"),),
    ),
    Rule(
        "MelSpectrogram turns",
        (
            Shown(net({"type": "MelSpectrogram", "sequence_stride": 200}, inputs={"x": tensor(16000)}),
                  {"mel_spectrogram": (128, 81)}),
            Shown(net({"type": "STFTSpectrogram"}, inputs={"x": tensor(16000, 1)}), {"stft_spectrogram": (124, 129)}),
        ),
    ),
    Rule(
        "`ops.NAME`",
        (
            Shown(net({"type": "ops.subtract", "x1": 1.0, "from": "x"}, {"type": "ops.mean", "axis": -1})),
            Shown(net({"type": "ops.reshape", "newshape": [-1, 8, 8]}, inputs={"x": tensor(64)}), {"reshape": (8, 8)}),
        ),
        (Refused(net({"type": "ops.log", "x": 2.0}), "unknown-key"),),
    ),
    Rule(
        "ops.get_item",
        (Shown(net({"type": "ops.get_item", "key": [":", 0, "1:", None, "..."]}, inputs={"x": tensor(3, 4, 5)}),
               {"get_item": (3, 1, 5)}),),
        (Refused(net({"type": "ops.get_item", "key": [[None, 0], 1]}, inputs={"x": tensor(3, 4)}), "wrong-type"),),
    ),
)  # fmt: skip
