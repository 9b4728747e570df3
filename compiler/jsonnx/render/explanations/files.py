"""Codes of errors in commands and in files that are neither specs nor data."""

from __future__ import annotations

from .explanation import Explanation

FILE_EXPLANATIONS: dict[str, Explanation] = {
    "bad-target": Explanation(
        "`jsonnx init` cannot write a spec for the data",
        "The target must be a column of the file with one value in each row and at least two different ones: texts or "
        "integers for classes, numbers for a regression. At least one other column must have values from which "
        "it can be learned, and the data at least ten rows.",
        "jsonnx init flowers.csv --target spcies",
        "jsonnx init flowers.csv --target species",
    ),
    "file-exists": Explanation(
        "A file would be overwritten",
        "`jsonnx init` does not overwrite a spec, which may have been edited since.",
        "jsonnx init flowers.csv --target species  # flowers.json exists",
        "jsonnx init flowers.csv --target species -o flowers_2.json",
    ),
    "bad-configuration": Explanation(
        "A configuration file is not as it should be",
        "The rules of `jsonnx lint` are configured in the table `lint` of `jsonnx.toml`, or in `tool.jsonnx.lint` of "
        "`pyproject.toml`. Its keys are `select`, `extend-select` and `ignore`, lists of codes, and "
        "`per-file-ignores`, a table of such lists by patterns of file names.",
        '[lint]\nignores = "dropped-pixels"',
        '[lint]\nignore = ["dropped-pixels"]',
    ),
    "unknown-rule": Explanation(
        "A rule that does not exist",
        "A configuration or an option names a rule of `jsonnx lint` that this release does not have. `jsonnx lint "
        "--list-rules` lists all; the word `all` stands for all of them.",
        "jsonnx lint spec.json --ignore dropped-pixel",
        "jsonnx lint spec.json --ignore dropped-pixels",
    ),
    "bad-option": Explanation(
        "An invalid command-line option",
        "`--set` takes a dotted path and a JSON value, and the path must exist in the spec. The suffix of an "
        "output file decides its format and must be a known one.",
        "jsonnx train spec.json --set epochs",
        "jsonnx train spec.json --set training.epochs=3",
    ),
    "unknown-code": Explanation(
        "An unknown error code",
        "`jsonnx explain` takes the code that stands in brackets in a message, as in error[unknown-key].",
        "jsonnx explain E0404",
        "jsonnx explain unknown-key",
    ),
    "unreadable-file": Explanation(
        "A file that cannot be read",
        "The file is missing, is a folder or a device, or its permissions forbid reading. The message shows the path "
        "that was tried: paths in a spec are relative to the spec's folder, paths on the command line to the current "
        "one. For a missing file that a spec names, `jsonnx validate` only warns, and with `--data` it is an error.",
        "jsonnx validate sepc.json",
        "jsonnx validate spec.json",
    ),
    "unwritable-file": Explanation(
        "A file that cannot be written",
        "The folder is missing or read-only, the disk is full, or a folder has the file's name. The previous "
        "content is untouched: files are written under another name and then renamed.",
        "jsonnx compile spec.json -o /model.onnx",
        "jsonnx compile spec.json -o out/model.onnx",
    ),
    "is-an-input": Explanation(
        "A result would overwrite an input",
        "The file to be written is one that the command reads, such as the spec or the data. Inputs are never changed.",
        "jsonnx import model.keras -o model.keras",
        "jsonnx import model.keras -o model.json",
    ),
    "out-of-memory": Explanation(
        "The machine has too little memory",
        "The data, the weights or the values between layers do not fit. A smaller `batch_size` or a smaller network "
        'needs less, and so does training with `"remat": "full"`; `jsonnx summary` shows how large the weights '
        "are.",
        '{"training": {"batch_size": 65536}}',
        '{"training": {"batch_size": 256}}',
    ),
    "system-failure": Explanation(
        "The operating system reports an error",
        "The message is the system's own: the current folder was removed, there are too many open files, a disk or a "
        "network folder is no longer available. The spec is not the cause.",
        "mkdir a; cd a; rmdir ../a; jsonnx compile ../spec.json -o model.onnx",
        "cd ..; jsonnx compile spec.json -o model.onnx",
    ),
    "not-learned": Explanation(
        "A vocabulary that has not been learned yet",
        "A layer without a `vocabulary` learns its own from the training data when training starts; then it is kept "
        "with the weights. Without either, the model would know no token.",
        "jsonnx compile spec.json -o model.onnx",
        "jsonnx compile spec.json --weights run/weights.safetensors -o model.onnx",
    ),
    "unsafe-path": Explanation(
        "A path in a spec that leads out of its folder",
        "A spec may come from someone else. A data file that it names must be below the spec's folder: no "
        "absolute path, no `..` out of it, no link out of it. `--data-root FOLDER` allows the data files of a further "
        "folder, to which any of these may lead; `--data FILE` takes a file in place of the spec's. The same holds for "
        "a model that keeps weights in "
        "a file of their own.",
        '{"data": {"train": "../../home/me/train.npz"}}',
        '{"data": {"train": "data/train.npz"}}',
    ),
    "damaged-file": Explanation(
        "A damaged file, or a file of another format",
        "The file can be read, but it is not of the expected format, is truncated, or lacks a part. Create or copy "
        "it again.",
        "jsonnx compile spec.json --weights spec.json -o model.onnx",
        "jsonnx compile spec.json --weights weights.safetensors -o model.onnx",
    ),
    "other-format": Explanation(
        "A file of another kind than the command takes",
        "The file is not damaged: its contents are those of another kind of file, which the message names. The help "
        "says which command takes it, or how to get what this command takes.",
        "jsonnx import classifier.onnx -o spec.json",
        "jsonnx inspect classifier.onnx",
    ),
    "digest-mismatch": Explanation(
        "A file that differs from its recorded digest",
        "Models and weights that jsonnx writes have a digest of their contents (SHA-256) in their metadata. A file "
        "that does not match was damaged on a disk or in transfer, or another program changed it and copied the "
        "metadata, as quantization and simplification of ONNX models do. Copy a damaged file again; for a change on "
        "purpose, `--unverified` (in Python `verify=False`) skips the comparison. Files without a digest are accepted.",
        "jsonnx predict quantized.onnx --data new.csv",
        "jsonnx predict quantized.onnx --data new.csv --unverified",
    ),
    "unsafe-file": Explanation(
        "A file with contents that could do harm",
        "It names other files, has paths out of its archive, members of equal name or overlapping members, circular "
        "links, or unpacks to far more than its size. Such a file is refused as a whole, and nothing of it is "
        "written to the disk. Save the model again with the program that made it.",
        "jsonnx import downloaded.keras -o spec.json",
        'model.save("model.keras")',
    ),
    "not-imported": Explanation(
        "A part of a file is not imported",
        "The optimizer's state, a second copy of a weight, or a member of an archive that is not part of a model is "
        "not imported. This is a warning: the model computes the same without it.",
        'model.save("trained.keras")',
        'model.save("trained.keras", include_optimizer=False)',
    ),
    "weights-differ": Explanation(
        "Weights were converted or interpreted",
        "Numbers of float64 were rounded to float32, or the file is ambiguous and the most likely interpretation was "
        "used. This is a warning; compare the model's results with those of the program that made it.",
        'keras.config.set_floatx("float64")',
        'keras.config.set_floatx("float32")',
    ),
    "weights-unnamed": Explanation(
        "A weight file that does not name its layers",
        "tf.keras 2.12 to 2.15 and the first versions of Keras 3 write the weights of a layer under its class and its "
        "number among the layers of that class. That identifies layers that follow one another or whose shapes "
        "differ, but not equal layers side by side, nor layers of a network with more or fewer of them. "
        "The model's JSON names the layers: import it together with the file.",
        "jsonnx compile spec.json --weights model.weights.h5 -o model.onnx",
        "jsonnx import model.json model.weights.h5 -o spec.json --weights weights.safetensors",
    ),
    "missing-package": Explanation(
        "A package is not installed",
        "The file's format is read by a package that is installed with jsonnx, but is missing now.",
        "pip uninstall h5py",
        "pip install h5py",
    ),
    "weights-mismatch": Explanation(
        "Weights that do not fit the network",
        "Weights are identified by name, such as dense/kernel, and have the shapes that Keras gives them. The "
        "message lists missing and unexpected weights and those of another shape; most often the weights belong to "
        "another spec.",
        "jsonnx compile bigger.json --weights smaller/weights.safetensors -o model.onnx",
        "jsonnx compile smaller.json --weights smaller/weights.safetensors -o model.onnx",
    ),
    "needs-weights": Explanation(
        "A compiled model does not contain weights that the loss depends on",
        "Where an output has a mask, masked positions are left out of its loss. If the mask depends on weights (a "
        "Masking after a trained layer), a compiled model does not contain them in that form. Nor does it contain the "
        "values that a layer AddLoss adds to the loss, and the statistics of normalized targets with very many "
        "features. The RUN folder contains all of them.",
        "jsonnx evaluate run/model.onnx --data test.npz",
        "jsonnx evaluate run --data test.npz",
    ),
    "no-spec": Explanation(
        "A model that does not contain its spec",
        "Models that jsonnx writes contain their spec. This one has none, so its layers are unknown: another "
        "program made it, or its metadata was removed. `jsonnx inspect` and `jsonnx.Session` take any model.",
        "jsonnx evaluate someone_elses.onnx --data test.npz",
        "jsonnx evaluate runs/digits --data test.npz",
    ),
    "changed-spec": Explanation(
        "The spec in a model was changed after compiling",
        "A model contains its spec and the SHA-256 of it. Here the two do not match: the metadata was edited, so the "
        "spec shown may differ from the network that the operators compute.",
        "a model whose metadata another program rewrote",
        "jsonnx compile spec.json -o model.onnx",
    ),
}
