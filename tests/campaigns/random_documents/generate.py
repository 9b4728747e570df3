"""Generates a document, valid or not, from a seed: a network grown layer by layer, or a mutated sample."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from random import Random

from jsonnx import library
from jsonnx.core.components import codec_for
from jsonnx.layers import LAYERS
from jsonnx.sections.training_section import Training
from jsonnx.training.losses.losses import LOSSES
from unit.layers.cases import Case, all_cases

from .grow import Network
from .mutate import factor_out, mutate, mutate_text
from .values import Draws, Json, anything

SAMPLES = Path(__file__).parents[3] / "samples"
FAVOURITES = ("Masking", "TimeDistributed", "Bidirectional", "Pipeline", "ops.cast", "Add", "Concatenate")
"""Types that are drawn more often, since other layers depend on what they do."""

LARGE_SAMPLES = ("efficientnet_b0", "mobilenet_v2", "resnet50", "unet")


def text(seed: int) -> str:
    """Returns the text of the document of a seed."""
    rng = Random(seed)
    is_sample = rng.random() < 0.02
    document = copy.deepcopy(rng.choice(_samples())) if is_sample else _network(rng, seed)
    if rng.random() < 0.15:
        document = factor_out(rng, document)
    if is_sample or rng.random() < 0.4:  # samples as they are have tests of their own, and take long
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            document = mutate(rng, document)
    written = json.dumps(document, indent=rng.choice([None, None, 2]), ensure_ascii=rng.random() < 0.5)
    return mutate_text(rng, written) if rng.random() < 0.02 else written


@cache
def _samples() -> list[Json]:
    """The smaller sample specs without their training data, which need not be there, and the library's examples."""
    documents = [
        json.loads(path.read_text()) for path in sorted(SAMPLES.glob("*.json")) if path.stem not in LARGE_SAMPLES
    ]
    documents += [copy.deepcopy(library.example(type_)) for type_ in library.block_types()]
    for document in documents:
        for key in ("data", "weights"):
            document.get("training", {}).pop(key, None)
        document.get("parameters", {}).update(document.get("scales", {}).get("tiny", {}))
    return documents


@cache
def cases_by_type() -> dict[str, list[Case]]:
    """The layer cases of the tests, by the main name of the layer's type."""
    cases: dict[str, list[Case]] = {}
    for case in all_cases():
        component = LAYERS.by_name.get(case.layer["type"])
        if component is not None:
            cases.setdefault(component.type_name, []).append(case)
    return cases


def _network(rng: Random, seed: int) -> Json:
    """Draws a network. The type of its first layer is the next one at every seed, so that each type is drawn."""
    network, kinds = Network(rng), list(LAYERS.members)
    kind = kinds[seed % len(kinds)]
    cases = cases_by_type().get(kind)
    if cases and rng.random() < 0.6:
        network.add_case(rng.choice(cases))
    else:
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            network.add_input()
        for other in (kind, *rng.choices(kinds, k=5)):
            if not network.layers:
                network.add_layer(other)
        if not network.layers:
            network.add_layer(kind, keep=True)
    for _ in range(rng.choice([0, 0, 1, 1, 2, 3, 5])):
        kind = rng.choice(kinds) if rng.random() < 0.9 else rng.choice(FAVOURITES)
        network.add_layer(kind, rng.choice(cases_by_type().get(kind, [None])))
    trained = rng.random() < 0.4
    if rng.random() < 0.8:
        network.finish(trained and rng.random() < 0.8)
    document = network.document()
    if trained:
        document["training"] = _training(rng, network)
    if rng.random() < 0.08:
        document["labels"] = _labels(rng, network)
    if rng.random() < 0.03:
        document[rng.choice(["version", "name", "description", "$schema", "outputs", "scales"])] = anything(rng)
    return document


def _training(rng: Random, network: Network) -> Json:
    draws = Draws(rng)
    schemas = codec_for(Training).schema()["properties"]
    section = {
        name: draws.value(schema, name)
        for name, schema in schemas.items()
        if name not in ("data", "weights", "loss") and rng.random() < 0.1
    }
    outputs = network.outputs()
    many = len(outputs) > 1 and rng.random() < 0.7
    section["loss"] = {name: draws.component(LOSSES) for name in outputs} if many else draws.component(LOSSES)
    if rng.random() < 0.4:
        section["metrics"] = draws.value(schemas["metrics"]["anyOf"][0], "metrics")
    if rng.random() < 0.3:
        section["freeze"] = rng.choice([["*"], ["dense*"], [], ["x"]])
    return section


def _labels(rng: Random, network: Network) -> Json:
    (name, *others) = network.outputs()
    type = network.types.get(name)
    count = type.shape[-1] if type and type.shape and isinstance(type.shape[-1], int) and type.shape[-1] < 50 else 3
    labels = [f"class {index}" for index in range(count if rng.random() < 0.7 else rng.randint(1, 4))]
    return dict.fromkeys([name, *others], labels) if others or rng.random() < 0.2 else labels
