"""Codes of errors in a spec: its text, its keys and values, its network, its training section."""

from __future__ import annotations

from ...core.limits import (
    GIB,
    MAX_BLOCK_DEPTH,
    MAX_CONSTANT_BYTES,
    MAX_DIAGNOSTICS,
    MAX_JSON_DEPTH,
    MAX_JSON_VALUES,
    MAX_LAYERS,
    MAX_MODEL_BYTES,
    MAX_SPEC_BYTES,
    MIB,
)
from ...layers.unsupported import NOT_EXPRESSIBLE
from .explanation import Explanation

SPEC_EXPLANATIONS: dict[str, Explanation] = {
    # -- the text ----------------------------------------------------------------------------------------------------
    "empty-document": Explanation(
        "The file is empty",
        "A spec is one JSON object. The file is empty or contains only white space: perhaps it was not saved, or "
        "the program that writes it stopped.",
        "(an empty file)",
        '{"inputs": {"x": {"shape": [4]}}, "layers": [{"type": "Dense", "units": 1}]}',
    ),
    "invalid-json": Explanation(
        "The text is not JSON",
        "A spec is JSON as defined by RFC 8259: no comments, no trailing commas, keys and strings in double quotes, "
        "true, false and null in lower case. The position is where reading stopped; a missing comma or closing "
        "bracket may be just before it.",
        "{'type': 'Dense', 'units': 10,}  // ten classes",
        '{"type": "Dense", "units": 10}',
    ),
    "invalid-encoding": Explanation(
        "The text is not UTF-8",
        "Specs are UTF-8 text. A file in UTF-16, UTF-32 or a national encoding must be saved as UTF-8. Inside a "
        "string, \\u escapes of characters beyond U+FFFF come in pairs; half a pair is not a character.",
        '{"description": "\\ud83d"}',
        '{"description": "\\ud83d\\ude00"}',
    ),
    "invalid-number": Explanation(
        "A number that a 64-bit float cannot represent",
        "NaN and Infinity are not JSON. A number that is too large for a 64-bit float would become infinite, one "
        "that is too small would become 0, and one of hundreds of digits is a mistake: all are refused, "
        "since jsonnx changes no number.",
        '{"learning_rate": 1e-999, "clipnorm": Infinity}',
        '{"learning_rate": 1e-9}',
    ),
    "duplicate-key": Explanation(
        "A key occurs twice in one object",
        "JSON does not define which of two equal keys counts, and most programs silently use the last. Remove one of "
        "them.",
        '{"type": "Dense", "units": 10, "units": 20}',
        '{"type": "Dense", "units": 20}',
    ),
    "too-deep": Explanation(
        "Brackets nest too deeply",
        f"Objects and arrays may nest {MAX_JSON_DEPTH} levels, and blocks {MAX_BLOCK_DEPTH}: more than a spec needs. "
        "Deeper nesting could exhaust the memory of a reader. `docs/limits.md` lists all limits.",
        f"[[[[[[[[[[[[ ... {MAX_JSON_DEPTH + 1} levels ... ]]]]]]]]]]]]",
        '{"type": "Bidirectional", "layer": {"type": "LSTM", "units": 8}}',
    ),
    "too-large": Explanation(
        "The file or the network is too large",
        f"A spec may have {MAX_SPEC_BYTES // MIB} MiB, {MAX_JSON_VALUES:,} values and, with all blocks and repetitions "
        f"expanded, {MAX_LAYERS:,} layers, which are counted before the expansion. Millions of numbers belong in a "
        f"data or weights file. All weights together may take {MAX_MODEL_BYTES // GIB} GiB, the limit of one ONNX "
        f"file, and a table that a layer computes with, such as one number per position, {MAX_CONSTANT_BYTES // MIB} "
        "MiB. `docs/limits.md` lists all limits.",
        '{"type": "Normalization", "mean": [0.1, 0.2, ... three million numbers]}',
        "jsonnx compile spec.json --weights weights.safetensors -o model.onnx",
    ),
    "not-listed": Explanation(
        "There are too many errors to list all",
        f"A check lists up to {MAX_DIAGNOSTICS:,} errors and as many warnings of a file. Usually one fault has caused "
        "most of them, such as a generated file with a wrong key in each layer.",
        '{"layers": [{"typ": "Dense"}, {"typ": "Dense"}, ... 2,000 layers]}',
        '{"layers": [{"type": "Dense"}, {"type": "Dense"}, ... 2,000 layers]}',
    ),
    "unsupported-version": Explanation(
        "The spec is in another version of the language",
        "`version` says which version of the language a spec is written in. This release reads version 1, which is "
        "also the default.",
        '{"version": 7, "inputs": ..., "layers": ...}',
        '{"version": 1, "inputs": ..., "layers": ...}',
    ),
    # -- keys and values ---------------------------------------------------------------------------------------------
    "unknown-key": Explanation(
        "A key that has no meaning here",
        "An unknown key is an error, because a misspelt key would otherwise be ignored silently. `jsonnx layers TYPE` "
        "lists the keys of a layer; they are those of Keras 3.",
        '{"type": "Dense", "unit": 10}',
        '{"type": "Dense", "units": 10}',
    ),
    "missing-key": Explanation(
        "A required key is missing",
        "The object lacks a key that has no default. The message names the key, the help states its meaning. A block's "
        'parameter without a default, as {"required": true}, is such a key of each use; one of the network needs '
        "`--set name=value` or a scale.",
        '{"type": "Conv2D", "filters": 32}',
        '{"type": "Conv2D", "filters": 32, "kernel_size": 3}',
    ),
    "wrong-type": Explanation(
        "A value of the wrong type",
        "Nothing is converted: a number in quotes is a string, and true is not 1. An integer may be written with "
        "a fraction of zero, as in 3.0.",
        '{"type": "Dense", "units": "10", "use_bias": 1}',
        '{"type": "Dense", "units": 10, "use_bias": true}',
    ),
    "invalid-value": Explanation(
        "A value that is not one of the choices",
        "The value must be one of a few words, or it contradicts another value. The help lists the words, or "
        "suggests one.",
        '{"type": "Conv2D", "filters": 8, "kernel_size": 3, "padding": "full"}',
        '{"type": "Conv2D", "filters": 8, "kernel_size": 3, "padding": "same"}',
    ),
    "not-checked": Explanation(
        "A note on what errors prevented from being checked",
        "The shape of a layer behind one with an error is not known, nor is the loss of such an output; and an invalid "
        "reference may stand for any layer. All other checks are made. The note comes once, after the errors; "
        "correct them and check again.",
        '{"layers": [{"type": "Dense", "units": 0}, {"type": "Flatten"}]}',
        '{"layers": [{"type": "Dense", "units": 8}, {"type": "Flatten"}]}',
    ),
    "invalid-expression": Explanation(
        "An expression that cannot be parsed or evaluated",
        "The text between ${ and } consists of numbers, 'strings', true, false, null, [arrays], names of parameters, "
        "items of arrays (widths[index]), + - * / // % **, comparisons (== != < <= > >= in), and, or, not, "
        "`a if condition else b`, parentheses, and the functions abs, ceil, floor, len, max, min, range, round and "
        "sum. Conditions must be true or false. Integers have 64 bits. Write $${ for a literal ${.",
        '{"parameters": {"width": 64}, "layers": [{"type": "Dense", "units": "${2 x width}"}]}',
        '{"parameters": {"width": 64}, "layers": [{"type": "Dense", "units": "${2 * width}"}]}',
    ),
    "out-of-range": Explanation(
        "A number or a length out of bounds",
        "The value has the right type but is too small, too large, too short or too long. The message states the "
        "bound. Numbers must be representable in float32, and a tensor may have at most 2,147,483,647 elements for one "
        "sample.",
        '{"type": "Dropout", "rate": 1.5}',
        '{"type": "Dropout", "rate": 0.5}',
    ),
    "invalid-name": Explanation(
        "An invalid name",
        "Names of the model, of inputs, layers and symbolic sizes consist of ASCII letters, digits, - and _, start "
        "with a letter or _, and have at most 128 characters. `batch` is reserved for the batch axis, which a shape "
        "omits. Names of parameters have no -, and are neither words of expressions (`index`, `and`, `or`, `not`, "
        "`in`, `if`, `else`, `true`, `false`, `null`), nor keys of the spec or, in a block, of an entry.",
        '{"inputs": {"my image": {"shape": ["batch", 28, 28]}}}',
        '{"inputs": {"my_image": {"shape": [28, 28]}}}',
    ),
    "unknown-type": Explanation(
        "No layer, activation, loss, ... has this name",
        "Types have the names of Keras 3. `jsonnx layers` lists the layers; in an editor that reads "
        "the JSON Schema, completion offers the names that fit.",
        '{"type": "Dens", "units": 10, "activation": "rleu"}',
        '{"type": "Dense", "units": 10, "activation": "relu"}',
    ),
    "unsupported-argument": Explanation(
        "An unsupported argument of Keras",
        "The key exists in Keras, but jsonnx does not implement it. Ignoring it would give another model, so every "
        "value but the default is an error. The help says why.",
        '{"type": "Dense", "units": 10, "lora_rank": 4}',
        '{"type": "Dense", "units": 10}',
    ),
    "not-expressible": Explanation(
        "ONNX cannot express a layer or argument of Keras",
        "The layer or the argument exists in Keras, but the operators of ONNX cannot compute it, or not with the same "
        "numbers. The message states what is missing, the help the nearest "
        f"alternative. Such layers are {', '.join(NOT_EXPRESSIBLE)}; `jsonnx explain LAYER` says why.",
        '{"type": "UpSampling2D", "interpolation": "lanczos3"}',
        '{"type": "UpSampling2D", "interpolation": "bicubic"}',
    ),
    "not-supported": Explanation(
        "A combination that jsonnx does not support",
        "The combination is meaningful, but jsonnx does not support it. Images are "
        "augmented before a training step begins: an augmentation layer must come before the first trained layer, and "
        "may not be inside another layer. A layer that mixes images also mixes their targets, which must be class "
        "probabilities, not class indices. Layers that move pixels do not move those of a target, such as a mask. The "
        "help names an alternative.",
        '{"inputs": {"image": {"shape": [8, 8, 3]}}, "layers": '
        '[{"type": "Conv2D", "filters": 4, "kernel_size": 3}, {"type": "RandomFlip"}, '
        '{"type": "Flatten"}, {"type": "Dense", "units": 1}], "training": {"loss": "mse"}}',
        '{"inputs": {"image": {"shape": [8, 8, 3]}}, "layers": '
        '[{"type": "RandomFlip"}, {"type": "Conv2D", "filters": 4, "kernel_size": 3}, '
        '{"type": "Flatten"}, {"type": "Dense", "units": 1}], "training": {"loss": "mse"}}',
    ),
    # -- the network -------------------------------------------------------------------------------------------------
    "duplicate-name": Explanation(
        "A name is used twice",
        "Inputs, layers, outputs and metrics are identified by name, so each name must be unique. Names that differ "
        "only in case are refused, because some file systems do not distinguish them. With a `training` section, "
        "names of the training step such as `learning_rate` and `loss` are reserved.",
        '[{"type": "Dense", "name": "head", "units": 8}, {"type": "Dense", "name": "head", "units": 2}]',
        '[{"type": "Dense", "name": "body", "units": 8}, {"type": "Dense", "name": "head", "units": 2}]',
    ),
    "unknown-name": Explanation(
        "An unknown name",
        "`from` takes inputs and layers, `use` layers, `outputs` layers; under `training` and `labels` the keys "
        "are names of outputs. A layer without a `name` is named as in Keras: dense, dense_1, and so on. "
        "Further results of a layer are named with a dot, as in encoder.state_h.",
        '[{"type": "Dense", "name": "stem", "units": 8}, {"type": "Dense", "units": 2, "from": "steam"}]',
        '[{"type": "Dense", "name": "stem", "units": 8}, {"type": "Dense", "units": 2, "from": "stem"}]',
    ),
    "unused-layer": Explanation(
        "The result of a layer is not used",
        "No layer uses the result, and it is not an output. Most often a `from` is missing or names another layer. "
        "Layers are never dropped silently: use the result, name it in `outputs`, or remove the layer. A layer of a "
        "block must be used in one use of the block; where its result is not needed, the layer is left out.",
        '[{"type": "Dense", "name": "a", "units": 8}, {"type": "Dense", "name": "b", "units": 2, "from": "x"}]',
        '[{"type": "Dense", "name": "a", "units": 8}, {"type": "Dense", "name": "b", "units": 2, "from": "a"}]',
    ),
    "unused-parameter": Explanation(
        "A parameter is not used",
        "No expression uses the parameter, so its value has no effect: perhaps a name is misspelt, or a number was "
        "written instead of an expression.",
        '{"parameters": {"width": 64}, "layers": [{"type": "Dense", "units": 64}]}',
        '{"parameters": {"width": 64}, "layers": [{"type": "Dense", "units": "${width}"}]}',
    ),
    "unused-block": Explanation(
        "A block is not used",
        "No entry has the block as its type. It is checked all the same, with the defaults of its parameters.",
        '{"blocks": {"tower": {"layers": [{"type": "Dense", "units": 4}]}}, "layers": [{"type": "Dense", "units": 4}]}',
        '{"blocks": {"tower": {"layers": [{"type": "Dense", "units": 4}]}}, "layers": [{"type": "tower"}]}',
    ),
    "unused-input": Explanation(
        "An input is not used",
        "A single input goes to the first layer without a `from`. Of several inputs, each must be named by a `from`.",
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
    "integer-range": Explanation(
        "A range of a search has two values only",
        "If both ends are integers, all values are integers. Write one of them with a decimal point for the numbers "
        "between them.",
        '{"sweep": {"parameters": {"rate": {"range": [0, 1]}}, "trials": 10}}',
        '{"sweep": {"parameters": {"rate": {"range": [0.0, 1.0]}}, "trials": 10}}',
    ),
    "cycle": Explanation(
        "Layers depend on one another in a cycle",
        "No layer may depend on its own result, directly or through others. The message shows the cycle, the notes "
        "show the position of each of its layers. To use results of earlier time steps, write a recurrent layer such "
        "as LSTM.",
        '[{"type": "Dense", "name": "a", "units": 4, "from": "b"}, {"type": "Dense", "name": "b", "units": 4}]',
        '[{"type": "Dense", "name": "a", "units": 4}, {"type": "Dense", "name": "b", "units": 4}]',
    ),
    "shape-mismatch": Explanation(
        "A layer's input has a shape it cannot take",
        "The shapes of all values follow from those of the inputs, and this layer cannot take the shape of its "
        "input. The message states the arithmetic, the notes show the shape of each input and the layer that "
        "computes it. Shapes are shown with the batch axis first.",
        '{"inputs": {"image": {"shape": [28, 28]}}, "layers": [{"type": "Conv2D", "filters": 8, "kernel_size": 3}]}',
        '{"inputs": {"image": {"shape": [28, 28, 1]}}, "layers": [{"type": "Conv2D", "filters": 8, "kernel_size": 3}]}',
    ),
    "shared-weights": Explanation(
        "Calls of a shared layer need different weights",
        "A layer that is called again with `use` has one set of weights, whose shapes follow from its first "
        "input. Another call has an input that needs weights of other shapes, such as one with more features.",
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
        "A layer discards a mask",
        "Masking, and an Embedding with mask_zero, mark the steps of a sequence that are padding. The mask "
        "accompanies the tensor, and recurrent layers, attention, GlobalAveragePooling1D and the losses ignore those "
        "steps. A layer such as Conv1D or Flatten combines steps: after it there is no mask, and all steps count, as "
        "in Keras. This is a warning: the model can be used.",
        '[{"type": "Masking"}, {"type": "Conv1D", "filters": 8, "kernel_size": 3}, {"type": "LSTM", "units": 4}]',
        '[{"type": "Masking"}, {"type": "Dense", "units": 8}, {"type": "LSTM", "units": 4}]',
    ),
    # -- training ----------------------------------------------------------------------------------------------------
    "loss-mismatch": Explanation(
        "The loss does not suit the output",
        "A multi-class loss needs one number for each class, a binary loss one number, a regression loss a real "
        "output. The note shows the type of the output.",
        '{"layers": [{"type": "Dense", "units": 1}], "training": {"loss": "sparse_categorical_crossentropy"}}',
        '{"layers": [{"type": "Dense", "units": 1, "activation": "sigmoid"}], "training": {"loss": '
        '"binary_crossentropy"}}',
    ),
    "metric-mismatch": Explanation(
        "A metric does not suit the loss and the output",
        "A metric compares the output with the target, and the loss determines the form of the target: class "
        "indices, or one number for each number of the output. `accuracy` selects the metric that fits.",
        '{"loss": "sparse_categorical_crossentropy", "metrics": ["categorical_accuracy"]}',
        '{"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}',
    ),
    "decision-mismatch": Explanation(
        "A threshold or a calibration does not suit the outputs",
        "A threshold decides between the classes of a sigmoid output [batch, units]; a softmax predicts "
        "its most probable class. Temperature scaling divides the weights of the layer before a softmax or a sigmoid, "
        "so this must be a Dense, EinsumDense or convolution layer that is called once.",
        '{"loss": "sparse_categorical_crossentropy", "threshold": {"maximize": "f1"}}',
        '{"loss": "binary_crossentropy", "threshold": {"maximize": "f1"}}',
    ),
    "loss-activation": Explanation(
        "A loss that does not suit the activation of its output",
        "A cross-entropy takes probabilities: categorical losses those of a softmax, binary losses those of a sigmoid, "
        "or with `from_logits` an output without activation. A softmax over one unit is always 1. This is a warning: "
        "training runs, but learns little or nothing.",
        '{"type": "Dense", "units": 1, "activation": "softmax"}   with the loss binary_crossentropy',
        '{"type": "Dense", "units": 1, "activation": "sigmoid"}   with the loss binary_crossentropy',
    ),
    "regression-accuracy": Explanation(
        "An accuracy of predicted numbers",
        "An accuracy is the fraction of correct classes. With a loss such as mean_squared_error and an output of "
        "numbers, it counts numbers that are equal or above a threshold, and is 0 or meaningless. This is a warning.",
        '{"loss": "mean_squared_error", "metrics": ["accuracy"]}',
        '{"loss": "mean_squared_error", "metrics": ["mae"]}',
    ),
    "no-gradient": Explanation(
        "An operator without a gradient",
        "The loss depends on a weight through an operator for which no gradient is known. The model can be "
        "compiled and run, but not trained as it is: move the layer before the first one with weights, or freeze "
        'the layers before it with "trainable": false.',
        '[{"type": "Dense", "units": 8}, <a layer without gradient>, {"type": "Dense", "units": 1}]',
        '[{"type": "Dense", "units": 8, "trainable": false}, <a layer without gradient>, {"type": "Dense", '
        '"units": 1}]',
    ),
}
