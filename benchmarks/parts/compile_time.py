"""From a spec to ONNX and to a training step, by the number of layers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..options import Options
from ..probes import TooLong, fresh
from ..tables import Table, number
from ..workloads.deployed import resnet50
from ..workloads.workload import Spec, network, trained

ABOUT = "seconds to ONNX and to a training step, sessions included, by the number of layers; memory"
LIMIT = 300
Result = dict[str, Any]


def chain(layers: int) -> Spec:
    return network({"shape": [32]}, [{"type": "Dense", "units": 32, "activation": "relu"}] * (layers - 1))


def measure(options: Options) -> Iterator[tuple[str, Result]]:
    counts = (10, 100, 1000) if options.quick else (10, 100, 1000, 10_000)
    specs = {f"{count:,} layers": chain(count) for count in counts} | {"ResNet50": resnet50()}
    for name, spec in specs.items():
        if options.only and name not in options.only and name.split()[0].replace(",", "") not in options.only:
            continue
        path = options.folder / f"{name}.json"
        path.write_text(json.dumps(trained(spec, 1)), "utf-8")
        found = {}
        for training in (False, True):
            options.tell(f"{name}, {'training' if training else 'inference'}")
            found["training" if training else "inference"] = [
                _one(str(path), training, options) for _ in range(1 if options.quick else 3)
            ]
        yield name, found


def _one(path: str, training: bool, options: Options) -> Result:
    try:
        return fresh("compile_time", options.threads, LIMIT, spec=path, training=training)
    except (TooLong, RuntimeError) as error:
        return {"failed": str(error)}


def tables(result: Result) -> list[Table]:
    columns = ["network", "to ONNX, s", "with a session, s", "memory, MB"]
    columns += ["to a training step, s", "with its session and first run, s", "memory, MB"]
    table = Table("From a spec to something that runs: the best of some fresh processes", columns)
    for name, found in result.items():
        row = [name]
        for kind in ("inference", "training"):
            came = [one for one in found[kind] if "failed" not in one]
            if came:
                best = min(came, key=lambda one: one["ready"])
                row += [number(best["compiled"]), number(best["ready"]), f"{best['memory']:.0f}"]
            else:
                row += ["failed", "-", "-"]
                table.notes.append(f"{name}, {kind}: {found[kind][0]['failed']}")
        table.rows.append(row)
    return [table]


page = tables
