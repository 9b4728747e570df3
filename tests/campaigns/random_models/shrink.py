"""Shrinks a failing spec: fewer outputs, layers and attributes, lower numbers."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any

Spec = dict[str, Any]


def shrink(spec: Spec, fails: Callable[[Spec], bool], seconds: float = 20.0) -> Spec:
    """Returns the smallest spec found that still fails. `fails` must return False for invalid specs."""
    end = time.monotonic() + seconds
    spec, improved = with_explicit_sources(spec), True
    while improved:
        improved = False
        for smaller in candidates(spec):
            if time.monotonic() > end:
                return spec
            if fails(smaller):
                spec, improved = smaller, True
                break
    return spec


def with_explicit_sources(spec: Spec) -> Spec:
    """Returns the spec with `from` in every layer and a list of outputs, so that layers can be removed."""
    result = copy.deepcopy(spec)
    previous = None
    for entry in result["layers"]:
        sources = entry.get("from", previous)
        entry["from"] = [sources] if isinstance(sources, str) else sources
        previous = entry["name"]
    if isinstance(result["outputs"], str):
        result["outputs"] = [result["outputs"]]
    training = result.get("training")
    if training and not _by_output(training["loss"], result["outputs"]):
        training["loss"] = dict.fromkeys(result["outputs"], training["loss"])
        if training.get("metrics"):
            training["metrics"] = dict.fromkeys(result["outputs"], training["metrics"])
    return result


def _by_output(value: Any, outputs: list[str]) -> bool:
    return isinstance(value, dict) and "type" not in value


def candidates(spec: Spec) -> Iterator[Spec]:
    """Yields smaller specs, the smallest first; some are invalid."""
    if "training" in spec:
        yield {key: value for key, value in spec.items() if key != "training"}
    names = [entry["name"] for entry in spec["layers"]]
    for name in [*names, *spec["inputs"]]:  # an intermediate value as the only output
        if name in names and spec["outputs"] != [name]:
            yield _with_outputs(spec, [name])
    for output in spec["outputs"] if len(spec["outputs"]) > 1 else ():
        yield _with_outputs(spec, [other for other in spec["outputs"] if other != output])
    for index in range(len(spec["layers"])):
        yield from _without_layer(spec, index)
    for index, entry in enumerate(spec["layers"]):
        for key in entry:
            if key not in ("type", "use", "name", "from"):
                yield _with_layer(spec, index, {k: v for k, v in entry.items() if k != key})
                for lower in _lower_integers(entry[key]):
                    yield _with_layer(spec, index, entry | {key: lower})
    for name, entry_ in spec["inputs"].items():
        for axis, size in enumerate(entry_["shape"]):
            for lower in _lower_integers(size):
                shape = [*entry_["shape"][:axis], lower, *entry_["shape"][axis + 1 :]]
                yield spec | {"inputs": spec["inputs"] | {name: entry_ | {"shape": shape}}}
    yield from _simpler_training(spec)


def _lower_integers(value: Any) -> Iterator[Any]:
    if isinstance(value, bool) or not isinstance(value, int):
        return
    yield from dict.fromkeys(v for v in (1, value // 2, value - 1) if 0 < v < value)


def _with_layer(spec: Spec, index: int, entry: Spec) -> Spec:
    return spec | {"layers": [*spec["layers"][:index], entry, *spec["layers"][index + 1 :]]}


def _without_layer(spec: Spec, index: int) -> Iterator[Spec]:
    """Yields the spec without a layer; layers that read it read one of its inputs instead."""
    entry = spec["layers"][index]
    for source in dict.fromkeys(entry["from"]):
        layers = []
        for other in [*spec["layers"][:index], *spec["layers"][index + 1 :]]:
            sources = [source if name.partition(".")[0] == entry["name"] else name for name in other["from"]]
            layers.append(other | {"from": sources})
        outputs = [name for name in spec["outputs"] if name.partition(".")[0] != entry["name"]]
        if outputs:
            yield _with_outputs(spec | {"layers": layers}, outputs)


def _with_outputs(spec: Spec, outputs: list[str]) -> Spec:
    """Returns the spec with only these outputs and the layers and inputs that they need."""
    needed, layers = {name.partition(".")[0] for name in outputs}, []
    for entry in reversed(spec["layers"]):
        if entry["name"] in needed:
            needed |= {name.partition(".")[0] for name in entry["from"]} | ({entry["use"]} if "use" in entry else set())
            layers.append(entry)
    result = spec | {
        "inputs": {name: input_spec for name, input_spec in spec["inputs"].items() if name in needed},
        "layers": layers[::-1],
        "outputs": outputs,
    }
    if "training" in spec:
        result["training"] = _training_for_outputs(spec["training"], outputs)
    return result


def _training_for_outputs(training: Spec, outputs: list[str]) -> Spec:
    kept = dict(training)
    for part in ("loss", "metrics", "loss_weights"):
        if part in kept:
            kept[part] = {name: value for name, value in kept[part].items() if name in outputs}
    if not kept["loss"]:
        kept["loss"] = dict.fromkeys(outputs, "mean_squared_error")
    return kept


def _simpler_training(spec: Spec) -> Iterator[Spec]:
    training = spec.get("training")
    if not training:
        return
    for key in ("metrics", "loss_weights", "seed"):
        if key in training:
            yield spec | {"training": {k: v for k, v in training.items() if k != key}}
    if training["optimizer"] != "sgd":
        yield spec | {"training": training | {"optimizer": "sgd"}}
    for name, loss in training["loss"].items():
        if loss != "mean_squared_error":
            yield spec | {"training": training | {"loss": training["loss"] | {name: "mean_squared_error"}}}
    for key in training["optimizer"] if isinstance(training["optimizer"], dict) else ():
        if key != "type":
            kept = {k: v for k, v in training["optimizer"].items() if k != key}
            yield spec | {"training": training | {"optimizer": kept}}
