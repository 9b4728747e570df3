"""The extension of model configurations, announced as `model_configuration`."""

from __future__ import annotations

from typing import Any

from ..case import Area
from ..target import UNKNOWN, Target, error, success
from ..verdicts import require

area = Area("configuration", "model_configuration")


def _configuration(t: Target, version: str | None = None) -> dict[str, Any]:
    document = success(t.http.get(t.path("/config", version)))
    require(isinstance(document, dict), "an object", document)
    return dict(document)


@area.extends("model", "GET v2/models/NAME/config answers 200 with the configuration of the model, by its name.")
def model(t: Target) -> None:
    found = _configuration(t).get("name")
    require(found == t.signature.name, t.signature.name, found)


@area.extends("version", "GET v2/models/NAME/versions/VERSION/config answers for that version.")
def version(t: Target) -> None:
    found = _configuration(t, t.version).get("name")
    require(found == t.signature.name, t.signature.name, found)


@area.extends("tensors", "The configuration lists the inputs and outputs of the metadata.")
def tensors(t: Target) -> None:
    found = _configuration(t)
    for key, declared in (("input", t.signature.inputs), ("output", t.signature.outputs)):
        names = {tensor.get("name") for tensor in found.get(key, [])}
        require(names == {tensor.name for tensor in declared}, f"{key} {[tensor.name for tensor in declared]}", found)


@area.extends("datatypes", 'A tensor has a "data_type" of ModelConfig: TYPE_ and the datatype, TYPE_STRING for BYTES.')
def datatypes(t: Target) -> None:
    found = _configuration(t)
    declared = {tensor.name: tensor.datatype for tensor in (*t.signature.inputs, *t.signature.outputs)}
    for tensor in [*found.get("input", []), *found.get("output", [])]:
        expected = "TYPE_" + declared[tensor["name"]].replace("BYTES", "STRING")
        require(tensor.get("data_type") == expected, f"{expected} for {tensor['name']}", tensor)


@area.extends("batch-size", '"max_batch_size" is a number, 0 for a model without a batch axis.')
def batch_size(t: Target) -> None:
    found = _configuration(t).get("max_batch_size", 0)
    require(type(found) is int and found >= 0, "a number of at least 0", found)


@area.extends("unknown-model", 'Configuration of an unknown model: a status of an error and {"error": $string}.')
def unknown_model(t: Target) -> None:
    error(t.http.get(t.path("/config", name=UNKNOWN)))
