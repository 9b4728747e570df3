"""The names of the files of a RUN folder. Imports nothing, so that runs are listed at once."""

RUN_INFO_FILE = "run.json"
EXECUTION_FILE = "execution.json"
SPEC_FILE = "spec.json"
SOURCE_SPEC_FILE = "spec.source.json"
EXPANDED_SPEC_FILE = "spec.expanded.json"
METRICS_FILE = "metrics.jsonl"
STEPS_FILE = "steps.jsonl"
CSV_FILE = "metrics.csv"
REPORT_FILE = "report.html"
WEIGHTS_FILE = "weights.safetensors"
MODEL_FILE = "model.onnx"
CHECKPOINT_FOLDER = "checkpoints"
BEST_CHECKPOINT_FILE = "best.safetensors"

DESCRIPTION_FILES = (SOURCE_SPEC_FILE, EXPANDED_SPEC_FILE, SPEC_FILE, EXECUTION_FILE)
"""The files that describe a run, written before `run.json` when it starts."""

RESULT_FILES = (
    RUN_INFO_FILE,
    *DESCRIPTION_FILES,
    WEIGHTS_FILE,
    MODEL_FILE,
    METRICS_FILE,
    STEPS_FILE,
    CSV_FILE,
    REPORT_FILE,
)
"""All files of a run but its checkpoints."""
