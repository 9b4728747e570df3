"""Codes of what is wrong with a spec: its text, its keys and values, its network, its training."""

from __future__ import annotations

from ...layers.unsupported import NOT_EXPRESSIBLE
from .explanation import Explanation

SPEC_EXPLANATIONS: dict[str, Explanation] = {
    # -- the text ----------------------------------------------------------------------------------------------------
    "empty-document": Explanation(
        "There is nothing in the file",
        "A spec is one JSON object. The file is empty, or holds only white space: perhaps it was never saved, or "
        "a program that should have written it stopped before.",
        "(an empty file)",
        '{"inputs": {"x": {"shape": [4]}}, "layers": [{"type": "Dense", "units": 1}]}',
    ),
    "invalid-json": Explanation(
        "The text is not JSON",
        "A spec is JSON as RFC 8259 has it: no comments, no trailing commas, keys and strings in double quotes, "
        "true, false and null in lower case. The position is where reading stopped; what is really missing, such "
        "as a comma or a closing bracket, may be just before it.",
        "{'type': 'Dense', 'units': 10,}  // ten classes",
        '{"type": "Dense", "units": 10}',
    ),
    "invalid-encoding": Explanation(
        "The text is not UTF-8",
        "Specs are UTF-8 text. A file in UTF-16, UTF-32 or a national encoding has to be saved again as UTF-8; "
        "inside a string, \\u escapes of characters beyond U+FFFF come in pairs, and half a pair is no character.",
        '{"description": "\\ud83d"}',
        '{"description": "\\ud83d\\ude00"}',
    ),
    "invalid-number": Explanation(
        "A number that a computer does not have",
        "NaN and Infinity are not JSON. A number that is too large for a 64-bit float would become infinite, one "
        "that is too small would become 0, and one of hundreds of digits is surely a mistake: all are refused "
        "rather than changed.",
        '{"learning_rate": 1e-999, "clipnorm": Infinity}',
        '{"learning_rate": 1e-9}',
    ),
    "duplicate-key": Explanation(
        "A key stands twice in one object",
        "JSON leaves open which of two equal keys counts, and most programs silently take the last. Remove one "
        "of them.",
        '{"type": "Dense", "units": 10, "units": 20}',
        '{"type": "Dense", "units": 20}',
    ),
    "too-deep": Explanation(
        "Brackets nest too deeply",
        "Objects and arrays may nest 64 levels, and so may blocks stand in one another: many more than a spec needs. "
        "Deeper nesting is refused before it can exhaust a reader.",
        "[[[[[[[[[[[[ ... 65 levels ... ]]]]]]]]]]]]",
        '{"type": "Bidirectional", "layer": {"type": "LSTM", "units": 8}}',
    ),
    "too-large": Explanation(
        "The file, or what is in it, is too large",
        "A spec may have 64 MiB and two million values; limits for data files are stated in the message. Numbers "
        "by the million belong into a data or weights file, not into a spec. With all blocks and repetitions it may "
        "come to 100,000 layers and two million values, which is counted before anything is made of it. Its weights "
        "may take 2 GiB together, which is what one ONNX file can hold: nothing is allocated for more.",
        '{"type": "Normalization", "mean": [0.1, 0.2, ... three million numbers]}',
        "jsonnx compile spec.json --weights weights.safetensors -o model.onnx",
    ),
    "unsupported-version": Explanation(
        "The spec is in another version of the language",
        "`version` says which version of the language a spec is written in. This release reads version 1, which "
        "is also what a spec without the key is taken for.",
        '{"version": 7, "inputs": ..., "layers": ...}',
        '{"version": 1, "inputs": ..., "layers": ...}',
    ),
    # -- keys and values ---------------------------------------------------------------------------------------------
    "unknown-key": Explanation(
        "A key that has no meaning here",
        "Keys that are not known are errors, since a misspelt one would otherwise be ignored in silence. `jsonnx "
        "layers TYPE` lists the keys of a layer; they are those of Keras 3.",
        '{"type": "Dense", "unit": 10}',
        '{"type": "Dense", "units": 10}',
    ),
    "missing-key": Explanation(
        "A key that is needed is not there",
        "The object lacks a key that has no default. The message names it, the help says what it is for.",
        '{"type": "Conv2D", "filters": 32}',
        '{"type": "Conv2D", "filters": 32, "kernel_size": 3}',
    ),
    "wrong-type": Explanation(
        "A value of another type than is expected",
        "Nothing is converted: a number in quotes is a string, and true is not 1. An integer may be written with "
        "a fraction of zero, as in 3.0.",
        '{"type": "Dense", "units": "10", "use_bias": 1}',
        '{"type": "Dense", "units": 10, "use_bias": true}',
    ),
    "invalid-value": Explanation(
        "A word that is not one of the choices",
        "The value has to be one of a few words, or does not go together with a value beside it. The help lists "
        "the words, or the nearest one.",
        '{"type": "Conv2D", "filters": 8, "kernel_size": 3, "padding": "full"}',
        '{"type": "Conv2D", "filters": 8, "kernel_size": 3, "padding": "same"}',
    ),
    "invalid-expression": Explanation(
        "An expression that cannot be read or computed",
        "What stands between ${ and } is arithmetic: numbers, names of parameters, + - * / // % **, parentheses, "
        "min and max, and items of arrays, as in widths[index]. Integers have 64 bits. A ${ that is meant as text is "
        "written $${.",
        '{"parameters": {"width": 64}, "layers": [{"type": "Dense", "units": "${2 x width}"}]}',
        '{"parameters": {"width": 64}, "layers": [{"type": "Dense", "units": "${2 * width}"}]}',
    ),
    "out-of-range": Explanation(
        "A number or a length beyond its bounds",
        "The value is of the right type, and too small, too large, too short or too long. The message states the "
        "bound. Numbers have to be ones that float32 can hold, and a value in the network may have at most 2147483647 "
        "elements for one sample.",
        '{"type": "Dropout", "rate": 1.5}',
        '{"type": "Dropout", "rate": 0.5}',
    ),
    "invalid-name": Explanation(
        "Something that cannot be a name",
        "Names of the model, of inputs, layers and symbolic sizes are made of ASCII letters, digits, - and _, "
        "begin with a letter or _, and have at most 128 characters. `batch` is taken: it names the batch axis, "
        "which a shape leaves out.",
        '{"inputs": {"my image": {"shape": ["batch", 28, 28]}}}',
        '{"inputs": {"my_image": {"shape": [28, 28]}}}',
    ),
    "unknown-type": Explanation(
        "No layer, activation, loss, ... has this name",
        "Types bear the names that Keras 3 gives them. `jsonnx layers` lists the layers; in an editor that reads "
        "the JSON Schema, completion offers the names that fit.",
        '{"type": "Dens", "units": 10, "activation": "rleu"}',
        '{"type": "Dense", "units": 10, "activation": "relu"}',
    ),
    "unsupported-argument": Explanation(
        "An argument of Keras that is not honoured here",
        "The key exists in Keras, and this compiler cannot do what it asks for. Ignoring it would give another "
        "model than was asked for, so that any value but the default is an error. The help says why.",
        '{"type": "Dense", "units": 10, "lora_rank": 4}',
        '{"type": "Dense", "units": 10}',
    ),
    "not-expressible": Explanation(
        "Something of Keras that ONNX has no operator for",
        "The layer or the argument exists in Keras, and what it computes cannot be said with the operators of "
        "ONNX, or not in a way that gives the same numbers. The message says what is missing, the help what "
        f"comes nearest. Such layers are {', '.join(NOT_EXPRESSIBLE)}; `jsonnx explain LAYER` says why.",
        '{"type": "UpSampling2D", "interpolation": "lanczos3"}',
        '{"type": "UpSampling2D", "interpolation": "bicubic"}',
    ),
    "not-supported": Explanation(
        "Something that could be done, and is not yet",
        "The combination would make sense, and jsonnx does not have it. Images are "
        "augmented before a training step begins: an augmentation layer can stand only where nothing before it is "
        "trained, and not inside another layer. One that mixes images mixes their targets too, which have to be "
        "numbers for each class, not the index of one. The help says what to use instead.",
        '{"inputs": {"image": {"shape": [8, 8, 3]}}, "layers": '
        '[{"type": "Conv2D", "filters": 4, "kernel_size": 3}, {"type": "RandomFlip"}, '
        '{"type": "Flatten"}, {"type": "Dense", "units": 1}], "training": {"loss": "mse"}}',
        '{"inputs": {"image": {"shape": [8, 8, 3]}}, "layers": '
        '[{"type": "RandomFlip"}, {"type": "Conv2D", "filters": 4, "kernel_size": 3}, '
        '{"type": "Flatten"}, {"type": "Dense", "units": 1}], "training": {"loss": "mse"}}',
    ),
    # -- the network -------------------------------------------------------------------------------------------------
    "duplicate-name": Explanation(
        "Two things have one name",
        "Inputs, layers, outputs and reported figures are told apart by name, so that each name stands for one "
        "thing. Names that differ only in case are refused too: they would be one file on some systems. A training "
        "step has names of its own, so that with a `training` section no input is called `learning_rate` or `loss`.",
        '[{"type": "Dense", "name": "head", "units": 8}, {"type": "Dense", "name": "head", "units": 2}]',
        '[{"type": "Dense", "name": "body", "units": 8}, {"type": "Dense", "name": "head", "units": 2}]',
    ),
    "unknown-name": Explanation(
        "A name that nothing bears",
        "`from` takes inputs and layers, `use` layers, `outputs` layers; under `training` and `labels` the keys "
        "are names of outputs. A layer without a `name` is called as in Keras: dense, dense_1, and so on. "
        "Further results of a layer are written with a dot, as in encoder.state_h.",
        '[{"type": "Dense", "name": "stem", "units": 8}, {"type": "Dense", "units": 2, "from": "steam"}]',
        '[{"type": "Dense", "name": "stem", "units": 8}, {"type": "Dense", "units": 2, "from": "stem"}]',
    ),
    "unused-layer": Explanation(
        "A result that nobody uses",
        "Nothing takes the layer's result, and it is not an output. Most often a `from` was forgotten or names "
        "another layer. Nothing is dropped in silence: use the result, name it in `outputs`, or remove the layer.",
        '[{"type": "Dense", "name": "a", "units": 8}, {"type": "Dense", "name": "b", "units": 2, "from": "x"}]',
        '[{"type": "Dense", "name": "a", "units": 8}, {"type": "Dense", "name": "b", "units": 2, "from": "a"}]',
    ),
    "unused-parameter": Explanation(
        "A parameter that nothing uses",
        "No expression names the parameter, so another value would change nothing: perhaps a name is misspelt, or a "
        "number stands where an expression was meant.",
        '{"parameters": {"width": 64}, "layers": [{"type": "Dense", "units": 64}]}',
        '{"parameters": {"width": 64}, "layers": [{"type": "Dense", "units": "${width}"}]}',
    ),
    "unused-block": Explanation(
        "A block that nothing uses",
        "No entry has the block as its type. It is checked all the same, with the values that its parameters have.",
        '{"blocks": {"tower": {"layers": [{"type": "Dense", "units": 4}]}}, "layers": [{"type": "Dense", "units": 4}]}',
        '{"blocks": {"tower": {"layers": [{"type": "Dense", "units": 4}]}}, "layers": [{"type": "tower"}]}',
    ),
    "unused-input": Explanation(
        "An input that no layer takes",
        "Where there is one input the first layer takes it by itself; where there are several, each has to be "
        "taken by a `from`.",
        '{"inputs": {"x": {"shape": [4]}, "y": {"shape": [4]}}, "layers": [{"type": "Dense", "units": 2, "from": '
        '"x"}]}',
        '{"inputs": {"x": {"shape": [4]}}, "layers": [{"type": "Dense", "units": 2}]}',
    ),
    "wrong-inputs": Explanation(
        "A layer gets more or fewer inputs than it takes",
        "A layer like Dense takes one value, a layer like Add two or more, a recurrent layer its sequence and "
        "perhaps its initial states. Without `from` a layer gets the one result of the layer before it.",
        '{"type": "Add"}',
        '{"type": "Add", "from": ["stem", "branch"]}',
    ),
    "cycle": Explanation(
        "Layers take from one another in a circle",
        "Data flows one way: no layer may take, directly or through others, from itself. The message shows the "
        "circle, the notes show where each of its layers stands. What should remember earlier steps is a "
        "recurrent layer, such as LSTM.",
        '[{"type": "Dense", "name": "a", "units": 4, "from": "b"}, {"type": "Dense", "name": "b", "units": 4}]',
        '[{"type": "Dense", "name": "a", "units": 4}, {"type": "Dense", "name": "b", "units": 4}]',
    ),
    "shape-mismatch": Explanation(
        "A layer's input has a shape it cannot take",
        "The shapes of all values follow from those of the inputs, and this layer cannot take what reaches it. "
        "The message states the arithmetic, the notes show what each input is and which layer made it. Shapes "
        "are shown with the batch axis first.",
        '{"inputs": {"image": {"shape": [28, 28]}}, "layers": [{"type": "Conv2D", "filters": 8, "kernel_size": 3}]}',
        '{"inputs": {"image": {"shape": [28, 28, 1]}}, "layers": [{"type": "Conv2D", "filters": 8, "kernel_size": 3}]}',
    ),
    "shared-weights": Explanation(
        "Calls of one layer want different weights",
        "A layer that is called again with `use` has one set of weights, whose shapes its first input decided. "
        "Another call gives it an input for which they would have to be different, such as one with more "
        "features.",
        '[{"type": "Dense", "name": "tower", "units": 8, "from": "four_numbers"}, {"use": "tower", "name": '
        '"again", "from": "six_numbers"}, {"type": "Add", "from": ["tower", "again"]}]',
        '[{"type": "Dense", "name": "tower", "units": 8, "from": "left"}, {"use": "tower", "name": "again", '
        '"from": "right"}, {"type": "Add", "from": ["tower", "again"]}]',
    ),
    "labels-mismatch": Explanation(
        "The labels do not fit the output",
        "`labels` names the classes in their order, one for each number on the output's last axis. An output of "
        "a single number may have two, for 0 and 1.",
        '{"layers": [{"type": "Dense", "units": 3, "activation": "softmax"}], "labels": ["cat", "dog"]}',
        '{"layers": [{"type": "Dense", "units": 3, "activation": "softmax"}], "labels": ["cat", "dog", "horse"]}',
    ),
    "mask-ends": Explanation(
        "A mask ends at a layer that does not know of masks",
        "Masking, and an Embedding with mask_zero, say which places of a sequence are padding. The mask goes on "
        "beside the values, and recurrent layers, attention, GlobalAveragePooling1D and the losses leave those "
        "places out. A layer such as Conv1D or Flatten mixes places: after it there is no mask, and all count, as "
        "in Keras. It is a warning only: the model can be used.",
        '[{"type": "Masking"}, {"type": "Conv1D", "filters": 8, "kernel_size": 3}, {"type": "LSTM", "units": 4}]',
        '[{"type": "Masking"}, {"type": "Dense", "units": 8}, {"type": "LSTM", "units": 4}]',
    ),
    # -- training ----------------------------------------------------------------------------------------------------
    "loss-mismatch": Explanation(
        "The loss does not suit the output",
        "A loss of classes wants as many numbers as there are classes, a loss of two classes one number, a "
        "regression loss a real output. The note shows what the output is.",
        '{"layers": [{"type": "Dense", "units": 1}], "training": {"loss": "sparse_categorical_crossentropy"}}',
        '{"layers": [{"type": "Dense", "units": 1, "activation": "sigmoid"}], "training": {"loss": '
        '"binary_crossentropy"}}',
    ),
    "metric-mismatch": Explanation(
        "A metric does not suit the loss and the output",
        "A metric compares the output with the target, and which target there is the loss decides: class "
        "numbers, or one number for every number of the output. `accuracy` chooses the one that suits.",
        '{"loss": "sparse_categorical_crossentropy", "metrics": ["categorical_accuracy"]}',
        '{"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}',
    ),
    "no-gradient": Explanation(
        "A layer that cannot be trained through",
        "The loss depends on a weight through an operator for which no gradient is known. The model can be "
        "compiled and run, but not trained as it is: move the layer before the first one with weights, or freeze "
        'what comes before it with "trainable": false.',
        '[{"type": "Dense", "units": 8}, <a layer without gradient>, {"type": "Dense", "units": 1}]',
        '[{"type": "Dense", "units": 8, "trainable": false}, <a layer without gradient>, {"type": "Dense", '
        '"units": 1}]',
    ),
}
