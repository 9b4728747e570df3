"""Codes of what goes wrong beside the spec: commands, files, data, checkpoints and providers."""

from __future__ import annotations

from .explanation import Explanation

ENVIRONMENT_EXPLANATIONS: dict[str, Explanation] = {
    # -- commands and files ------------------------------------------------------------------------------------------
    "bad-option": Explanation(
        "An option of a command that cannot be followed",
        "`--set` takes a dotted path and a JSON value, and the path has to lead into the spec; the ending of an "
        "output file decides its format and has to be a known one.",
        "jsonnx train spec.json --set epochs",
        "jsonnx train spec.json --set training.epochs=3",
    ),
    "unknown-code": Explanation(
        "There is no error of this name",
        "`jsonnx explain` takes the code that stands in brackets in a message, as in error[unknown-key].",
        "jsonnx explain E0404",
        "jsonnx explain unknown-key",
    ),
    "unreadable-file": Explanation(
        "A file that cannot be read",
        "The file is missing, is a folder or a device, or may not be read. The message names it as it was looked "
        "for: paths in a spec begin at the spec's folder, paths on the command line at the current one.",
        "jsonnx validate sepc.json",
        "jsonnx validate spec.json",
    ),
    "unwritable-file": Explanation(
        "A file that cannot be written",
        "The folder is missing or read-only, the disk is full, or a folder bears the file's name. What was there "
        "before is untouched: files are written under another name and then renamed.",
        "jsonnx compile spec.json -o /model.onnx",
        "jsonnx compile spec.json -o out/model.onnx",
    ),
    "is-an-input": Explanation(
        "A result would overwrite what it is made from",
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
        "The operating system refuses something",
        "The message is the system's own: the current folder was removed, there are too many open files, a disk or a "
        "network folder has gone. It is not the spec that is at fault.",
        "mkdir a; cd a; rmdir ../a; jsonnx compile ../spec.json -o model.onnx",
        "cd ..; jsonnx compile spec.json -o model.onnx",
    ),
    "not-learned": Explanation(
        "A vocabulary that nobody has learned yet",
        "A layer without a `vocabulary` learns its own from the training data when training starts; then it is kept "
        "with the weights. Without either the model would know no word.",
        "jsonnx compile spec.json -o model.onnx",
        "jsonnx compile spec.json --weights run/weights.safetensors -o model.onnx",
    ),
    "unsafe-path": Explanation(
        "A path in a spec that leads out of its folder",
        "Specs come from other people too. A data file named in one has to lie beneath the spec's folder: no "
        "absolute path, no `..` out of it, no link to elsewhere. The same holds for a model that keeps weights in "
        "a file of their own.",
        '{"data": {"train": "../../home/me/train.npz"}}',
        '{"data": {"train": "data/train.npz"}}',
    ),
    "damaged-file": Explanation(
        "A file whose contents are not what they should be",
        "The file can be read, and is not of its format, is cut short, or lacks something. Make or copy it anew.",
        "jsonnx compile spec.json --weights spec.json -o model.onnx",
        "jsonnx compile spec.json --weights weights.safetensors -o model.onnx",
    ),
    "unsafe-file": Explanation(
        "A file that asks for what no honest writer asks for",
        "It names other files, leads out of its archive, has two members of one name or members that overlap, links "
        "in a circle, or unpacks to far more than it holds. Such a file is refused whole, and nothing of it is written "
        "to the disk. Save the model again with the program that made it.",
        "jsonnx import downloaded.keras -o spec.json",
        'model.save("model.keras")',
    ),
    "not-imported": Explanation(
        "A part of a file that is left out",
        "The optimizer's state, a second copy of a weight, or a member of an archive that is no part of a model is not "
        "taken over. It is a warning: the model computes the same without it.",
        'model.save("trained.keras")',
        'model.save("trained.keras", include_optimizer=False)',
    ),
    "weights-differ": Explanation(
        "Weights are taken over, but not quite as they were written",
        "Numbers of float64 were rounded to float32, or the file leaves open what its numbers mean and the likely "
        "reading was taken. It is a warning; compare the model's results with those of the program that made it.",
        'keras.config.set_floatx("float64")',
        'keras.config.set_floatx("float32")',
    ),
    "weights-unnamed": Explanation(
        "A file of weights that does not name its layers",
        "tf.keras 2.12 to 2.15 and the first versions of Keras 3 write the weights of a layer under its class and its "
        "number among the layers of that class. That tells which is which where one layer comes of the other, or where "
        "their shapes differ; not where two alike stand side by side, or where the network has more of them or fewer. "
        "The model's JSON tells: import it together with the file.",
        "jsonnx compile spec.json --weights model.weights.h5 -o model.onnx",
        "jsonnx import model.json model.weights.h5 -o spec.json --weights weights.safetensors",
    ),
    "missing-package": Explanation(
        "A package is not installed",
        "The file's format is read by a package that comes with jsonnx, and that is not there now.",
        "pip uninstall h5py",
        "pip install h5py",
    ),
    "weights-mismatch": Explanation(
        "Weights that do not fit the network",
        "Weights are known by name, such as dense/kernel, and have the shapes that Keras gives them. The message "
        "lists what is missing, what is too many and what has another shape; most often the weights are those of "
        "another spec.",
        "jsonnx compile bigger.json --weights smaller/weights.safetensors -o model.onnx",
        "jsonnx compile smaller.json --weights smaller/weights.safetensors -o model.onnx",
    ),
    "needs-weights": Explanation(
        "A model alone does not tell which places count",
        "Where a mask goes beside an output, masked places are left out of its loss. Here the mask is made of values "
        "that depend on weights (a Masking after a layer that learns), which a compiled model does not give out. The "
        "RUN folder has the weights.",
        "jsonnx evaluate run/model.onnx --data test.npz",
        "jsonnx evaluate run --data test.npz",
    ),
    "no-spec": Explanation(
        "A model that does not say where it came from",
        "Models that jsonnx writes hold their spec. This one does not, so that its inputs, losses and metrics "
        "are unknown: it was made by another program, or its metadata was removed.",
        "jsonnx evaluate someone_elses.onnx --data test.npz",
        "jsonnx evaluate runs/digits --data test.npz",
    ),
    "changed-spec": Explanation(
        "The spec in a model was changed after compiling",
        "A model holds its spec and the SHA-256 of it. Here the two do not belong together: somebody edited the "
        "metadata, so that the spec shown may not be what the operators compute.",
        "a model whose metadata another program rewrote",
        "jsonnx compile spec.json -o model.onnx",
    ),
    # -- data --------------------------------------------------------------------------------------------------------
    "no-data": Explanation(
        "There is no data to train or evaluate on",
        "Name files in the spec's `training.data`, or give them on the command line or to the function.",
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
        "A data file that is not understood",
        "Data comes as .npz or .npy (arrays of numbers, no Python objects) or as .csv: UTF-8, commas, one header "
        "line, every row as long as it. The message names the row.",
        "age;height\n31;1.80",
        "age,height\n31,1.80",
    ),
    "bad-value": Explanation(
        "A value in the data that cannot be used",
        "An entry is empty, not a number, not whole where integers are wanted, or beyond the range of its type. "
        "The message names row and column.",
        "age,height\n31,n/a",
        "age,height\n31,1.80",
    ),
    "not-finite": Explanation(
        "NaN or infinity in the data",
        "One such value makes every weight NaN at the first step. The message names the sample. Drop it, or put "
        "a number in its place.",
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
        "Data of another shape than the network wants",
        "The first axis of every array counts the samples and is equal in all of them; the others are the "
        "input's shape, or the one that loss and output decide for the target.",
        "trainer.step(images_of_shape_64_28_28, labels)   # the input is [28, 28, 1]",
        "trainer.step(images_of_shape_64_28_28_1, labels)",
    ),
    "missing-column": Explanation(
        "A column that the data does not have",
        "Columns of a .csv are known by its header, arrays of an .npz by name. `x` and `y` in `training.data` "
        "say which are the inputs and the targets; where omitted they bear the names of inputs and outputs.",
        '{"data": {"train": "houses.csv", "x": ["area", "room"], "y": "price"}}',
        '{"data": {"train": "houses.csv", "x": ["area", "rooms"], "y": "price"}}',
    ),
    "duplicate-column": Explanation(
        "Two columns of a file have one name",
        "A column that is used has to be the only one of its name.",
        "size,size,price\n1,2,3",
        "width,height,price\n1,2,3",
    ),
    "ambiguous-columns": Explanation(
        "Columns for several inputs or outputs, without saying which",
        "Where a network has several inputs `x` is an object with the columns of each, and so is `y` where there "
        "are several outputs.",
        '{"inputs": {"text": ..., "age": ...}, "training": {"data": {"train": "people.npz", "x": "text"}}}',
        '{"inputs": {"text": ..., "age": ...}, "training": {"data": {"train": "people.npz", "x": {"text": '
        '"words", "age": "age"}}}}',
    ),
    "label-out-of-range": Explanation(
        "A class number that there is no class for",
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
    "bad-feed": Explanation(
        "Arrays that do not match the inputs by name",
        "A network with one input takes an array, one with several a dict of arrays by input name: all of them, "
        "and no others.",
        'session.run({"picture": x})   # the input is called image',
        'session.run({"image": x})',
    ),
    # -- runs and checkpoints ----------------------------------------------------------------------------------------
    "unknown-figure": Explanation(
        "Early stopping watches a figure that is not reported",
        "`monitor` is `loss` or the name of a metric, with `val_` before it for the validation data, which then "
        "has to be there.",
        '{"metrics": ["accuracy"], "early_stopping": {"monitor": "val_acuracy"}}',
        '{"metrics": ["accuracy"], "early_stopping": {"monitor": "val_accuracy"}}',
    ),
    "diverged": Explanation(
        "The loss became infinite or not a number",
        "Training stopped where it went wrong; the last good checkpoint is kept, and a `Trainer` has the weights of "
        "the last step whose loss was a number (with large layers the optimizer begins anew). Take a lower learning "
        "rate, bound the gradients with `clipnorm`, scale the inputs to about -1 to 1, and look for extreme values in "
        "the data.",
        '{"optimizer": {"type": "sgd", "learning_rate": 10}}',
        '{"optimizer": {"type": "sgd", "learning_rate": 0.01, "clipnorm": 1.0}}',
    ),
    "run-exists": Explanation(
        "The folder holds a run already",
        "A run is not overwritten. Go on with it by --resume, or name another folder with -o.",
        "jsonnx train spec.json -o runs/a   # a second time",
        "jsonnx train spec.json -o runs/a --resume",
    ),
    "run-locked": Explanation(
        "Another process is training in the folder",
        "One run is written by one process. Wait for it, or name another folder with -o. The lock ends with its "
        "process, however that ends.",
        "jsonnx train spec.json -o runs/a & jsonnx train spec.json -o runs/a",
        "jsonnx train spec.json -o runs/a & jsonnx train spec.json -o runs/b",
    ),
    "no-checkpoint": Explanation(
        "There is no checkpoint to go on from",
        "--resume needs a folder in which a run has finished an epoch at least.",
        "jsonnx train spec.json -o runs/new --resume",
        "jsonnx train spec.json -o runs/new",
    ),
    "bad-checkpoint": Explanation(
        "A damaged checkpoint",
        "The file is cut short or changed: its contents do not match their checksum. An older checkpoint is "
        "taken where there is one; a damaged one is never deleted.",
        "a checkpoint copied while the disk was full",
        "jsonnx train spec.json -o runs/a --resume   # takes the newest that is whole",
    ),
    "checkpoint-mismatch": Explanation(
        "A checkpoint of another run",
        "To go on, spec, data and batch size have to be those that the checkpoint was made with: the result "
        "would otherwise be neither the one run nor the other. Begin a new run, with the old weights if they fit.",
        "jsonnx train spec.json -o runs/a --resume   # after Dense got more units",
        "jsonnx train spec.json -o runs/b",
    ),
    "not-exact": Explanation(
        "The run goes on, but not bit for bit",
        "Something that decides about the last bits of a result has changed since the checkpoint: the version of "
        "onnxruntime, the provider, the number of threads. The run is as good as it would have been, but not "
        "equal to it.",
        "a run begun with 8 threads and resumed with 4",
        "a run resumed on the machine it began on",
    ),
    # -- onnxruntime -------------------------------------------------------------------------------------------------
    "missing-runtime": Explanation(
        "onnxruntime is not installed",
        "Which onnxruntime is right depends on the machine, so that it is chosen at installation. Checking and "
        "compiling do not need it; running and training do.",
        "pip install jsonnx",
        'pip install "jsonnx[cpu]"',
    ),
    "unknown-provider": Explanation(
        "There is no provider of this name",
        "`jsonnx providers` lists them: cpu, cuda, tensorrt, openvino, coreml, directml, migraphx, qnn, webgpu; "
        "or `auto` for the best there is.",
        "jsonnx train spec.json --provider gpu",
        "jsonnx train spec.json --provider cuda",
    ),
    "provider-unavailable": Explanation(
        "The installed onnxruntime lacks the provider",
        "Providers come with different builds of onnxruntime. What was asked for is not replaced by another one "
        "in silence; the help says how to get it.",
        'pip install "jsonnx[cpu]"; jsonnx train spec.json --provider cuda',
        'pip install "jsonnx[cuda]"; jsonnx train spec.json --provider cuda',
    ),
    "provider-failed": Explanation(
        "A provider that is installed does not start",
        "Most often its driver, its libraries or the device itself is missing. The message has what onnxruntime said.",
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
        "onnxruntime stopped while it ran the model",
        "The message has what it said; running out of memory is the most common cause, and a smaller batch the "
        "first thing to try.",
        '{"training": {"batch_size": 65536}}',
        '{"training": {"batch_size": 256}}',
    ),
    "bad-model": Explanation(
        "onnxruntime does not take the model",
        "The file is not a model, or not one that this build of onnxruntime can run on the chosen provider.",
        "jsonnx evaluate model.json.gz",
        "jsonnx evaluate model.onnx",
    ),
}
