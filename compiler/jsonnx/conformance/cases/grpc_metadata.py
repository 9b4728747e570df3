"""gRPC: health, metadata and repository."""

from __future__ import annotations

from ..case import GRPC, Area
from ..grpc_client import GrpcClient
from ..target import UNKNOWN, Target, success
from ..verdicts import require

area = Area("grpc", GRPC)


def client(t: Target) -> GrpcClient:
    assert t.grpc is not None, "the runner leaves out cases of gRPC without a client"
    return t.grpc


@area.must("server-live", "ServerLive: true if the inference server is live.")
def server_live(t: Target) -> None:
    found = client(t).call("ServerLive")
    require(found["live"], "live: true", found)


@area.must("server-ready", "ServerReady: true if the inference server is ready.")
def server_ready(t: Target) -> None:
    found = client(t).call("ServerReady")
    require(found["ready"], "ready: true", found)


@area.must("model-ready", "ModelReady: true if the model is ready.")
def model_ready(t: Target) -> None:
    found = client(t).call("ModelReady", name=t.signature.name)
    require(found["ready"], "ready: true", found)


@area.must("version-ready", "ModelReady of a version.")
def version_ready(t: Target) -> None:
    found = client(t).call("ModelReady", name=t.signature.name, version=t.version)
    require(found["ready"], "ready: true", found)


@area.must("unknown-model-ready", "ModelReady of an unknown model: an error, or false.")
def unknown_model_ready(t: Target) -> None:
    answer = client(t).try_call("ModelReady", {"name": UNKNOWN})
    require(not isinstance(answer, dict) or not answer["ready"], "an error or ready: false", answer)


@area.must("server-metadata", "ServerMetadata: name, version and extensions, as by REST.")
def server_metadata(t: Target) -> None:
    found, rest = client(t).call("ServerMetadata"), success(t.http.get("v2"))
    require(found["name"] == rest["name"] and found["version"] == rest["version"], rest, found)
    require(set(found["extensions"]) == set(rest["extensions"]), rest["extensions"], found["extensions"])


@area.must("model-metadata", "ModelMetadata: name, versions, platform, inputs and outputs, as by REST.")
def model_metadata(t: Target) -> None:
    found, rest = client(t).call("ModelMetadata", name=t.signature.name), success(t.http.get(t.path()))
    for key in ("name", "versions", "platform"):
        require(found[key] == rest.get(key, found[key]), f"{key} {rest.get(key)!r}", found[key])
    for key in ("inputs", "outputs"):
        tensors = [{part: tensor[part] for part in ("name", "datatype", "shape")} for tensor in found[key]]
        require(tensors == rest[key], f"{key} {rest[key]}", tensors)


@area.must("version-metadata", "ModelMetadata of a version.")
def version_metadata(t: Target) -> None:
    found = client(t).call("ModelMetadata", name=t.signature.name, version=t.version)["name"]
    require(found == t.signature.name, t.signature.name, found)


@area.must("unknown-model", "ModelMetadata of an unknown model or version: a code other than OK.")
def unknown_model(t: Target) -> None:
    client(t).failure("ModelMetadata", {"name": UNKNOWN})
    client(t).failure("ModelMetadata", {"name": t.signature.name, "version": UNKNOWN})


@area.should("unknown-model-code", "An unknown model or version is answered by NOT_FOUND.")
def unknown_model_code(t: Target) -> None:
    for call, key in (("ModelMetadata", "name"), ("ModelReady", "name"), ("ModelInfer", "model_name")):
        client(t).failure(call, {key: UNKNOWN}, "NOT_FOUND")
    client(t).failure("ModelMetadata", {"name": t.signature.name, "version": UNKNOWN}, "NOT_FOUND")


@area.must("no-name", "ModelMetadata without a name: a code other than OK.")
def no_name(t: Target) -> None:
    client(t).failure("ModelMetadata", {})


@area.must("unknown-call", "A call that the service lacks is answered by UNIMPLEMENTED.")
def unknown_call(t: Target) -> None:
    client(t).failure("NoSuchCall", b"", "UNIMPLEMENTED")


@area.must("not-a-message", "Bytes that are no message: a code other than OK, and the server goes on.")
def not_a_message(t: Target) -> None:
    for data in (b"\xff" * 20, b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x05ab", b"\x0a\x02\xff\xfe"):
        client(t).failure("ModelInfer", data)
        client(t).failure("ModelMetadata", data)
    server_live(t)


repository = Area("grpc-repository", "model_repository")


@repository.extends("index", "RepositoryIndex returns the model, as the index by REST.")
def index(t: Target) -> None:
    names = [entry["name"] for entry in client(t).call("RepositoryIndex")["models"]]
    require(t.signature.name in names, t.signature.name, names)


@repository.extends("ready-index", "RepositoryIndex with ready returns only models ready for inferencing.")
def ready_index(t: Target) -> None:
    found = client(t).call("RepositoryIndex", ready=True)["models"]
    require(found and all(entry["state"] == "READY" for entry in found), "READY only", found)


@repository.extends("load-unknown", "RepositoryModelLoad and Unload of an unknown model: a code other than OK.")
def load_unknown(t: Target) -> None:
    for call in ("RepositoryModelLoad", "RepositoryModelUnload"):
        client(t).failure(call, {"model_name": UNKNOWN})


@repository.extends("reload", "RepositoryModelLoad reloads a model that is loaded.")
def reload(t: Target) -> None:
    from .repository import needs_permission

    needs_permission(t)
    client(t).call("RepositoryModelLoad", model_name=t.signature.name)
    require(client(t).call("ModelReady", name=t.signature.name)["ready"], "a model that is ready", "false")
