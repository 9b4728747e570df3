"""The architectures of keras.applications, with random weights, from Keras' files to ONNX: a table.

`sh tests/parity/run.sh applications [NAME...]`. Each in a process of its own: Keras builds it, draws weights and
statistics, answers two random images, and writes a `.keras` file and its JSON; both come back through
`jsonnx.from_keras`, are compiled, and answer in onnxruntime. Ends with 1 where an answer differs by more than 1e-4 of
the largest, or where a graph has more than one Transpose, or any Cast or Identity. All forty take an hour.
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
"""Of the largest number of an answer."""

UNWANTED = {"Transpose": 1, "Cast": 0, "Identity": 0}
"""How many of an operator a graph may have."""

SPREAD, GENTLE = 0.3, 0.05
"""How far statistics are drawn from 0 and 1; in DELICATE networks less: by 0.3 a millionth of the images moves what
Keras itself answers as much as its largest number."""

DELICATE = ("EfficientNetV2", "EfficientNetB6", "EfficientNetB7")
DAMPED = ("EfficientNetV2M", "EfficientNetV2L")
"""In these gamma is drawn around a half: around 1 a millionth does that with any statistics, so deep are they."""

ANY_SIZE = 224
"""Rows and columns of an image where the network takes any."""

HEAD = ("architecture", "weights", "lines of spec", "nodes", "Transpose", "read", "compiled", "error")


def main(names: list[str]) -> int:
    import keras

    every = sorted(name for name, made in vars(keras.applications).items() if name[0].isupper() and callable(made))
    failed = False
    print("| " + " | ".join(HEAD) + " |\n|" + " --- |" * len(HEAD), flush=True)
    for name in names or every:
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
    """Whether an architecture keeps what is promised of all."""
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
    """One architecture, there and back."""
    import jsonnx
    import numpy as np
    from jsonnx.frontend.formatter import format_source
    from jsonnx.frontend.json_reader import from_value

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        text, images, wanted = from_keras(name, file)
        unweighted, none = jsonnx.from_keras(text)
        start = time.perf_counter()
        spec, weights = jsonnx.from_keras(file)
        read = time.perf_counter() - start
    assert none is None
    assert spec == unweighted, "the JSON says something else than the file"
    assert weights is not None
    start = time.perf_counter()
    model = jsonnx.compile(spec, weights)
    compiled = time.perf_counter() - start
    (found,) = model.session().run({next(iter(spec["inputs"])): images}).values()
    return {
        "name": name,
        "parameters": sum(array.size for array in weights.values()),
        "lines": format_source(from_value(spec)).count("\n"),
        "ops": Counter(node.op_type for node in model.proto.graph.node),
        "read": read,
        "compiled": compiled,
        "error": float(np.abs(found - wanted).max() / np.abs(wanted).max()),
    }


def from_keras(name: str, file: Path) -> tuple[str, Any, Any]:
    """The JSON of a new model, saved to a file as well, two images, and its answer to them."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(7)
    random = np.random.default_rng(7)
    spread, gamma = GENTLE if name.startswith(DELICATE) else SPREAD, 0.5 if name in DAMPED else 1.0
    model = getattr(keras.applications, name)(weights=None, classifier_activation=None)
    for variable in model.variables:
        if variable.path.endswith(("moving_mean", "moving_variance", "gamma", "beta")):
            around = {"moving_variance": 1.0, "gamma": gamma}.get(variable.path.rpartition("/")[2], 0.0)
            variable.assign(around + random.uniform(-spread, spread, variable.shape))
    shape = (2, *(size or ANY_SIZE for size in model.input_shape[1:]))
    raw = name.startswith(("EfficientNet", "ConvNeXt", "MobileNetV3"))  # these scale the numbers themselves
    images = random.uniform(0, 255 if raw else 1, shape).astype(np.float32)
    wanted = np.asarray(model(images, training=False))
    model.save(file)
    return model.to_json(), images, wanted


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(examine(sys.argv[2])))
    else:
        sys.exit(main(sys.argv[1:]))
