"""Codes of what goes wrong when a Keras file is read."""

from __future__ import annotations

from .explanation import Explanation

IMPORT_COMMAND = "jsonnx import model.json -o spec.json"

KERAS_EXPLANATIONS: dict[str, Explanation] = {
    "keras-wrong-form": Explanation(
        "A file that is not as Keras writes models",
        "A model's JSON is an object with `class_name` and `config`; its layers refer to one another by name, number "
        "of the call and number of the output. The message says what stands where something else is expected: the file "
        "is damaged, was edited, or is no model of Keras.",
        f'{IMPORT_COMMAND}    # of {{"layers": []}}',
        f"{IMPORT_COMMAND}    # of what model.to_json() gives",
    ),
    "keras-unknown-class": Explanation(
        "A class that is not Keras' own",
        "Layers, initializers, regularizers and functions that somebody wrote in Python are in the file by name only; "
        "what they compute is in their code, which no import runs. Replace them by layers of Keras that compute the "
        "same, and save the model anew. A model that is a subclass of keras.Model has no layers in its file at all: "
        "build it by the functional API.",
        'x = MyScale(2.0, name="scale")(x)',
        'x = keras.layers.Rescaling(2.0, name="scale")(x)',
    ),
    "keras-outside-file": Explanation(
        "A layer that takes its vocabulary from another file",
        "StringLookup, IntegerLookup and TextVectorization may name a file or an address with their tokens. A model "
        "file that makes its reader open other files is not safe, so none is opened. Give the layer a list.",
        'keras.layers.StringLookup(vocabulary="words.txt")',
        'keras.layers.StringLookup(vocabulary=open("words.txt").read().split())',
    ),
    "keras-dtype": Explanation(
        "Numbers of a kind that is not here",
        "Layers compute in float32. A model with a mixed policy has float32 weights and becomes a float32 model, which "
        "a notice says; one whose weights are float16, bfloat16 or quantized would give other numbers.",
        'keras.layers.Dense(8, dtype="float16")',
        'keras.layers.Dense(8, dtype="mixed_float16")',
    ),
    "keras-call": Explanation(
        "A layer that is called in a way that a spec cannot say",
        "In a spec a layer has inputs, and everything else is an attribute of it. A mask that is not the one beside "
        "the input, training=True, or two calls of one layer with different arguments cannot be said.",
        "y = keras.layers.Dropout(0.5)(x, training=True)",
        "y = keras.layers.Dropout(0.5)(x)",
    ),
    "keras-no-shape": Explanation(
        "A model whose file does not say the shape of its input",
        "A Sequential model without an Input gets its shape when it first sees data. Give it an Input, or build it, "
        "and save it then.",
        "keras.Sequential([keras.layers.Dense(4)]).to_json()",
        "keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)]).to_json()",
    ),
    "keras-no-model": Explanation(
        "A file of weights where a model is wanted",
        "A `.weights.h5` file has the numbers of a model and not the model: which layers there are, stands in the code "
        "that made it. Such a file goes with a spec of the same layers.",
        "jsonnx import resnet.weights.h5 -o spec.json",
        "jsonnx compile spec.json --weights resnet.weights.h5 -o model.onnx",
    ),
    "not-exportable": Explanation(
        "Something that Keras has no words for",
        "Layers, arguments and names here are Keras', but not all of them: some are ours alone, or in classes of Keras "
        "that a file cannot name. Such a network becomes an ONNX model, but no Keras model, unless that part "
        "is written in other layers.",
        'jsonnx export --keras spec.json -o model.keras    # of {"type": "LayerScale"}',
        'jsonnx export --keras spec.json -o model.keras    # of {"type": "Rescaling", "scale": 0.1}',
    ),
    "keras-no-weights": Explanation(
        "Weights asked for that are not in the file",
        "The text of to_json() holds layers and no weights; these are in .keras and .h5 files.",
        "jsonnx import model.json -o spec.json --weights model.safetensors",
        "jsonnx import model.keras -o spec.json --weights model.safetensors",
    ),
    "keras-differs": Explanation(
        "Something that is not as it was in Keras",
        "A notice, no error: names that had to be changed, layers that compute in float32 and did not, and what the "
        "file says about training that a spec does not say.",
        'keras.layers.Dense(8, name="head/dense")',
        'keras.layers.Dense(8, name="head_dense")',
    ),
}
