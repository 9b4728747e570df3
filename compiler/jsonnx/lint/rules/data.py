"""Rules on the data: which files a spec names, and what they contain if they are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...core.diagnostics import JsonPath
from ...sections.label_sets import label_set_outputs
from ..fixes import set_key
from ..layer_kinds import ALL_CONVOLUTIONS, SCALING_LAYERS, is_one_of
from ..linted_network import LintedNetwork
from ..rule import Finding, rule
from .objective import is_classification

MAX_IMBALANCE = 10.0
"""Maximum ratio of the most frequent class to the rarest."""

MAX_UNSCALED_VALUE = 16.0
"""Greatest value of an input that layers with weights take without scaling."""

MIN_CLASS_SAMPLES = 5

WEIGHTED_INPUT_LAYERS = ("Dense", *ALL_CONVOLUTIONS, "recurrent", "Bidirectional")


@rule("tested-on-training-data")
def tested_on_training_data(network: LintedNetwork) -> Iterator[Finding]:
    data = network.training.data if network.training else None
    if data is None:
        return
    files = {part: {_normal(name): path for name, path in _files(part, getattr(data, part))} for part in PARTS}
    for part in ("validation", "test"):
        for name, path in files[part].items():
            for other in ("train", "validation"):
                if other != part and name in files[other]:
                    notes = ((files[other][name], f"`{other}` names it here"),)
                    yield Finding(
                        path, f"`{part}` and `{other}` are the same file, {name!r}", "name another file", notes
                    )
                    break


PARTS = ("train", "validation", "test")


def _files(part: str, files: str | tuple[str, ...] | None) -> Iterator[tuple[str, JsonPath]]:
    path: JsonPath = ("training", "data", part)
    if isinstance(files, str):
        yield files, path
    elif files is not None:
        yield from ((name, (*path, index)) for index, name in enumerate(files))


def _normal(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./").rstrip("/")


@rule("batch-exceeds-data", needs_data=True)
def batch_exceeds_data(network: LintedNetwork) -> Iterator[Finding]:
    training, samples = network.training, network.data.sample_counts.get("train")
    if training is not None and samples and training.batch_size > samples:
        path: JsonPath = ("training", "batch_size") if network.is_written(("training", "batch_size")) else ("training",)
        message = f"a batch has {training.batch_size:,} samples, and the training data {samples:,}"
        yield Finding(path, message, f"use {max(samples // 10, 1):,} or fewer")


@rule("class-imbalance", needs_data=True)
def class_imbalance(network: LintedNetwork) -> Iterator[Finding]:
    training, objective = network.training, network.objective
    if training is None or objective is None or training.class_weight is not None:
        return
    for output, loss in objective.losses.items():
        counts = network.data.class_counts.get(output, {})
        if output in label_set_outputs(network.typed.types, {output: loss}):
            yield from _rare_label(network, output, counts)
            continue
        if output in objective.weighted_outputs or not is_classification(loss) or "focal" in loss.type_name:
            continue
        if len(counts) < 2 or max(counts.values()) <= MAX_IMBALANCE * min(counts.values()):
            continue
        rare, frequent = min(counts, key=lambda key: counts[key]), max(counts, key=lambda key: counts[key])
        names = [_class_name(network, output, index) for index in (rare, frequent)]
        message = (
            f"class {names[0]} of {output!r} has {counts[rare]:,} training samples, {names[1]} {counts[frequent]:,}"
        )
        fix = set_key(network, ("training", "class_weight"), "balanced")
        yield Finding(("training",), message, 'write "class_weight": "balanced"', fix=fix)


def _rare_label(network: LintedNetwork, output: str, counts: Mapping[int, int]) -> Iterator[Finding]:
    """Labels so rare that their probabilities hardly exceed the threshold of 0.5."""
    training, samples = network.training, network.data.sample_counts.get("train", 0)
    rare = min(counts, key=lambda key: counts[key], default=None)
    if rare is None or training is None or training.threshold is not None or samples < MAX_IMBALANCE * counts[rare]:
        return
    name = _class_name(network, output, rare)
    message = f"label {name} of {output!r} has {counts[rare]:,} of {samples:,} training samples"
    help = 'choose a threshold for each label: "threshold": {"maximize": "f1", "by_label": true}'
    yield Finding(("training",), f"{message}, so that its probability hardly exceeds the threshold 0.5", help)


def _class_name(network: LintedNetwork, output: str, number: int) -> str:
    labels = network.typed.network.labels.get(output) or network.data.labels.get(output, ())
    return repr(labels[number]) if number < len(labels) else str(number)


@rule("few-class-samples", needs_data=True, default=False)
def few_class_samples(network: LintedNetwork) -> Iterator[Finding]:
    for output, counts in network.data.class_counts.items():
        rare = min(counts, key=lambda key: counts[key]) if len(counts) > 1 else None
        if rare is not None and counts[rare] < MIN_CLASS_SAMPLES:
            message = f"class {_class_name(network, output, rare)} of {output!r} has {counts[rare]} training samples"
            yield Finding(("training", "data", "train"), message, "collect more of them, or join it with another class")


@rule("unscaled-input")
def unscaled_input(network: LintedNetwork) -> Iterator[Finding]:
    data = network.training.data if network.training else None
    has_image_files = data is not None and network.is_written(("training", "data", "images"))
    for name, type in network.typed.inputs.items():
        low, high = network.data.input_ranges.get(name, (0.0, 0.0))
        is_image = has_image_files and type.rank == 4 and type.shape[-1] in (1, 3, 4)
        if not type.dtype.startswith("float"):
            continue
        if max(abs(low), abs(high)) <= MAX_UNSCALED_VALUE and not (is_image and name not in network.data.input_ranges):
            continue
        call = _first_weighted_call(network, name)
        if call is not None:
            values = "pixels from 0 to 255" if is_image else f"numbers from {low:.4g} to {high:.4g}"
            notes = ((call.path, f"{call.name!r} is here"),)
            message = f"{call.name!r} takes the input {name!r} without scaling: {values}"
            help = "put a Rescaling by 1/255 before it" if is_image else "put a Normalization before it"
            yield Finding(("inputs", name), message, help, notes, True)


def _first_weighted_call(network: LintedNetwork, name: str):  # type: ignore[no-untyped-def]
    """The first layer with weights that takes an input or a part of it, if no layer before it scales the values."""
    values, seen = [name], set()
    while values:
        value = values.pop()
        if value in seen:
            continue
        seen.add(value)
        for call in network.consumers_by_value.get(value, []):
            kind = call.layer.type_name if call.layer is not None else ""
            if is_one_of(call.layer, WEIGHTED_INPUT_LAYERS):
                return call
            is_kept = kind.startswith(("Random", "Resizing", "CenterCrop", "ZeroPadding", "Cropping", "Max", "Average"))
            if kind not in SCALING_LAYERS and (is_kept or kind in KEPT_SCALE):
                values.append(call.name)
    return None


KEPT_SCALE = ("Identity", "Dropout", "Flatten", "Reshape", "Permute", "Concatenate", "UpSampling2D")
