"""The specs whose graphs are recorded: layer cases, training cases, samples, benchmarks and random models."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import random_models
from layers.cases import all_cases

from .layer_cases import augmentation_spec, has_real_inputs, is_augmentation, layer_spec

ROOT = Path(random_models.__path__[0]).parents[1]
"""The repository."""
ROWS = 50_000
"""Rows of an embedding whose table is updated by rows."""
TOO_LARGE = {"transformer"}
"""Samples with half a gigabyte of weights: a minute of time and five times that memory."""
BY_ROWS: list[Spec] = [
    {"type": "SGD", "momentum": 0.9, "nesterov": True},
    {"type": "RMSprop", "momentum": 0.3, "centered": True},
    {"type": "RMSprop", "rho": 0.8, "clipnorm": 1.0},
    {"type": "Adam", "weight_decay": 0.01},
    {"type": "Adam", "global_clipnorm": 1.0},
]
"""Optimizers that update large tables by rows, besides those of the training cases."""
LEARNING = {"penguins", "reviews"}
"""Samples with a vocabulary that the data decide."""
ONE = (2,)
"""Threads for networks that are too small to depend on their number."""
MSE = {"loss": "mse", "optimizer": "adam"}

Spec = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """A spec under the id of its record: a dict, or a file by its path in the repository.

    A training step is made for each of these numbers of samples and threads, whatever the machine has. `learns` is True
    where layers learn from the spec's data before there is a model.
    """

    id: str
    spec: Spec | str
    samples: tuple[int, ...] = (32, 4)
    threads: tuple[int, ...] = (2, 1)
    learns: bool = False


def entries(seeds: int) -> list[Entry]:
    """All of them, the largest networks first, so that processes end at the same time."""
    found = [*of_samples(), *of_workloads(), *of_random_models(seeds), *of_training_cases(), *of_tables(), *of_layers()]
    ids = [entry.id for entry in found]
    twice = {id for id in ids if ids.count(id) > 1}
    if twice:
        raise ValueError(f"several entries have the same id: {sorted(twice)}")
    return found


def of_layers() -> Iterator[Entry]:
    """Every layer case alone, and behind another layer: a Dense one, so that gradients of its inputs are needed."""
    for case in all_cases():
        yield Entry(f"layers/{case.id}", layer_spec(case), threads=ONE)
        if is_augmentation(case):
            yield Entry(f"layers/{case.id}/behind-rescaling", augmentation_spec(case), threads=ONE)
        if has_real_inputs(case):
            yield Entry(f"layers/{case.id}/behind-dense", layer_spec(case, behind=True), threads=ONE)


# -- losses, metrics, optimizers ---------------------------------------------------------------------------------------


def of_training_cases() -> Iterator[Entry]:
    """A Dense layer with every loss, metric, optimizer, regularizer and constraint of the training cases."""
    from training import cases

    for index, (loss, pair) in enumerate(cases.LOSSES):
        yield Entry(f"losses/{index:02}/{cases.name(loss)}", dense(pair.shape, {"loss": loss}), threads=ONE)
    for index, (loss, pair, activation) in enumerate(cases.ACTIVATED):
        spec = dense(pair.shape, {"loss": loss}, activation=activation)
        yield Entry(f"activated-losses/{index:02}/{cases.name(loss)}", spec, threads=ONE)
    for index, (metric, loss, pair) in enumerate(cases.METRICS):
        spec = dense(pair.shape, {"loss": loss, "metrics": [metric]})
        yield Entry(f"metrics/{index:02}/{cases.name(metric)}", spec, threads=ONE)
    for index, optimizer in enumerate(cases.OPTIMIZERS):
        yield Entry(
            f"optimizers/{index:02}/{cases.name(optimizer)}", dense((4, 3), {"optimizer": optimizer}), threads=ONE
        )
    for index, added in enumerate(cases.REGULARIZERS):
        spec = dense((4, 3), {}, kernel_regularizer=added, bias_regularizer="l2", activity_regularizer="l1")
        yield Entry(f"regularizers/{index:02}/{cases.name(added)}", spec, threads=ONE)
    for index, constraint in enumerate(cases.CONSTRAINTS):
        spec = dense((4, 3), {}, kernel_constraint=constraint)
        yield Entry(f"constraints/{index:02}/{cases.name(constraint)}", spec, threads=ONE)


def dense(shape: tuple[int, ...], training: Spec, **attributes: Any) -> Spec:
    """A Dense layer whose output has this shape, the batch included."""
    layer = {"type": "Dense", "units": shape[-1], **attributes}
    return {"inputs": {"x": {"shape": [*shape[1:-1], 5]}}, "layers": [layer], "training": {**MSE, **training}}


def of_tables() -> Iterator[Entry]:
    """Large embeddings with every optimizer, and some with what excludes an update by rows."""
    from training import cases

    for index, optimizer in enumerate([*cases.OPTIMIZERS, *BY_ROWS]):
        yield Entry(f"tables/{index:02}/{cases.name(optimizer)}", table({"optimizer": optimizer}), threads=ONE)
    yield Entry("tables/two", table({}, second=True), threads=ONE)
    yield Entry("tables/regularized", table({}, embeddings_regularizer="l2"), threads=ONE)
    yield Entry("tables/constrained", table({}, embeddings_constraint="unit_norm"), threads=ONE)
    yield Entry("tables/frozen", table({"freeze": ["words"]}), threads=ONE)
    yield Entry("tables/large-batch", table({"batch_size": 4096}), threads=ONE)


def table(training: Spec, second: bool = False, **attributes: Any) -> Spec:
    """The mean of some vectors of a large embedding, or of two."""
    words = {"type": "Embedding", "input_dim": ROWS, "output_dim": 16}
    layers: list[Spec] = [{**words, "name": "words", "from": "x", **attributes}]
    if second:
        layers.append({**words, "name": "others", "from": "x"})
        layers.append({"type": "Add", "from": ["words", "others"]})
    layers += [{"type": "GlobalAveragePooling1D"}, {"type": "Dense", "units": 3}]
    return {"inputs": {"x": {"shape": [6], "dtype": "int32"}}, "layers": layers, "training": {**MSE, **training}}


# -- whole networks ----------------------------------------------------------------------------------------------------


def of_samples() -> Iterator[Entry]:
    """Every sample; in the place of the largest its smaller scales."""
    for file in sorted((ROOT / "samples").glob("*.json")):
        spec: Spec = json.loads(file.read_text("utf-8"))
        scales = spec.pop("scales", {})
        if file.stem not in TOO_LARGE:
            yield Entry(f"samples/{file.stem}", f"samples/{file.name}", learns=file.stem in LEARNING)
            continue
        for name, scale in scales.items():
            yield Entry(f"samples/{file.stem}/{name}", {**spec, "parameters": spec["parameters"] | scale})


def of_random_models(seeds: int) -> Iterator[Entry]:
    from random_models.generate import spec

    for seed in range(seeds):
        yield Entry(f"random/{seed:05}", spec(seed))


def of_workloads() -> Iterator[Entry]:
    """The networks of the benchmarks with their own batch too, some with rematerialisation."""
    sys.path.insert(0, str(ROOT))
    from benchmarks.workloads import INFERENCE, TRAINING, WIDER
    from benchmarks.workloads.workload import trained

    for name, workload in INFERENCE.items():
        yield Entry(f"deployed/{name}", workload.spec)
    yield Entry("trained/mobilenet_v2", trained(INFERENCE["mobilenet_v2-32"].spec, 32))
    for name, workload in (TRAINING | WIDER).items():
        samples = tuple(dict.fromkeys([32, 4, workload.batch]))
        yield Entry(f"workloads/{name}", workload.spec, samples)
    for name in ("mlp", "cnn", "lstm", "transformer", "resnet", "unet", "depthwise", "gru"):
        workload = (TRAINING | WIDER)[name]
        for remat in ("full", "activations"):
            spec = {**workload.spec, "training": {**workload.spec["training"], "remat": remat}}
            yield Entry(f"workloads/{name}/remat-{remat}", spec)
