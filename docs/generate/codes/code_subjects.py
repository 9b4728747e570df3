"""The subjects by which the reference groups errors, warnings and rules."""

from __future__ import annotations

SUBJECTS = {
    "json": "JSON text",
    "values": "Keys and values of a spec",
    "network": "Layers, names and shapes",
    "losses": "Losses, metrics and labels",
    "budgets": "Budgets and required metrics",
    "columns": "Columns of tables",
    "data_files": "Data",
    "time_series": "Time series",
    "files": "Files",
    "commands": "Options and configuration",
    "runs": "Runs and checkpoints",
    "weights": "Weights from files",
    "models": "Models",
    "searches": "Searches",
    "workers": "Distributed training",
    "providers": "Execution providers",
    "serving": "Servers and clients",
    "tools": "Tools of jsonnx mcp",
    "keras": "Models of Keras",
    "git": "Git",
    "activations": "Activations",
    "convolutions": "Convolutions",
    "data": "Samples and classes",
    "effects": "Layers without effect",
    "names": "Names and unused parts",
    "normalization": "Normalization and dropout",
    "objective": "Losses and metrics",
    "sequences": "Sequences",
    "silences": "Silences",
    "training": "Training",
}
"""Their titles, in the order of the indexes. The rules of a module of jsonnx.lint.rules have its name as their subject;
the file of another code in render/explanations/ names its subject."""
