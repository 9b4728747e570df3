"""The OpenAPI document of a server with its loaded models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...backend import package_version
from .form_document import MAX_EXAMPLE_VALUES, ModelForm
from .openapi_schemas import PROTOCOL_SCHEMAS, Schema, prediction_schema, record, ref, row_schema

JSON = "application/json"
ERRORS = {
    "BadRequest": "The request is not what the model takes.",
    "Unauthorized": "The token is missing or wrong.",
    "NotFound": "There is no such model or version.",
    "TooLarge": "The body or the number of rows exceeds a limit.",
    "UnsupportedMediaType": "The body is of a type that the server does not read.",
    "TooManyRequests": "The queue is full; Retry-After says when to try again.",
    "InternalError": "The server failed; its log has the cause.",
    "Unavailable": "The model is not ready, or the time for an answer has passed.",
}
_STATUS = dict(zip(ERRORS, ("400", "401", "404", "413", "415", "429", "500", "503"), strict=True))
_INFERENCE_ERRORS = ("BadRequest", "NotFound", "TooLarge", "TooManyRequests", "InternalError", "Unavailable")
_MODEL_ERRORS = ("NotFound", "Unavailable")
TIME_STEP: Schema = {"type": "object", "description": "A time step; a prediction needs as many as a window has."}
_PROTOCOL, _PREDICTION = "Open Inference Protocol", "Predictions by name"


def openapi_document(forms: Sequence[ModelForm], needs_token: bool) -> dict[str, Any]:
    """The document, as JSON values. The first form of each name is that of the version that answers by default."""
    builder = _DocumentBuilder({form.served.name: form for form in reversed(forms)}, needs_token)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "jsonnx server",
            "version": package_version(),
            "description": "Predictions of trained models, by the Open Inference Protocol v2 and by names.",
        },
        "tags": [{"name": _PREDICTION}, {"name": _PROTOCOL}],
        "paths": builder.prediction_paths() | builder.protocol_paths(),
        "components": {
            "schemas": PROTOCOL_SCHEMAS | builder.model_schemas(),
            "responses": {name: _error(text) for name, text in ERRORS.items()},
        },
    }
    if needs_token:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _error(text: str) -> dict[str, Any]:
    return {"description": text, "content": {JSON: {"schema": ref("Error")}}}


class _DocumentBuilder:
    def __init__(self, forms: Mapping[str, ModelForm], needs_token: bool) -> None:
        self._forms, self._needs_token = forms, needs_token
        self._predictable = {name: form for name, form in forms.items() if form.served.trained is not None}

    # -- predictions by name -------------------------------------------------------------------------------------------

    def prediction_paths(self) -> dict[str, Any]:
        paths = {f"/predict/{name}": {"post": self._predict(form)} for name, form in self._predictable.items()}
        if len(self._forms) == len(self._predictable) == 1:
            form = next(iter(self._predictable.values()))
            paths = {"/predict": {"post": self._predict(form, "predict")}} | paths
        return paths

    def _predict(self, form: ModelForm, id: str | None = None) -> dict[str, Any]:
        name = form.served.name
        rows = {"type": "array", "items": ref(f"Row.{name}"), "minItems": 1}
        content: dict[str, Any] = {JSON: {"schema": {"anyOf": [ref(f"Row.{name}"), rows]} if form.takes_rows else rows}}
        if form.takes_rows and form.value_count <= MAX_EXAMPLE_VALUES:
            content[JSON]["example"] = form.row
        content["application/x-ndjson"] = {"schema": {"type": "string", "description": "A row as JSON in each line."}}
        content["text/csv"] = {"schema": {"type": "string", "description": "A line of names, and a line for each row."}}
        if len(form.fields) == 1 and form.fields[0].image is not None and form.fields[0].image.layout != "flat":
            content["image/*"] = {"schema": {"type": "string", "contentMediaType": "image/png"}}
        return self._operation(
            id or f"predict_{name}",
            f"Predicts rows with {name!r}"
            + (f": {form.document['description']}" if form.document["description"] else ""),
            ref(f"Predictions.{name}"),
            (*_INFERENCE_ERRORS, "UnsupportedMediaType"),
            {"required": True, "content": content},
            tag=_PREDICTION,
        )

    def model_schemas(self) -> dict[str, Schema]:
        schemas: dict[str, Schema] = {}
        for name, form in self._predictable.items():
            prediction = ref(f"Prediction.{name}")
            schemas[f"Row.{name}"] = row_schema(form.served, form.fields) if form.takes_rows else TIME_STEP
            schemas[f"Prediction.{name}"] = prediction_schema(form.served)
            schemas[f"Predictions.{name}"] = record(
                {
                    "model": {"const": name},
                    "version": {"type": "string"},
                    "prediction": prediction,
                    "predictions": {"type": "array", "items": prediction},
                },
                ["prediction", "predictions"],
            ) | {"description": "`prediction` for one row, `predictions` for a list of rows."}
        return schemas

    # -- the protocol --------------------------------------------------------------------------------------------------

    def protocol_paths(self) -> dict[str, Any]:
        not_ready = {"400": {"description": "Not ready.", "content": {JSON: {"schema": {"type": "object"}}}}}
        paths: dict[str, Any] = {
            "/v2/health/live": {"get": self._operation("live", "Whether the server runs", ref("Live"))},
            "/v2/health/ready": {
                "get": self._operation("ready", "Whether all models are ready", ref("Ready"), more=not_ready)
            },
            "/v2": {"get": self._operation("server_metadata", "The server", ref("ServerMetadata"))},
            "/v2/models/stats": {
                "get": self._operation("models_stats", "The statistics of all models", {"type": "object"})
            },
        }
        for path, suffix in (("/v2/models/{model}", ""), ("/v2/models/{model}/versions/{version}", "_version")):
            paths |= self._model_paths(path, suffix, not_ready)
        drift = "How inputs and predictions differ from the training data"
        for path, suffix in (("/drift/{model}", ""), ("/drift/{model}/versions/{version}", "_version")):
            paths[path] = {
                "parameters": self._parameters(bool(suffix)),
                "get": self._operation(f"drift{suffix}", drift, ref("Drift"), _MODEL_ERRORS),
            }
        return paths | self._repository_paths()

    def _model_paths(self, path: str, suffix: str, not_ready: dict[str, Any]) -> dict[str, Any]:
        parameters = self._parameters("{version}" in path)
        ready = self._operation(f"model_ready{suffix}", "Whether a model is ready", ref("ModelReady"), ("NotFound",))
        ready["responses"] |= not_ready
        return {
            path: {
                "parameters": parameters,
                "get": self._operation(
                    f"model_metadata{suffix}", "The signature of a model", ref("ModelMetadata"), _MODEL_ERRORS
                ),
            },
            **{
                f"{path}/{part}": {
                    "parameters": parameters,
                    "get": self._operation(f"model_{part}{suffix}", text, {"type": "object"}, _MODEL_ERRORS),
                }
                for part, text in (("config", "The configuration of a model"), ("stats", "The statistics of a model"))
            },
            f"{path}/ready": {"parameters": parameters, "get": ready},
            f"{path}/infer": {
                "parameters": parameters,
                "post": self._operation(
                    f"infer{suffix}", "Inference", ref("InferResponse"), _INFERENCE_ERRORS, self._infer_body()
                ),
            },
        }

    def _infer_body(self) -> dict[str, Any]:
        examples = {
            name: {"summary": f"One row for {name!r}", "value": {"inputs": form.tensors}}
            for name, form in self._forms.items()
            if form.value_count <= MAX_EXAMPLE_VALUES
        }
        content = {"schema": ref("InferRequest")} | ({"examples": examples} if examples else {})
        return {"required": True, "content": {JSON: content}}

    def _parameters(self, has_version: bool) -> list[dict[str, Any]]:
        names = {"type": "string", "enum": list(self._forms)} if self._forms else {"type": "string"}
        parameters: list[dict[str, Any]] = [{"name": "model", "in": "path", "required": True, "schema": names}]
        if has_version:
            versions = sorted({form.served.version for form in self._forms.values()})
            schema = {"type": "string", "enum": versions} if versions else {"type": "string"}
            parameters.append({"name": "version", "in": "path", "required": True, "schema": schema})
        return parameters

    def _repository_paths(self) -> dict[str, Any]:
        body = {"content": {JSON: {"schema": {"type": "object", "properties": {"ready": {"type": "boolean"}}}}}}
        empty = {"content": {JSON: {"schema": {"type": "object", "maxProperties": 0}}}}
        paths: dict[str, Any] = {
            "/v2/repository/index": {
                "post": self._operation(
                    "repository_index", "All models and versions", ref("RepositoryIndex"), ("BadRequest",), body
                )
            }
        }
        for action, text in (("load", "Loads a model, or loads it again"), ("unload", "Unloads a model")):
            paths[f"/v2/repository/models/{{model}}/{action}"] = {
                "parameters": self._parameters(False),
                "post": self._operation(
                    f"repository_{action}", text, ref("Empty"), ("BadRequest", "NotFound", "InternalError"), empty
                ),
            }
        return paths

    def _operation(
        self,
        id: str,
        summary: str,
        answer: Schema,
        errors: Sequence[str] = (),
        body: dict[str, Any] | None = None,
        *,
        tag: str = _PROTOCOL,
        more: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        is_health = id in ("live", "ready")
        errors = [*errors, *(["Unauthorized"] if self._needs_token and not is_health else [])]
        responses = {"200": {"description": "The answer.", "content": {JSON: {"schema": answer}}}}
        responses |= {_STATUS[name]: {"$ref": f"#/components/responses/{name}"} for name in errors}
        operation: dict[str, Any] = {"operationId": id, "tags": [tag], "summary": summary, "responses": {}}
        operation["responses"] = dict(sorted((responses | dict(more or {})).items()))
        if is_health and self._needs_token:
            operation["security"] = []
        return operation | ({"requestBody": body} if body else {})
