"""Codes of errors outside the spec: commands, files, data, checkpoints and providers."""

from __future__ import annotations

from .explanation import Explanation

ENVIRONMENT_EXPLANATIONS: dict[str, Explanation] = {
    # -- commands and files ------------------------------------------------------------------------------------------
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
        "folder, `--data FILE` takes a file in place of the spec's. The same holds for a model that keeps weights in "
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
        "A compiled model does not contain the weights that a mask depends on",
        "Where an output has a mask, masked positions are left out of its loss. Here the mask depends on weights (a "
        "Masking after a trained layer), and a compiled model does not contain them in that form. The RUN folder does.",
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
    # -- data --------------------------------------------------------------------------------------------------------
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
        "Data comes as .npz or .npy (arrays of numbers, no Python objects), as .csv (UTF-8, commas, one header line, "
        "every row with as many values), as .json (a list of objects, or an object of lists) or as .jsonl (one object "
        "a line). The message names the row.",
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
    # -- runs and checkpoints ----------------------------------------------------------------------------------------
    "unknown-figure": Explanation(
        "Early stopping monitors a loss or metric that is not reported",
        "`monitor` is `loss` or the name of a metric, with `val_` before it for the validation data, which must "
        "then be given. If only they are missing, a check of the spec warns, since a program may pass them to `fit`.",
        '{"metrics": ["accuracy"], "early_stopping": {"monitor": "val_acuracy"}}',
        '{"metrics": ["accuracy"], "early_stopping": {"monitor": "val_accuracy"}}',
    ),
    "diverged": Explanation(
        "The loss became infinite or not a number",
        "Training stopped at that step. The last finite checkpoint is kept, and a `Trainer` has the weights of the "
        "last step with a finite loss (with large layers, the optimizer's state is reset). Use a lower learning "
        "rate, bound the gradients with `clipnorm`, scale the inputs to about -1 to 1, and look for extreme values "
        "in the data.",
        '{"optimizer": {"type": "sgd", "learning_rate": 10}}',
        '{"optimizer": {"type": "sgd", "learning_rate": 0.01, "clipnorm": 1.0}}',
    ),
    "run-exists": Explanation(
        "The folder already contains a run",
        "A run is not overwritten. Continue it with --resume, or choose another folder with -o.",
        "jsonnx train spec.json -o runs/a   # a second time",
        "jsonnx train spec.json -o runs/a --resume",
    ),
    "run-locked": Explanation(
        "Another process is training in the folder",
        "One run is written by one process. Wait for it, or choose another folder with -o. The lock is released when "
        "its process ends, however that happens. Only on a file system without locks does the lock of a process that "
        "was killed on another machine remain: then remove the file that the help names.",
        "jsonnx train spec.json -o runs/a & jsonnx train spec.json -o runs/a",
        "jsonnx train spec.json -o runs/a & jsonnx train spec.json -o runs/b",
    ),
    "no-checkpoint": Explanation(
        "There is no checkpoint to resume from",
        "--resume continues the run in the folder, without -o the spec's newest unfinished run. If there is no run "
        "yet, it starts one, and this is a warning. It is an error if the folder has a model, weights or checkpoints, "
        "but no `run.json`, or a run without checkpoints.",
        "jsonnx train spec.json -o data --resume",
        "jsonnx train spec.json -o runs/new --resume",
    ),
    "bad-checkpoint": Explanation(
        "A damaged checkpoint",
        "The file is truncated or changed: its contents do not match their checksum. An older checkpoint is "
        "used if there is one; a damaged one is never deleted.",
        "a checkpoint copied while the disk was full",
        "jsonnx train spec.json -o runs/a --resume   # uses the newest valid checkpoint",
    ),
    "checkpoint-mismatch": Explanation(
        "A checkpoint of another run",
        "To resume, the network, its training section but `epochs` and `remat`, the seed, and the contents of all "
        "files that decide the result (training and validation data, vocabularies, initial weights) must be those of "
        "the run that wrote the checkpoint, and `epochs` may not be fewer than it has trained; otherwise the result "
        "would belong to neither run. The message names each difference. Undo it, or start a new run, with the old "
        "weights if they fit.",
        "jsonnx train spec.json -o runs/a --resume   # after Dense got more units",
        "jsonnx train spec.json -o runs/b",
    ),
    "not-exact": Explanation(
        "The resumed run will not be identical to the bit",
        "The version of jsonnx, onnxruntime, onnx or NumPy, the provider, the number of threads, `fast` or the CPU has "
        "changed since the checkpoint, which affects rounding. The run is as accurate as before, but not bit for bit "
        "the same. With --exact (in Python `load_checkpoint(path, exact=True)`) this is an error.",
        "a run started with 8 threads and resumed with 4",
        "a run resumed on the machine it started on",
    ),
    # -- onnxruntime -------------------------------------------------------------------------------------------------
    "missing-runtime": Explanation(
        "onnxruntime is not installed",
        "The right build of onnxruntime depends on the machine, so it is chosen at installation. Checking and "
        "compiling do not need it; running and training do.",
        "jsonnx train spec.json    # without onnxruntime",
        "pip install onnxruntime; jsonnx train spec.json",
    ),
    "unknown-provider": Explanation(
        "An unknown provider",
        "`jsonnx providers` lists them: cpu, cuda, tensorrt, openvino, coreml, directml, migraphx, qnn, webgpu; "
        "or `auto` for the best one available.",
        "jsonnx train spec.json --provider gpu",
        "jsonnx train spec.json --provider cuda",
    ),
    "no-kernel-table": Explanation(
        "The kernels of the provider are not known",
        "jsonnx has tables of the kernels of CUDA, DirectML and WebGPU. Other providers compile parts of a graph "
        "as a whole, and document no kernels.",
        "jsonnx providers spec.json --provider coreml",
        "jsonnx providers spec.json --provider cuda",
    ),
    "provider-unavailable": Explanation(
        "The installed onnxruntime lacks the provider",
        "Providers come with different builds of onnxruntime. A missing provider is never replaced silently; the help "
        "says how to install it.",
        "pip install onnxruntime; jsonnx train spec.json --provider cuda",
        "pip install onnxruntime-gpu; jsonnx train spec.json --provider cuda",
    ),
    "provider-failed": Explanation(
        "An installed provider does not start",
        "Most often its driver, its libraries or the device itself is missing. The message contains onnxruntime's own.",
        "jsonnx train spec.json --provider cuda   # on a machine without an NVIDIA GPU",
        "jsonnx train spec.json --provider auto",
    ),
    "runtime-conflict": Explanation(
        "Several builds of onnxruntime are installed",
        "onnxruntime, onnxruntime-gpu and the others overwrite one another's files. Keep one.",
        "pip install onnxruntime onnxruntime-gpu",
        "pip uninstall onnxruntime onnxruntime-gpu; pip install onnxruntime-gpu",
    ),
    "runtime-too-old": Explanation(
        "onnxruntime is too old for the model",
        "The model has a newer format or newer operators than this onnxruntime knows.",
        "pip install onnxruntime==1.10",
        "pip install --upgrade onnxruntime",
    ),
    "runtime-failure": Explanation(
        "onnxruntime failed while running the model",
        "The message contains onnxruntime's own. The most common cause is lack of memory; try a smaller batch first.",
        '{"training": {"batch_size": 65536}}',
        '{"training": {"batch_size": 256}}',
    ),
    "bad-model": Explanation(
        "onnxruntime rejects the model",
        "The file is not a model, or not one that this build of onnxruntime can run on the chosen provider.",
        "jsonnx evaluate model.json.gz",
        "jsonnx evaluate model.onnx",
    ),
}
