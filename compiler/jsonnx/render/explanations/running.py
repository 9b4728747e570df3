"""Codes of errors while a network is trained or run: runs, checkpoints and onnxruntime."""

from __future__ import annotations

from ...core.providers.known_providers import PROVIDERS, kernel_table_titles
from .explanation import Explanation

RUNNING_EXPLANATIONS: dict[str, Explanation] = {
    # -- runs and checkpoints ------------------------------------------------------------------------------------------
    "unknown-figure": Explanation(
        "Early stopping monitors a loss or metric that is not reported",
        "`monitor` is `loss` or the name of a metric, with `val_` before it for the validation data, which must "
        "then be given. If only they are missing, a check of the spec warns, since a program may pass them to `fit`.",
        '{"metrics": ["accuracy"], "early_stopping": {"monitor": "val_acuracy"}}',
        '{"metrics": ["accuracy"], "early_stopping": {"monitor": "val_accuracy"}}',
    ),
    "no-validation-data": Explanation(
        "A threshold or a calibration is chosen on validation data, and there are none",
        "After training, `threshold` and `calibration` look at samples that the network was not trained on: the file "
        "`validation`, the fraction `validation_split`, or `validation_data` of `fit`. A check warns, as "
        "a program may pass them.",
        '{"data": {"train": "train.npz"}, "threshold": {"maximize": "f1"}}',
        '{"data": {"train": "train.npz", "validation_split": 0.2}, "threshold": {"maximize": "f1"}}',
    ),
    "diverged": Explanation(
        "The loss became infinite or not a number",
        "Training stopped at that step. The last finite checkpoint is kept, and a `Trainer` has the weights of the "
        "last step with a finite loss (with large layers, the optimizer's state is reset; on a device, those "
        "before the last steps whose losses were read together). Use a lower learning rate, bound the gradients with "
        "`clipnorm`, scale the inputs to about -1 to 1, and look for extreme values "
        "in the data.",
        '{"optimizer": {"type": "sgd", "learning_rate": 10}}',
        '{"optimizer": {"type": "sgd", "learning_rate": 0.01, "clipnorm": 1.0}}',
    ),
    "no-sweep": Explanation(
        "The spec has no search",
        "`jsonnx sweep` needs a `sweep`: the parameters with their values, how many trials there are, and by which "
        "figure they are compared.",
        "jsonnx sweep spec.json   # a spec without `sweep`",
        '{"sweep": {"parameters": {"training.batch_size": {"choice": [32, 64]}}, "sampler": "grid"}}',
    ),
    "sweep-changed": Explanation(
        "A search cannot go on with another spec or with other options",
        "The trials before and after would not be comparable. Only `trials` and `time_limit` may change, and the "
        "options that do not change results, such as `--jobs`. Start another search in a folder of its own.",
        "jsonnx sweep spec.json -o sweeps/a --resume --set training.epochs=20   # it was started with 10",
        "jsonnx sweep spec.json -o sweeps/b --set training.epochs=20",
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
    "incomplete-run": Explanation(
        "A RUN folder lacks files or values",
        "An earlier version of jsonnx wrote it, or files were removed. What is there is read; the rest is left out of "
        "lists and comparisons. Training the spec once more gives a complete run.",
        "jsonnx compare runs/of-last-year runs/new",
        "jsonnx train spec.json && jsonnx compare runs/spec runs/new",
    ),
    "no-lock": Explanation(
        "There is no lock file, or it has no entry for the spec",
        "`jsonnx train --locked` reproduces the run that `jsonnx.lock` describes, which lies beside the spec. `jsonnx "
        "lock RUN` writes the spec of a finished run there.",
        "jsonnx train spec.json --locked",
        "jsonnx lock runs/spec   # then: jsonnx train spec.json --locked",
    ),
    "lock-mismatch": Explanation(
        "A run is not that of the lock file",
        "Before anything is written: the spec, the data or the initial weights are not those whose hashes are in "
        "`jsonnx.lock`. At the end: the weights differ from those of the locked run in at least one bit, and the notes "
        "say which versions or processors are others. Then the run stays as it is.",
        "jsonnx train spec.json --locked   # after a change of the data",
        "jsonnx train spec.json && jsonnx lock runs/spec",
    ),
    "not-lockable": Explanation(
        "A run that cannot be reproduced is not written to a lock file",
        "It has not finished, an earlier version of jsonnx wrote it and did not record what it depended on, its spec "
        "was read from standard input, or its weights have been replaced.",
        "jsonnx lock runs/interrupted",
        "jsonnx train spec.json -o runs/interrupted --resume && jsonnx lock runs/interrupted",
    ),
    "not-exact": Explanation(
        "The resumed run will not be identical to the bit",
        "The version of jsonnx, onnxruntime, onnx or NumPy, the provider, the number of threads, `fast` or the CPU has "
        "changed since the checkpoint, which affects rounding. The run is as accurate as before, but not bit for bit "
        "the same. With --exact (in Python `load_checkpoint(path, exact=True)`) this is an error.",
        "a run started with 8 threads and resumed with 4",
        "a run resumed on the machine it started on",
    ),
    "tracker-failed": Explanation(
        "A tracker does not get the figures of a run",
        "An exception of the tracker's package, such as a server that cannot be reached, "
        "ends the tracking, not the training. All figures are in `metrics.jsonl` and `steps.jsonl` of the RUN folder.",
        "MLFLOW_TRACKING_URI=http://localhost:1 jsonnx train spec.json --tracker mlflow",
        "MLFLOW_TRACKING_URI=sqlite:///mlflow.db jsonnx train spec.json --tracker mlflow",
    ),
    # -- onnxruntime ---------------------------------------------------------------------------------------------------
    "missing-runtime": Explanation(
        "onnxruntime is not installed",
        "The right build of onnxruntime depends on the machine, so it is chosen at installation. Checking and "
        "compiling do not need it; running and training do.",
        "jsonnx train spec.json    # without onnxruntime",
        "pip install onnxruntime; jsonnx train spec.json",
    ),
    "missing-package": Explanation(
        "An optional package that is needed is not installed",
        "Parquet, Arrow and Feather files are read by pyarrow, images by Pillow; an installation without the extras "
        "`data` and `images` lacks them. Plots, searches and trackers have extras of their own; the help names them. "
        "Files compressed as .zst need Python 3.14.",
        "jsonnx train spec.json    # with images, without Pillow",
        'pip install "jsonnx[images]"; jsonnx train spec.json',
    ),
    "unknown-provider": Explanation(
        "An unknown provider",
        f"`jsonnx providers` lists them: {', '.join(PROVIDERS)}; or `auto` for the best one available.",
        "jsonnx train spec.json --provider gpu",
        "jsonnx train spec.json --provider cuda",
    ),
    "no-kernel-table": Explanation(
        "It is not known which nodes the provider runs",
        f"jsonnx has tables of the kernels of {kernel_table_titles()}. Other providers compile parts of a graph as a "
        "whole, and document no kernels; where one is installed and starts, onnxruntime 1.24 and later tell where each "
        "node runs.",
        "jsonnx providers spec.json --provider coreml    # not on a Mac",
        "jsonnx providers spec.json --provider cuda",
    ),
    "provider-mismatch": Explanation(
        "A provider computes other results than the CPU",
        "Before a provider other than the CPU is trusted with a model or a training step, drawn inputs go through "
        "both, once for each model, provider and version; what has passed is remembered in the user's folder for "
        "caches. The largest difference was more than 2% of the output's largest element, which the precision of a "
        "device does not explain. `jsonnx parity` names the node where it begins. --unverified skips the "
        "check, in Python `verify=False`.",
        "jsonnx predict model.onnx --data new.npz --provider openvino    # a fault of the provider",
        "jsonnx predict model.onnx --data new.npz --provider cpu",
    ),
    "cpu-fallback": Explanation(
        "The provider leaves large nodes to the CPU",
        "onnxruntime runs a node on the CPU if the provider has no kernel for it, and copies its inputs from the "
        "device and its outputs back at every step. The message names such nodes that compute much, or for which "
        "more than 1 MiB is copied. `jsonnx providers SPEC --provider NAME` lists all. Replace the "
        "layer, or train on another provider. With --strict this is an error.",
        "jsonnx train spec.json --provider webgpu --strict    # a large softmax loss: WebGPU has no LogSoftmax",
        "jsonnx train spec.json --provider cuda --strict",
    ),
    "bad-provider-option": Explanation(
        "An option that the provider does not have, or a wrong value",
        "The names and values are those of onnxruntime's documentation of the provider; an option that onnxruntime "
        "would ignore is an error, too. Numbers are written as digits, such as bytes of memory, and switches as 0 "
        "or 1.",
        "jsonnx train spec.json --provider cuda --provider-option device=1",
        "jsonnx train spec.json --provider cuda --provider-option device_id=1",
    ),
    "unsupported-precision": Explanation(
        "The provider cannot train in this precision",
        "Matrix products and convolutions in float16 or bfloat16 need a provider with kernels for the type, in "
        "practice a GPU. A CPU would compute them more slowly than in float32, so it refuses.",
        "jsonnx train spec.json --set training.precision=mixed_float16   # on the CPU",
        "jsonnx train spec.json --set training.precision=mixed_float16 --provider cuda",
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
