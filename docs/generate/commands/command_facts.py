"""What the pages of commands add to the commands' own help: subjects, the exit status 1, and examples with output."""

from __future__ import annotations

SUBJECTS = {
    "Check and write specs": ("validate", "lint", "fmt", "summary", "draw", "trace", "diff", "init", "data"),
    "Train": ("train", "sweep", "profile"),
    "Look at runs": ("runs", "compare", "report", "evaluate", "lock"),
    "Use models": ("compile", "quantize", "predict", "drift", "inspect", "import", "export"),
    "Serve": ("serve", "client", "conform"),
    "Editors and agents": ("lsp", "mcp", "schema", "completion"),
    "Look things up": ("layers", "explain", "providers", "parity"),
}
"""The commands by subject; the pages of a subject link to one another."""

STATUS_1 = {
    "conform": "the server violates the protocol",
    "data": "training would refuse the data",
    "diff": "the network differs as `--fail-on` says, or a spec has an error",
    "drift": "a column or a prediction has drifted",
    "evaluate": "the spec, the model or the data have an error, or a metric does not keep a bound of `--require`",
    "fmt": "a file is not JSON, or with `--check` is not formatted",
    "lint": "a spec has an error or a finding",
    "parity": "a difference exceeds the tolerance, or a provider cannot run the model",
    "profile": "the spec, the data or the model have an error, or a figure does not keep a bound of `--require`",
    "quantize": "no way to quantize the model is within the tolerance; then nothing is written",
    "summary": "the spec has an error, or the network exceeds its budget",
    "sweep": "the spec or the data have an error, or no trial has finished",
    "validate": "a spec has an error, or with `--lint` a finding",
}
"""When a command ends with status 1, where it is not only that its input has an error."""

SHOWN_EXAMPLES = {
    "data": "jsonnx data samples/penguins.json",
    "explain": "jsonnx explain unknown-key",
    "init": "jsonnx init samples/data/penguins_train.csv --target species -o -",
    "layers": "jsonnx layers Dropout",
    "summary": "jsonnx summary samples/mnist_cnn.json",
    "validate": "jsonnx validate samples/penguins.json",
}
"""Examples that take no time, in the folder of the repository, whose output the page shows."""
