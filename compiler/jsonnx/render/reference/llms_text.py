"""The part of docs/llms.txt that explains the language. Each JSON block that is a whole spec is checked by a test."""

LANGUAGE = r"""# jsonnx

> jsonnx turns a neural network in a JSON file (a spec) into a trained ONNX model. This page is the whole language, for
> a program that writes specs. Layers, arguments and defaults are Keras 3's; layout is channels-last.

Write spec.json, then `jsonnx validate --format json spec.json`: an array of diagnostics, each with `severity`, `code`,
`message`, `path`, `line`, `help`; empty if all is well. Correct what they name and validate again; a warning need not
be an error. Then `jsonnx summary spec.json` (shapes) and `jsonnx train spec.json -o runs/name`. `jsonnx serve
runs/name` answers `POST /predict` of JSON rows, `jsonnx drift runs/name --data new.csv` compares data with those of
training.

```json
{
  "inputs": {"image": {"shape": [28, 28, 1]}},
  "layers": [
    {"type": "Rescaling", "scale": 0.00392156862745098},
    {"type": "Conv2D", "filters": 32, "kernel_size": 3, "activation": "relu"},
    {"type": "MaxPooling2D"},
    {"type": "Flatten"},
    {"type": "Dropout", "rate": 0.5},
    {"type": "Dense", "name": "digit", "units": 10, "activation": "softmax"}
  ],
  "training": {
    "data": {"train": "train.npz", "test": "test.npz", "x": "image", "y": "label", "validation_split": 0.1},
    "loss": "sparse_categorical_crossentropy", "optimizer": {"type": "adam", "learning_rate": 0.001},
    "metrics": ["accuracy"], "epochs": 5, "batch_size": 64
  }
}
```

## Rules

- Plain JSON: no comments, no trailing commas. An unknown key is an error. Only `inputs` and `layers` are needed; also:
  `outputs`, `labels`, `training`, `parameters`, `scales`, `blocks`, `sweep`, `name`, `description`, `version` (1).
- Input: `{"shape": [...], "dtype": "float32"}`; also int32, int64, uint8, bool, string. The shape omits the batch axis;
  `null` or a name such as `"time"` is an axis of any size; `[]` is one value per sample. Only inputs have shapes,
  all others are inferred.
- A layer takes the result of the entry before it, the first one the only input. `"from": "a"` or `["a", "b"]` takes
  others by name. With several inputs, every layer that begins a branch needs it; layers that merge (Add,
  Concatenate, ...) need a list.
- `"from": ["x", "layer_*.skip"]`: a pattern takes all inputs and results of those names, in order, repeated or named by
  hand; with a dot, their further results.
- `"name"`: letters, digits, `-`, `_`, beginning with a letter or `_`. Without one: `dense`, `dense_1`, `conv2d`, ...
  Names differ in more than case; an input and a layer cannot share one.
- Every result must be used, by another layer or as an output. Only a block's results may be unused: layers behind them
  are then left out (`summary` lists these).
- `"outputs"`: a name or a list of names; the last layer by default. The name of an output is the name of its layer.
  If that is in a block used as `d`, `outputs` and the keys by output (`y`, `loss`, ...) may name it `d` or `d.NAME`; in
  the compiled model it is `d_LAYER`.
- `jsonnx compile spec.json --weights runs/name --inputs z,condition --outputs decoder -o decoder.onnx`: a part alone.
- `{"use": "a", "from": "x"}` calls layer `a`, or a use `a` of a block, again with the same weights.
- `"from": "lstm.state_h"`: a further result; the first has no suffix. `return_state` adds `.state_h` (LSTM: also
  `.state_c`), `return_attention_scores` `.attention_scores`, ops.top_k `.indices`, ops.split `.1`, `.2`, ...
- `"labels": ["cat", "dog"]`: names of the classes in order (`{"output": [...]}` if there are several outputs).
- Classes: `Dense` with softmax and sparse_categorical_crossentropy (targets are class indices or names), or for two
  classes sigmoid and binary_crossentropy. Numbers: no activation, mse. Losses expect probabilities (computed stably);
  `from_logits` is for outputs without activation. A language model's `y` is a column
  of its own, the next tokens.
- Several labels: a sigmoid unit each, binary_crossentropy; `y` is a column of lists or, with `"label_separator": ";"`
  in `data`, of texts like `a;b`, or lists columns of 0 and 1 (`["p", "q"]`). `"threshold": {"maximize": "f1",
  "by_label": true}` in `training` chooses one for each.
- `ctc` takes logits (no activation) of (time, classes); class 0 is the blank. Targets are lists of indices, or of texts
  that `labels` names, the blank first; in arrays, zeros at the end pad them.
- An argument that is an activation, initializer, regularizer, constraint, loss, metric, optimizer or schedule is a name
  or an object: `"relu"`, `{"type": "leaky_relu", "negative_slope": 0.1}`, `{"type": "l2", "l2": 0.001}`.
- A layer as an argument is an object without name: `{"type": "Bidirectional", "layer": {"type": "LSTM", "units": 8}}`.
- Text and categories are string inputs: StringLookup (one string to an index or, with `"output_mode": "one_hot"`, a
  vector) TextVectorization (a text to `output_sequence_length` indices, else any number), Tokenizer (1 or 2 texts to
  ids, `.attention_mask`; compiled models take ids). Omitted vocabularies, and
  mean and variance of Normalization, are learned from the training data: `compile` then needs the weights of a run.
  `max_tokens` counts all indices, and is the `input_dim` of an Embedding behind it. One-hot from learned words needs
  `max_tokens` and `"pad_to_max_tokens": true`, or a `vocabulary`.
- Embedding takes integers. `"mask_zero": true` makes later recurrent layers, attention and pooling skip padding.
  `"vectors": "glove.txt"`, directly behind TextVectorization or StringLookup: pretrained word vectors.
  PositionEmbedding and SinePositionEncoding return positions only: Add them to their input.
- DateFeatures takes string inputs, of dates like 2026-11-27 unless `"formats": ["%d.%m.%Y"]`.
- ReversibleEmbedding embeds integers, and projects vectors to logits: `{"use": "embedding"}` ties the output to it.
- Recurrent layers take (time, features) and return the last step; `"return_sequences": true` returns all.
- Dense works on the last axis: use Flatten or a global pooling after convolutions.
- MultiHeadAttention takes `"from": ["query", "value"]` (and key); one name is self-attention. `"arguments": ["query",
  "value", "value_mask"]` says what each name is: `query_mask`, `value_mask`, `key_mask` of (time), `attention_mask` of
  (query time, value time); 0 is left out. `rotary`: true, or an object of RotaryEmbedding's arguments.
- `"relative_position": "alibi"`, "t5" or "shaw" of attention. For one table in all layers, as in T5,
  RelativePositionBias is their input `attention_bias`, named in `arguments`.
- Variable is a trainable tensor without a batch axis, for ops: a bias, a scale. With `from`, it is repeated for each
  sample of that input: `{"type": "Variable", "from": "x", "shape": [8, 32]}` are learned queries. Without, it
  takes no input, like ops that create tensors (ops.arange, ops.zeros), and broadcasts in ops: `"from": ["x", "v"]`.
- random.normal and random.uniform draw numbers in the shape of their input, also in the compiled model, where they are
  inputs that `jsonnx predict --seed` fills.
- SequenceMask behind an input of padded sequences or recordings masks the padding at their ends; layers, losses and
  metrics skip it. A second input gives lengths. As the last layer it sets results behind the end to 0.
- Augmentation layers (Random..., MixUp) stand directly after the image input; only Rescaling or Resizing may precede.
- MelSpectrogram turns (samples) into (mels, frames), STFTSpectrogram (samples, channels) into (frames, frequencies).
- `ops.NAME` are Keras' functions, without weights. Axes count the batch, axis 0. `from` gives the tensors in order; a
  tensor argument in the entry is a constant: `{"type": "ops.subtract", "x1": 1.0, "from": "x"}` is 1 - x. Functions of
  one tensor (ops.log, ...) take none. Shapes contain the batch: `{"type": "ops.reshape", "newshape": [-1, 8, 8]}`.
- ops.get_item: `"key": [":", 0, "1:", null, "..."]` is `x[:, 0, 1:, None, ...]`; slices are strings, batch first.

## Parameters, blocks, repetition

```json
{
  "inputs": {"image": {"shape": [32, 32, 3]}},
  "parameters": {"width": 32, "depth": 2},
  "blocks": {
    "residual": {
      "parameters": {"filters": {"required": true}, "rate": 0.1},
      "inputs": ["x"],
      "layers": [
        {"type": "Conv2D", "filters": "${filters}", "kernel_size": 3, "padding": "same", "use_bias": false},
        {"type": "BatchNormalization"},
        {"type": "ReLU"},
        {"type": "Dropout", "rate": "${rate}"},
        {"type": "Add", "name": "sum", "from": ["dropout", "x"]}
      ],
      "outputs": "sum"
    }
  },
  "layers": [
    {"type": "Conv2D", "filters": "${width}", "kernel_size": 3, "padding": "same"},
    {"type": "residual", "name": "stage", "filters": "${width}", "repeat": "${depth}"},
    {"type": "GlobalAveragePooling2D"},
    {"type": "Dense", "units": "${max(10, width // 16)}"}
  ]
}
```

- `"${...}"` may replace any value but a key: numbers, 'strings', arrays and `a[0]`, `a[1:]`, `+ - * / // % **`,
  comparisons, `in`, `and or not`, `x if c else y`, `[2 * x for x in a if x > 1]`, pi; abs ceil floor round len min max
  sum range exact_div log exp sqrt. `"w_${n}"` inserts text.
- A block is used as a type. It sees its own parameters and inputs only (by default one input, named `input`), and the
  parameters of the network that its `"globals": ["width"]` list; a block inside it lists its own. In `from`, `stage` is
  its first result, `stage.NAME` a further one of its `outputs`; its layers are called `stage_sum`.
- Parameters have no names of words above, nor a block's those of keys of an entry (`name`, `type`, `from`, ...).
- `"if": "${deep}"` leaves an entry out if false; its name then stands for its first input: put first in `from` what
  remains. It is true or false.
- `"repeat": n` chains n copies; `index` counts from 0 in expressions and names. Named `deep`, they are `deep_1`,
  `deep_2`, ..., and `deep` is the last. `"from": ["deep_*"]` takes all; a single copy is called `deep`.
- Each copy of a chain takes the first result of the one before in place of the first name in `from`; the others stay
  (`["tokens", "memory"]`). Further results are not passed on: `"carry": ["rest", "sum"]` names the results of a block
  that replace the first names in order.
- `"repeat": 20, "chain": false`: side by side. Each copy reads `from`, which may have an index: `"field_${index + 1}"`.
  The next entry, and the name in `from` and `outputs`, take all copies: Concatenate or Add them.
- An input may have `"repeat": 20`: `field_1`, ...; `field` stands for all, also in `x`: `{"field": "C${index + 1}"}`.
- `"scales": {"large": {"width": 64}}`: sets of values for `--scale large`. `--set width=64` sets one.

## Training

- `data`: `train`, `validation`, `test`: file, folder, pattern or list, or these by input and output (`{"x": "x.npy",
  "y": "y.npy"}`), relative to the spec, in its folder or below;
  csv, tsv, json, jsonl, npz, npy, parquet, arrow, folders of images or recordings. A folder has a file per sample, its
  subfolders are the classes; columns of images, masks and recordings are file names.
- `data`: `x`, `y`: column or array names, as a string, a list (several columns are one vector), `"*"` (all but the
  targets), or by input or output name `{"image": "pixels"}`; by default columns are named like inputs and outputs;
  `validation_split`, `sample_weight`. Rows of different lengths (tokens, recordings, ctc targets) need
  `"sequences": {}` in `data`.
- `loss`, `metrics`: with several outputs by output name: `{"digit": "mse"}`, `{"digit": ["mae"]}`; `loss_weights`;
  `class_weight` (`"balanced"` or `{"0": 1, "1": 5}`).
- mean_io_u and io_u of scores need `"sparse_y_pred": false`.
- `optimizer`; `epochs` 1, `batch_size` 32, `shuffle` true, `seed` 0; `early_stopping` `{"monitor": "val_loss",
  "patience": 5}`; `restore_best_weights`; `reduce_on_plateau` `{"patience": 3, "factor": 0.1}`; `threshold`;
  `calibration`; `precision`; `remat`.
- `target` `{"normalize": true}` for large numbers, `"transform": "log"` (log1p, yeo_johnson) for skewed ones; `freeze`
  `["body_*"]`, or `["*", "!head"]`; `weights` `"body.safetensors"`; `learning_rates` `{"body_*": 0.1}`;
  `lora` `{"weights": ["*/kernel"]}`.
- `data.windows` `{"length": 28, "horizon": 7, "by": "store", "time": "date"}`: samples of consecutive rows. Gaps
  between dates are errors unless `"gaps"` is "skip", "fill" or "ignore" (rows are steps: business days).
  `"future": "plans"`: the input `plans` has the rows of the horizon. `jsonnx predict --last` forecasts from the end of
  each series.
- Intervals: loss `{"type": "quantile", "quantiles": [0.1, 0.5, 0.9]}`, a unit for each. Schedules: `"decay_steps":
  "all"`.
- `"distributed": {"shards": 8}`, then `jsonnx train spec.json --distributed ray --workers 2`: the number of workers
  never stands in a spec and changes no bit. BatchNormalization needs `"batch_norm": "local"` in it.
- `"quantization": {"phone": {"precision": "int8"}}` beside `training`, then `jsonnx quantize runs/name --variant phone
  -o phone.onnx`. `"quantize": "phone"` in `training`: quantization-aware training.
- `"distill": {"teacher": "runs/large"}`: also learns from the outputs of a trained model.
- `"auxiliary_outputs": ["side"]`: layers that are outputs in training, with losses; the compiled model lacks them.
- A loss computed by layers: end them with AddLoss; `loss` may then be absent. They need not be outputs, and the
  compiled model lacks them.
"""

CALLS = """## Layers

`name(required, optional=default)`; `a|b` are the allowed values, the default first; `X1D/2D` are X1D and X2D. Inputs of
1D layers are (steps, channels), of 2D layers (height, width, channels), of 3D layers (depth, height, width, channels).
Left out are rare arguments, and `trainable=true`, `seed`, `data_format`, `interpolation` (bilinear; of UpSampling2D
nearest), `fill_mode`, `value_range=[0,255]`, and for each weight (kernel, bias, recurrent, embeddings, gamma, ...)
`*_initializer` (kernel glorot_uniform, bias zeros), `*_regularizer`, `*_constraint`. `jsonnx layers NAME` shows all.
"""
