"""Metadata of the server and of a model."""

from __future__ import annotations

import re
from typing import Any

from ..case import Area
from ..target import UNKNOWN, Target, error, success
from ..tensors import DATATYPES, EXTRA_DATATYPES
from ..verdicts import NotApplicable, require

area = Area("metadata")


def _model(t: Target, version: str | None = None) -> Any:
    return success(t.http.get(t.path(version=version)))


@area.must("server", "GET v2 answers 200 with an object that has name, version and extensions.")
def server(t: Target) -> None:
    document = success(t.http.get("v2"))
    require(isinstance(document, dict), "an object", document)
    for key in ("name", "version"):
        require(isinstance(document.get(key), str), f"the string {key!r}", document)
    require(isinstance(document.get("extensions"), list), "the list 'extensions'", document)


@area.must("extensions", '"extensions": [$string, ...]')
def extensions(t: Target) -> None:
    found = success(t.http.get("v2")).get("extensions")
    require(isinstance(found, list) and all(isinstance(item, str) for item in found), "a list of strings", found)


@area.should("server-slash", "The OpenAPI document of the protocol has the path /v2/, its text v2: both answer.")
def server_slash(t: Target) -> None:
    require(success(t.http.get("v2/")) == success(t.http.get("v2")), "the same document as v2", "another one")


@area.should("content-type", "A body that is JSON has the Content-Type application/json.")
def content_type(t: Target) -> None:
    for path in ("v2", t.path()):
        kind = t.http.get(path).headers.get("content-type", "")
        require(kind.startswith("application/json"), "application/json", kind)


@area.must("model", "GET v2/models/NAME answers 200 with the model's name, platform, inputs and outputs.")
def model(t: Target) -> None:
    document = _model(t)
    require(isinstance(document, dict) and document.get("name") == t.signature.name, "the model's name", document)
    require(isinstance(document.get("platform"), str), "the string 'platform'", document)
    for key in ("inputs", "outputs"):
        require(isinstance(document.get(key), list), f"the list {key!r}", document)


@area.must("tensors", "Each tensor of a model's metadata has a name, a datatype and a shape.")
def tensors(t: Target) -> None:
    document = _model(t)
    for tensor in [*document["inputs"], *document["outputs"]]:
        for key, kind in (("name", str), ("datatype", str), ("shape", list)):
            require(isinstance(tensor.get(key), kind), f"a tensor with {key!r}", tensor)


@area.must("datatypes", "Datatypes are those of the table Tensor Data Types.")
def datatypes(t: Target) -> None:
    for tensor in (*t.signature.inputs, *t.signature.outputs):
        is_known = tensor.datatype in DATATYPES or tensor.datatype in EXTRA_DATATYPES
        require(is_known, f"one of {', '.join(DATATYPES)}", f"{tensor.datatype} of {tensor.name}")


@area.must("shapes", "Variable sizes of a shape are specified as -1.")
def shapes(t: Target) -> None:
    for tensor in (*t.signature.inputs, *t.signature.outputs):
        fits = all(type(dim) is int and dim >= -1 for dim in tensor.shape)
        require(fits, "integers of at least -1", f"{tensor.shape} of {tensor.name}")


@area.should("has-tensors", "The metadata list the inputs that the model requires and the outputs that it produces.")
def has_tensors(t: Target) -> None:
    require(t.signature.inputs and t.signature.outputs, "inputs and outputs", "an empty list")


@area.must("distinct-names", "Tensors are told apart by their names.")
def distinct_names(t: Target) -> None:
    for group in (t.signature.inputs, t.signature.outputs):
        names = [tensor.name for tensor in group]
        require(len({*names}) == len(names), "distinct names", names)


@area.should("platform", "Platform names use the format PROJECT_FORMAT.")
def platform(t: Target) -> None:
    name = _model(t).get("platform")
    require(re.fullmatch(r"[a-z0-9]+_[a-z0-9_]+", str(name)), "such as onnx_onnxv1 or onnxruntime_onnx", name)


@area.must("versions", '"versions": [$string, ...] #optional')
def versions(t: Target) -> None:
    found = _model(t).get("versions", [])
    require(isinstance(found, list) and all(isinstance(item, str) for item in found), "a list of strings", found)


@area.must("every-version", 'Each of "versions" may be explicitly requested.')
def every_version(t: Target) -> None:
    if not t.signature.versions:
        raise NotApplicable("the model has no versions")
    for version in t.signature.versions:
        name = _model(t, version).get("name")
        require(name == t.signature.name, f"version {version} of {t.signature.name}", name)


@area.must("unknown-model", 'Metadata of an unknown model: a status of an error and {"error": $string}.')
def unknown_model(t: Target) -> None:
    error(t.http.get(t.path(name=UNKNOWN)))


@area.should("unknown-model-status", "An unknown model is answered by 404.")
def unknown_model_status(t: Target) -> None:
    error(t.http.get(t.path(name=UNKNOWN)), 404)


@area.must("unknown-version", 'Metadata of an unknown version: a status of an error and {"error": $string}.')
def unknown_version(t: Target) -> None:
    error(t.http.get(t.path(version=UNKNOWN)))


@area.should("unknown-version-status", "An unknown version is answered by 404.")
def unknown_version_status(t: Target) -> None:
    error(t.http.get(t.path(version=UNKNOWN)), 404)


@area.should("unknown-path", 'An unknown path is answered by 404 and {"error": $string}.')
def unknown_path(t: Target) -> None:
    error(t.http.get(f"v2/{UNKNOWN}"), 404)


@area.should("unicode-model", "An unknown model with a name beyond ASCII is answered by 404.")
def unicode_model(t: Target) -> None:
    error(t.http.get(t.path(name="模型 é/..")), 404)


@area.should("encoded-name", "RFC 3986, 6.2.2.2: a percent-encoded letter equals the letter.")
def encoded_name(t: Target) -> None:
    name = t.signature.name
    answer = t.http.get(f"v2/models/%{ord(name[0]):02X}{name[1:]}" if name.isascii() else t.path())
    require(success(answer).get("name") == name, f"metadata of {name}", str(answer))


@area.should("query", "A query that the protocol does not define is ignored.")
def query(t: Target) -> None:
    require(success(t.http.get(t.path() + "?verbose=1")) == _model(t), "the same metadata", "others")


@area.should("method", "RFC 9110, 15.5.6: a method that a resource lacks is answered by 405.")
def method(t: Target) -> None:
    for name in ("POST", "PUT", "DELETE"):
        answer = t.http.request(name, t.path(), b"{}", {"Content-Type": "application/json"})
        require(answer.status == 405, f"status 405 for {name}", str(answer))
