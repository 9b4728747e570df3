"""Time from a spec to ONNX and to a training step, by the number of layers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..options import Options
from ..probes import TimeLimitExceeded, run_probe
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
        runs_by_kind = {}
        for training in (False, True):
            options.tell(f"{name}, {'training' if training else 'inference'}")
            runs_by_kind["training" if training else "inference"] = [
                _one(str(path), training, options) for _ in range(1 if options.quick else 3)
            ]
        yield name, runs_by_kind


def _one(path: str, training: bool, options: Options) -> Result:
    try:
        return run_probe("compile_time", options.threads, LIMIT, spec=path, training=training)
    except (TimeLimitExceeded, RuntimeError) as error:
        return {"failed": str(error)}


def tables(results: Result) -> list[Table]:
    columns = ["network", "to ONNX, s", "with a session, s", "memory, MB"]
    columns += ["to a training step, s", "with its session and first run, s", "memory, MB"]
    table = Table("From a spec to something that runs: the best of some fresh processes", columns)
    for name, runs_by_kind in results.items():
        row = [name]
        for kind in ("inference", "training"):
            finished = [run for run in runs_by_kind[kind] if "failed" not in run]
            if finished:
                best = min(finished, key=lambda run: run["ready"])
                row += [number(best["compiled"]), number(best["ready"]), f"{best['memory']:.0f}"]
            else:
                row += ["failed", "-", "-"]
                table.notes.append(f"{name}, {kind}: {runs_by_kind[kind][0]['failed']}")
        table.rows.append(row)
    return [table]


page = tables
