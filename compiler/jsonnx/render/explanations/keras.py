"""Codes of errors in reading and writing Keras files."""

from __future__ import annotations

from .explanation import Explanation

IMPORT_COMMAND = "jsonnx import model.json -o spec.json"

KERAS_EXPLANATIONS: dict[str, Explanation] = {
    "keras-wrong-form": Explanation(
        "A file that is not a model of Keras",
        "A model's JSON is an object with `class_name` and `config`; its layers refer to one another by name, number "
        "of the call and number of the output. The message shows the value that was found and the expected form: the "
        "file is damaged, was edited, or is not a model of Keras.",
        f'{IMPORT_COMMAND}    # of {{"layers": []}}',
        f"{IMPORT_COMMAND}    # of the text of model.to_json()",
    ),
    "keras-unknown-class": Explanation(
        "A class that is not Keras' own",
        "The file contains layers, initializers, regularizers and functions written in Python by name only; an "
        "import never runs their code. Replace them by layers of Keras that compute the same, and save the model "
        "again. The file of a subclass of keras.Model contains no layers: build the model with the functional API.",
        'x = MyScale(2.0, name="scale")(x)',
        'x = keras.layers.Rescaling(2.0, name="scale")(x)',
    ),
    "keras-outside-file": Explanation(
        "A layer that takes its vocabulary from another file",
        "StringLookup, IntegerLookup and TextVectorization may name a file or an address with their tokens. A model "
        "file that makes its reader open other files is not safe, so no other file is opened. Give the layer a list.",
        'keras.layers.StringLookup(vocabulary="words.txt")',
        'keras.layers.StringLookup(vocabulary=open("words.txt").read().split())',
    ),
    "keras-dtype": Explanation(
        "Weights of an unsupported element type",
        "Layers compute in float32. A model with a mixed policy has float32 weights and becomes a float32 model, "
        "which a warning says. A model whose weights are float16, bfloat16 or quantized would compute other numbers.",
        'keras.layers.Dense(8, dtype="float16")',
        'keras.layers.Dense(8, dtype="mixed_float16")',
    ),
    "keras-call": Explanation(
        "A layer call that a spec cannot express",
        "In a spec, a layer has inputs, and everything else is an attribute of the layer. A mask other than the "
        "input's own, training=True, or two calls of one layer with different arguments cannot be expressed.",
        "y = keras.layers.Dropout(0.5)(x, training=True)",
        "y = keras.layers.Dropout(0.5)(x)",
    ),
    "keras-no-shape": Explanation(
        "A model whose file lacks the shape of its input",
        "A Sequential model without an Input gets its shape when it first sees data. Give it an Input, or build it, "
        "and save it then.",
        "keras.Sequential([keras.layers.Dense(4)]).to_json()",
        "keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)]).to_json()",
    ),
    "keras-no-model": Explanation(
        "A weight file where a model is expected",
        "A `.weights.h5` file contains the weights of a model but not its layers. Use it with a spec of the same "
        "layers.",
        "jsonnx import resnet.weights.h5 -o spec.json",
        "jsonnx compile spec.json --weights resnet.weights.h5 -o model.onnx",
    ),
    "not-exportable": Explanation(
        "Keras cannot express a part of the network",
        "Most layers, arguments and names are those of Keras, but some exist only in jsonnx, or in classes of Keras "
        "that a file cannot name. Such a network can be compiled to ONNX; to export it to Keras, write that part "
        "with other layers.",
        'jsonnx export --keras spec.json -o model.keras    # of {"type": "LayerScale"}',
        'jsonnx export --keras spec.json -o model.keras    # of {"type": "Rescaling", "scale": 0.1}',
    ),
    "keras-no-weights": Explanation(
        "The file contains no weights",
        "The text of to_json() contains layers but no weights; .keras and .h5 files contain both.",
        "jsonnx import model.json -o spec.json --weights model.safetensors",
        "jsonnx import model.keras -o spec.json --weights model.safetensors",
    ),
    "keras-differs": Explanation(
        "A difference from the Keras model",
        "A warning: names that were changed, layers that now compute in float32, and training options that a spec "
        "cannot express.",
        'keras.layers.Dense(8, name="head/dense")',
        'keras.layers.Dense(8, name="head_dense")',
    ),
}
