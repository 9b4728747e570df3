"""The OpenAPI document: valid schemas, examples and answers that match them, and all routes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonnx.server.http.app import create_app
from jsonnx.server.options import ServerOptions
from jsonnx.server.page.form_document import ModelForm
from jsonnx.server.page.openapi import openapi_document
from jsonnx.server.protocol.http_bodies import decode_request, encode_response
from jsonnx.server.service import InferenceService
from jsonschema import Draft202012Validator
from support.asgi_service import service_of
from support.commands import jsonnx

SAMPLES = Path(__file__).parents[4] / "samples"
SERVED = ("bicycles", "crashes", "diabetes", "mnist_cnn", "vowels_lstm")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> InferenceService:
    folder = tmp_path_factory.mktemp("models")
    for name in SERVED:
        jsonnx("compile", str(SAMPLES / f"{name}.json"), "-o", str(folder / f"{name}.onnx"))
    return service_of(*(folder / f"{name}.onnx" for name in SERVED))


def document_of(service: InferenceService, needs_token: bool = False) -> dict[str, Any]:
    forms = [ModelForm.of(loaded.served) for loaded in service.repository.loaded()]
    return json.loads(orjson.dumps(openapi_document(forms, needs_token)))


@pytest.fixture(scope="module")
def document(service: InferenceService) -> dict[str, Any]:
    return document_of(service)


def validator(document: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    """Checks values by a schema of the document, in which references are resolved."""
    return Draft202012Validator(schema | {"components": document["components"]})


def references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for item in value for text in references(item)]
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [text for item in value.values() for text in references(item)]
    return []


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, verb, operation)
        for path, item in document["paths"].items()
        for verb, operation in item.items()
        if verb != "parameters"
    ]


def test_schemas_are_valid_and_references_lead_somewhere(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for reference in references(document):
        value = document
        for key in reference.removeprefix("#/").split("/"):
            value = value[key]
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))


def test_it_has_all_routes_of_the_service_and_no_others(service: InferenceService, document: dict[str, Any]) -> None:
    app = create_app(service, ServerOptions())
    routes = {(route.path, verb.lower()) for route in app.routes for verb in route.methods}
    protocol = {
        (path, verb) for path, verb in routes if path.startswith("/v2") and not path.endswith(("/form", "/v2/"))
    }
    described = {(path, verb) for path, verb, _ in operations(document)}
    assert {item for item in protocol if item[1] != "head"} == {item for item in described if item[0].startswith("/v2")}
    assert {path for path, _ in described} - {path for path, _ in protocol} == {
        *(f"/predict/{name}" for name in SERVED),
        *("/drift/{model}", "/drift/{model}/versions/{version}"),
    }


@pytest.mark.parametrize("name", ["crashes", "diabetes", "mnist_cnn", "vowels_lstm"])
def test_example_rows_and_their_answers_match_the_schemas(
    service: InferenceService, document: dict[str, Any], name: str
) -> None:
    operation = document["paths"][f"/predict/{name}"]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    row, rows = validator(document, content["schema"]), [content["example"]] * 2
    row.validate(content["example"])
    row.validate(rows)
    answer = validator(document, operation["responses"]["200"]["content"]["application/json"]["schema"])
    for body in (content["example"], rows):
        result = asyncio.run(service.predict_rows(name, None, orjson.dumps(body), "application/json"))
        answer.validate(json.loads(orjson.dumps(result)))


@pytest.mark.parametrize(
    "row",
    [
        {"speed_change": 1},
        {"age": "old"},
        {"age": None},
    ],
)
def test_a_wrong_row_does_not_match(document: dict[str, Any], row: dict[str, Any]) -> None:
    content = document["paths"]["/predict/crashes"]["post"]["requestBody"]["content"]["application/json"]
    assert not validator(document, content["schema"]).is_valid(content["example"] | row)


def test_example_tensors_and_their_answers_match_the_schemas(
    service: InferenceService, document: dict[str, Any]
) -> None:
    operation = document["paths"]["/v2/models/{model}/infer"]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    answer = validator(document, operation["responses"]["200"]["content"]["application/json"]["schema"])
    assert content["examples"].keys() == set(SERVED)
    for name, example in content["examples"].items():
        validator(document, content["schema"]).validate(example["value"])
        request = decode_request(orjson.dumps(example["value"]), None, name, None)
        body, _ = encode_response(request, asyncio.run(service.infer(request)))
        answer.validate(json.loads(body))


def test_metadata_and_index_match_the_schemas(service: InferenceService, document: dict[str, Any]) -> None:
    answers = {
        "ServerMetadata": service.server_metadata(),
        "ModelMetadata": service.model_metadata("crashes"),
        "RepositoryIndex": service.repository.index(),
    }
    for name, answer in answers.items():
        validator(document, document["components"]["schemas"][name]).validate(json.loads(orjson.dumps(answer)))


def test_a_token_is_described(service: InferenceService) -> None:
    document = document_of(service, needs_token=True)
    assert document["security"] == [{"token": []}]
    for path, _, operation in operations(document):
        is_health = path.startswith("/v2/health")
        assert ("401" in operation["responses"]) != is_health
        assert operation.get("security") == ([] if is_health else None)


def test_a_single_model_is_predicted_without_its_name(service: InferenceService) -> None:
    form = ModelForm.of(service.repository.model("diabetes").served)
    assert {"/predict", "/predict/diabetes"} <= openapi_document([form], False)["paths"].keys()
