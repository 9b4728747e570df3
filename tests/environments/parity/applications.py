"""Imports the architectures of keras.applications with random weights, compiles them, and prints a table.

`sh tests/environments/parity/run.sh applications [NAME...]`. In a process for each architecture, Keras builds the
model, draws weights and statistics, predicts two random images, and writes a `.keras` file and its JSON;
`jsonnx.from_keras` reads both, and the compiled model predicts the images in onnxruntime. The exit status is 1 if an
output differs by more than 1e-4 of the greatest output, or if a graph has more than one Transpose, a Cast or an
Identity.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

TOLERANCE = 1e-4
"""Allowed error of an output, relative to the greatest output."""

UNWANTED = {"Transpose": 1, "Cast": 0, "Identity": 0}
"""Greatest number of nodes of an operator in a graph."""

SPREAD, SMALL_SPREAD = 0.3, 0.05
"""Range of the statistics around 0 and 1; ILL_CONDITIONED networks need the smaller one, since with 0.3 a relative
change of 1e-6 of the images changes the outputs of Keras by as much as the greatest output."""

ILL_CONDITIONED = ("EfficientNetV2", "EfficientNetB6", "EfficientNetB7")
SMALL_GAMMA = ("EfficientNetV2M", "EfficientNetV2L")
"""Networks that are so deep that they are ill-conditioned with any statistics unless gamma is drawn around 0.5."""

DEFAULT_SIZE = 224
"""Rows and columns of an image for networks that accept every size."""

HEAD = ("architecture", "weights", "lines of spec", "nodes", "Transpose", "read", "compiled", "error")


def main(names: list[str]) -> int:
    import keras

    all_names = sorted(
        name for name, builder in vars(keras.applications).items() if name[0].isupper() and callable(builder)
    )
    failed = False
    print("| " + " | ".join(HEAD) + " |\n|" + " --- |" * len(HEAD), flush=True)
    for name in names or all_names:
        done = subprocess.run([sys.executable, __file__, "--one", name], capture_output=True, text=True)
        if done.returncode:
            print(f"{name}: {done.stderr[-2000:]}", flush=True)
            failed = True
            continue
        row = json.loads(done.stdout.splitlines()[-1])
        print("| " + " | ".join(cells(row)) + " |", flush=True)
        failed = failed or not passes(row)
    return 1 if failed else 0


def passes(row: dict[str, Any]) -> bool:
    """Whether the row is within the limits on errors and operators."""
    return row["error"] <= TOLERANCE and all(row["ops"].get(op, 0) <= most for op, most in UNWANTED.items())


def cells(row: dict[str, Any]) -> list[str]:
    return [
        row["name"],
        f"{row['parameters'] / 1e6:.1f} M",
        str(row["lines"]),
        str(sum(row["ops"].values())),
        str(row["ops"].get("Transpose", 0)),
        f"{row['read']:.2f} s",
        f"{row['compiled']:.2f} s",
        f"{row['error']:.1e}",
    ]


def examine(name: str) -> dict[str, Any]:
    """Exports one architecture from Keras, imports it, and returns its row of the table."""
    import jsonnx
    import numpy as np
    from jsonnx.frontend.json.json_reader import from_value
    from jsonnx.frontend.text.formatter import format_source

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        text, images, expected = build_in_keras(name, file)
        unweighted, no_weights = jsonnx.from_keras(text)
        start = time.perf_counter()
        spec, weights = jsonnx.from_keras(file)
        read = time.perf_counter() - start
    assert no_weights is None
    assert spec == unweighted, "the JSON and the file give different specs"
    assert weights is not None
    start = time.perf_counter()
    model = jsonnx.compile(spec, weights)
    compiled = time.perf_counter() - start
    (outputs,) = model.session().run({next(iter(spec["inputs"])): images}).values()
    return {
        "name": name,
        "parameters": sum(array.size for array in weights.values()),
        "lines": format_source(from_value(spec)).count("\n"),
        "ops": Counter(node.op_type for node in model.proto.graph.node),
        "read": read,
        "compiled": compiled,
        "error": float(np.abs(outputs - expected).max() / np.abs(expected).max()),
    }


def build_in_keras(name: str, file: Path) -> tuple[str, Any, Any]:
    """Builds a model and saves it to a file; returns its JSON, two images, and its outputs for them."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(7)
    random = np.random.default_rng(7)
    spread, gamma = SMALL_SPREAD if name.startswith(ILL_CONDITIONED) else SPREAD, 0.5 if name in SMALL_GAMMA else 1.0
    model = getattr(keras.applications, name)(weights=None, classifier_activation=None)
    for variable in model.variables:
        if variable.path.endswith(("moving_mean", "moving_variance", "gamma", "beta")):
            center = {"moving_variance": 1.0, "gamma": gamma}.get(variable.path.rpartition("/")[2], 0.0)
            variable.assign(center + random.uniform(-spread, spread, variable.shape))
    shape = (2, *(size or DEFAULT_SIZE for size in model.input_shape[1:]))
    scales_inputs = name.startswith(("EfficientNet", "ConvNeXt", "MobileNetV3"))  # these scale the images themselves
    images = random.uniform(0, 255 if scales_inputs else 1, shape).astype(np.float32)
    outputs = np.asarray(model(images, training=False))
    model.save(file)
    return model.to_json(), images, outputs


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(examine(sys.argv[2])))
    else:
        sys.exit(main(sys.argv[1:]))
