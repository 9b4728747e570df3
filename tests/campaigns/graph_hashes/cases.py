"""The specs whose graphs are recorded: layer cases, training cases, samples, benchmarks and random models."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from campaigns import random_models
from unit.layers.cases import all_cases

from .layer_cases import augmentation_spec, has_real_inputs, is_augmentation, layer_spec

ROOT = Path(random_models.__path__[0]).parents[2]
"""The repository."""
EMBEDDING_ROWS = 50_000
"""Rows of an embedding that is large enough for lazy updates."""
TOO_LARGE = {"transformer"}
"""Samples that need too much time and memory at full size; their smaller scales are recorded instead."""
LAZY_OPTIMIZERS: list[Spec] = [
    {"type": "SGD", "momentum": 0.9, "nesterov": True},
    {"type": "RMSprop", "momentum": 0.3, "centered": True},
    {"type": "RMSprop", "rho": 0.8, "clipnorm": 1.0},
    {"type": "Adam", "weight_decay": 0.01},
    {"type": "Adam", "global_clipnorm": 1.0},
]
"""Optimizers that support lazy updates of embeddings, besides those of the training cases."""
ADAPTED_SAMPLES = {"flights", "penguins", "reviews"}
"""Samples whose vocabularies are adapted to their data."""
ONE_THREAD_COUNT = (2,)
"""Thread counts for networks that are too small for the graphs to depend on it."""
MSE = {"loss": "mse", "optimizer": "adam"}

Spec = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """A spec and the id of its record. `spec` is a dict, or the path of a file in the repository.

    A training step is built for each batch size in `samples` and each thread count in `threads`, whatever the machine
    has. `learns` is True if layers must be adapted to the spec's data before the spec can be compiled.
    """

    id: str
    spec: Spec | str
    samples: tuple[int, ...] = (32, 4)
    threads: tuple[int, ...] = (2, 1)
    learns: bool = False


def entries(seeds: int) -> list[Entry]:
    """Returns all entries, the largest networks first, so that the processes finish at about the same time."""
    all_entries = [
        *sample_entries(),
        *workload_entries(),
        *random_model_entries(seeds),
        *training_entries(),
        *embedding_entries(),
        *layer_entries(),
    ]
    ids = [entry.id for entry in all_entries]
    duplicates = {id for id in ids if ids.count(id) > 1}
    if duplicates:
        raise ValueError(f"several entries have the same id: {sorted(duplicates)}")
    return all_entries


def layer_entries() -> Iterator[Entry]:
    """Yields every layer case alone and after a Dense layer, which needs the gradients of the layer's inputs."""
    for case in all_cases():
        yield Entry(f"layers/{case.id}", layer_spec(case), threads=ONE_THREAD_COUNT)
        if is_augmentation(case):
            yield Entry(f"layers/{case.id}/behind-rescaling", augmentation_spec(case), threads=ONE_THREAD_COUNT)
        if has_real_inputs(case):
            yield Entry(f"layers/{case.id}/behind-dense", layer_spec(case, behind=True), threads=ONE_THREAD_COUNT)


# -- losses, metrics, optimizers ---------------------------------------------------------------------------------------


def training_entries() -> Iterator[Entry]:
    """Yields a Dense layer with every loss, metric, optimizer, regularizer and constraint of the training cases."""
    from unit.training import cases

    for index, (loss, pair) in enumerate(cases.LOSSES):
        yield Entry(
            f"losses/{index:02}/{cases.name(loss)}", dense_spec(pair.shape, {"loss": loss}), threads=ONE_THREAD_COUNT
        )
    for index, (loss, pair, activation) in enumerate(cases.ACTIVATED):
        spec = dense_spec(pair.shape, {"loss": loss}, activation=activation)
        yield Entry(f"activated-losses/{index:02}/{cases.name(loss)}", spec, threads=ONE_THREAD_COUNT)
    for index, (metric, loss, pair) in enumerate(cases.METRICS):
        spec = dense_spec(pair.shape, {"loss": loss, "metrics": [metric]})
        yield Entry(f"metrics/{index:02}/{cases.name(metric)}", spec, threads=ONE_THREAD_COUNT)
    for index, optimizer in enumerate(cases.OPTIMIZERS):
        yield Entry(
            f"optimizers/{index:02}/{cases.name(optimizer)}",
            dense_spec((4, 3), {"optimizer": cases.for_dense_layers(optimizer)}),
            threads=ONE_THREAD_COUNT,
        )
    for index, added in enumerate(cases.REGULARIZERS):
        spec = dense_spec((4, 3), {}, kernel_regularizer=added, bias_regularizer="l2", activity_regularizer="l1")
        yield Entry(f"regularizers/{index:02}/{cases.name(added)}", spec, threads=ONE_THREAD_COUNT)
    for index, constraint in enumerate(cases.CONSTRAINTS):
        spec = dense_spec((4, 3), {}, kernel_constraint=constraint)
        yield Entry(f"constraints/{index:02}/{cases.name(constraint)}", spec, threads=ONE_THREAD_COUNT)


def dense_spec(shape: tuple[int, ...], training: Spec, **attributes: Any) -> Spec:
    """Returns the spec of a Dense layer whose output has this shape, batch axis included."""
    layer = {"type": "Dense", "units": shape[-1], **attributes}
    return {"inputs": {"x": {"shape": [*shape[1:-1], 5]}}, "layers": [layer], "training": {**MSE, **training}}


def embedding_entries() -> Iterator[Entry]:
    """Yields large embeddings with every optimizer, and with options that exclude lazy updates."""
    from unit.training import cases

    for index, optimizer in enumerate([*cases.OPTIMIZERS, *LAZY_OPTIMIZERS]):
        yield Entry(
            f"tables/{index:02}/{cases.name(optimizer)}",
            embedding_spec({"optimizer": optimizer}),
            threads=ONE_THREAD_COUNT,
        )
    yield Entry("tables/two", embedding_spec({}, second=True), threads=ONE_THREAD_COUNT)
    yield Entry("tables/regularized", embedding_spec({}, embeddings_regularizer="l2"), threads=ONE_THREAD_COUNT)
    yield Entry("tables/constrained", embedding_spec({}, embeddings_constraint="unit_norm"), threads=ONE_THREAD_COUNT)
    yield Entry("tables/frozen", embedding_spec({"freeze": ["words"]}), threads=ONE_THREAD_COUNT)
    yield Entry("tables/large-batch", embedding_spec({"batch_size": 4096}), threads=ONE_THREAD_COUNT)


def embedding_spec(training: Spec, second: bool = False, **attributes: Any) -> Spec:
    """Returns the spec of a network that averages the vectors of one or two large embeddings."""
    words = {"type": "Embedding", "input_dim": EMBEDDING_ROWS, "output_dim": 16}
    layers: list[Spec] = [{**words, "name": "words", "from": "x", **attributes}]
    if second:
        layers.append({**words, "name": "others", "from": "x"})
        layers.append({"type": "Add", "from": ["words", "others"]})
    layers += [{"type": "GlobalAveragePooling1D"}, {"type": "Dense", "units": 3}]
    return {"inputs": {"x": {"shape": [6], "dtype": "int32"}}, "layers": layers, "training": {**MSE, **training}}


# -- whole networks ----------------------------------------------------------------------------------------------------


def sample_entries() -> Iterator[Entry]:
    """Yields every sample; samples in TOO_LARGE at their smaller scales."""
    for file in sorted((ROOT / "samples").glob("*.json")):
        spec: Spec = json.loads(file.read_text("utf-8"))
        scales = spec.pop("scales", {})
        if file.stem not in TOO_LARGE:
            yield Entry(f"samples/{file.stem}", f"samples/{file.name}", learns=file.stem in ADAPTED_SAMPLES)
            continue
        for name, scale in scales.items():
            yield Entry(f"samples/{file.stem}/{name}", {**spec, "parameters": spec["parameters"] | scale})


def random_model_entries(seeds: int) -> Iterator[Entry]:
    from campaigns.random_models.generate import spec

    for seed in range(seeds):
        yield Entry(f"random/{seed:05}", spec(seed))


def workload_entries() -> Iterator[Entry]:
    """Yields the networks of the benchmarks, also at their own batch sizes, and some with rematerialization."""
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
