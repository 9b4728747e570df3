"""Codes of errors in the data that a network is trained or evaluated on."""

from __future__ import annotations

from .explanation import Explanation

DATA_EXPLANATIONS: dict[str, Explanation] = {
    "no-data": Explanation(
        "There is no data to train or evaluate on",
        "Name files in the spec's `training.data`, or give them on the command line (`--data FILE`) or to the "
        "function.",
        '{"training": {"loss": "mean_squared_error"}}',
        '{"training": {"loss": "mean_squared_error", "data": {"train": "data/train.npz", "y": "price"}}}',
    ),
    "empty-data": Explanation(
        "Data without samples",
        "The file or array has no samples, or so few that none are left after some are set aside for validation.",
        '{"data": {"train": "ten_rows.csv", "validation_split": 0.99}}',
        '{"data": {"train": "ten_rows.csv", "validation_split": 0.2}}',
    ),
    "bad-data-file": Explanation(
        "A data file that cannot be parsed",
        "Data comes as .npz, .npy or .safetensors (arrays of numbers, no Python objects), as .csv or .tsv (UTF-8, one "
        "header line, every row with as many values), as .json (a list of objects, or an object of lists), as .jsonl "
        "(one object a line), as .parquet, .arrow or .feather, or as folders of images, recordings and texts. The "
        "message names the row or the file. A separator other than the comma is set in `training.data`.",
        "age;height\n31;1.80",
        "age,height\n31,1.80",
    ),
    "bad-value": Explanation(
        "A value in the data that cannot be used",
        "An entry is empty, not a number, not whole where an integer is expected, or outside the range of its type. "
        "The message names row and column, and how many there are. Fill missing numbers or remove their rows before "
        "training. For names of classes, `labels` of the spec lists the names in the order of the outputs.",
        "age,height\n31,n/a",
        "age,height\n31,1.80",
    ),
    "not-finite": Explanation(
        "NaN or infinity in the data",
        "One such value makes every weight NaN at the first step. The message names the sample. Remove it, or "
        "replace the value by a number.",
        "age,height\n31,nan",
        "age,height\n31,1.80",
    ),
    "ragged-row": Explanation(
        "A row of a .csv with more or fewer values than the header",
        "Most often a comma inside a text without quotes, a decimal comma, or a line that was cut off. The "
        "message names the line.",
        "age,height\n31,1,80",
        "age,height\n31,1.80",
    ),
    "data-shape": Explanation(
        "Data of another shape than the network takes",
        "The first axis of every array counts the samples and is equal in all of them; the other axes are the "
        "input's shape, or the target's shape, which loss and output determine.",
        "trainer.step(images_of_shape_64_28_28, labels)   # the input is [28, 28, 1]",
        "trainer.step(images_of_shape_64_28_28_1, labels)",
    ),
    "missing-column": Explanation(
        "A column that the data does not have",
        "Columns of a .csv are identified by its header, arrays of an .npz by name. `x` and `y` in `training.data` "
        "name the inputs and the targets; if omitted, the names of inputs and outputs are used.",
        '{"data": {"train": "houses.csv", "x": ["area", "room"], "y": "price"}}',
        '{"data": {"train": "houses.csv", "x": ["area", "rooms"], "y": "price"}}',
    ),
    "duplicate-column": Explanation(
        "Two columns of a file have one name",
        "The name of a column that is used must be unique in the file.",
        "size,size,price\n1,2,3",
        "width,height,price\n1,2,3",
    ),
    "ambiguous-columns": Explanation(
        "Columns that are not assigned to inputs or outputs",
        "If a network has several inputs, `x` is an object with the columns of each input; the same holds for `y` and "
        "several outputs.",
        '{"inputs": {"text": ..., "age": ...}, "training": {"data": {"train": "people.npz", "x": "text"}}}',
        '{"inputs": {"text": ..., "age": ...}, "training": {"data": {"train": "people.npz", "x": {"text": '
        '"words", "age": "age"}}}}',
    ),
    "single-class": Explanation(
        "A target with only one class",
        "All samples of the training data have the same class, so that predicting it always is perfect, and nothing is "
        "learned. This is a warning. Look at the column that `y` names, and at how the file was made.",
        "review,sentiment\ngood,positive\ngreat,positive",
        "review,sentiment\ngood,positive\nbad,negative",
    ),
    "validation-classes": Explanation(
        "Validation data of other classes than the training data",
        "`validation_split` takes the last samples of the training file. If the file is ordered by class, they are of "
        "classes that training sees rarely or never, and the validation metrics are wrong. Shuffle the rows of the "
        "file once. A validation file with classes that the training file lacks has the same effect. This is a "
        "warning.",
        "label: 0 0 0 0 1 1 1 1 2 2 2 2   with a validation_split of 0.25",
        "label: 1 0 2 2 0 1 0 1 2 1 0 2   with a validation_split of 0.25",
    ),
    "split-classes": Explanation(
        "Classes that a part of a split lacks",
        "`split` divides the rows by a hash, so a class of few rows may be missing from a part: nothing is learned "
        "about it, or nothing is measured. `stratify` divides each class by the shares. This is a warning.",
        '{"data": {"train": "flowers.csv", "y": "kind", "split": {"validation": 0.1}}}',
        '{"data": {"train": "flowers.csv", "y": "kind", "split": {"validation": 0.1, "stratify": "kind"}}}',
    ),
    "bad-split": Explanation(
        "A split or windows that contradict themselves, the files or the network",
        "The part of a row is decided once: by `split`, by `validation_split`, or by the files of `validation` and "
        "`test`; and in `split` by a hash of the row, of its `group`, or by `time`. Windows have the length of the "
        "inputs, and a target of several steps has as many as the horizon.",
        '{"data": {"train": "all.csv", "validation_split": 0.1, "split": {"test": 0.1}}}',
        '{"data": {"train": "all.csv", "split": {"validation": 0.1, "test": 0.1}}}',
    ),
    "target-scale": Explanation(
        "A regression target far from the initial output",
        "An untrained network gives numbers around 0. Optimizers such as Adam change each weight by about the learning "
        "rate per step, so targets in the thousands are not reached in the steps of the training, and a sigmoid or "
        "tanh never reaches them. A Rescaling as the last layer brings standardized values to the scale of the target, "
        "and the deployed model still predicts in its unit. This is a warning.",
        '{"layers": [..., {"type": "Dense", "name": "price", "units": 1}]}   with prices from 100000 to 400000',
        '{"layers": [..., {"type": "Dense", "units": 1}, {"type": "Rescaling", "name": "price", "scale": 1e5, '
        '"offset": 2.5e5}]}',
    ),
    "label-out-of-range": Explanation(
        "A class index outside the range of classes",
        "Classes are counted from 0: with 10 classes the labels are 0 to 9. The message names the sample.",
        "labels 1, 2, ..., 10 for Dense with 10 units",
        "labels 0, 1, ..., 9 for Dense with 10 units",
    ),
    "index-out-of-range": Explanation(
        "An integer beyond an embedding's table",
        "An Embedding with `input_dim` 1000 has vectors for 0 to 999. The message names the sample.",
        '{"type": "Embedding", "input_dim": 1000, "output_dim": 16}   with words numbered 1 to 1000',
        '{"type": "Embedding", "input_dim": 1001, "output_dim": 16}   with words numbered 1 to 1000',
    ),
    "unknown-token": Explanation(
        "A token that is not in the vocabulary of a lookup",
        "A StringLookup or IntegerLookup with a `vocabulary` and `num_oov_indices` 0 rejects all other tokens, in "
        "training and in the deployed model. The message names the first one and counts the others.",
        '{"type": "StringLookup", "vocabulary": ["female", "male"], "num_oov_indices": 0}   with the token unknown',
        '{"type": "StringLookup", "vocabulary": ["female", "male"], "num_oov_indices": 1}   with the token unknown',
    ),
    "bad-feed": Explanation(
        "Arrays that do not match the inputs by name",
        "A network with one input takes an array, one with several a dict of arrays by input name: all of them, "
        "and no others.",
        'session.run({"picture": x})   # the input is called image',
        'session.run({"image": x})',
    ),
}
