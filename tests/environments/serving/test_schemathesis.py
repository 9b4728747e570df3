"""Requests that schemathesis draws from the server's OpenAPI document, and from that of the protocol."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.served_process import ServedProcess

MAX_EXAMPLES = 10
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)
"""All that hold for any model: which data a model takes, the document cannot say."""
ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype", "data"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer"}},
        "datatype": {"type": "string"},
        "parameters": {"type": "object"},
        "data": {"type": "array"},
    },
}
INFERENCE = {
    "type": "object",
    "required": ["model_name", "outputs"],
    "properties": {"model_name": {"type": "string"}, "outputs": {"type": "array", "items": TENSOR}},
}


def run(document: str, server: ServedProcess, folder: Path) -> None:
    """Runs schemathesis, which writes to the folder, and ends with 1 if an answer is not as the document says."""
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", document, "--url", server.url]
    limits = ["--max-examples", str(MAX_EXAMPLES), "--seed", "1", "--phases", "examples,coverage,fuzzing"]
    left_out = ["--exclude-path-regex", "unload|metrics|events", "--suppress-health-check", "all", "--no-color"]
    arguments = [*command, "--checks", ",".join(CHECKS), *limits, *left_out]
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=600, cwd=folder)
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr[-2000:]


def test_our_document(server: ServedProcess, tmp_path: Path) -> None:
    run(f"{server.url}/openapi.json", server, tmp_path)


@pytest.mark.parametrize("model", ["penguins", pytest.param("reviews", marks=pytest.mark.slow)])
def test_the_protocol(model: str, server: ServedProcess, tmp_path: Path) -> None:
    """The protocol's own document in short (open_inference_rest.yaml), for one model."""
    bad = {"description": "an error", "content": {"application/json": {"schema": ERROR}}}

    def answered(schema: object) -> dict[str, object]:
        good = {"description": "the answer", "content": {"application/json": {"schema": schema}}}
        return {"200": good, **dict.fromkeys(("400", "404", "405", "413", "415"), bad)}

    item = {**TENSOR, "properties": {**TENSOR["properties"], "name": {"enum": ["island", "sex", "measurements", "x"]}}}
    body = {"type": "object", "required": ["inputs"], "properties": {"inputs": {"type": "array", "items": item}}}
    infer = {
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": answered(INFERENCE),
    }
    metadata = {"type": "object", "required": ["name", "platform", "inputs", "outputs"]}
    paths = {
        "/v2/health/live": {"get": {"responses": answered({"type": "object"})}},
        "/v2/health/ready": {"get": {"responses": answered({"type": "object"})}},
        "/v2/": {"get": {"responses": answered({"type": "object", "required": ["name", "version", "extensions"]})}},
        f"/v2/models/{model}": {"get": {"responses": answered(metadata)}},
        f"/v2/models/{model}/infer": {"post": infer},
    }
    document = {"openapi": "3.0.0", "info": {"title": "Data Plane", "version": "2.0"}, "paths": paths}
    file = tmp_path / "open_inference_rest.json"
    file.write_text(json.dumps(document))
    run(str(file), server, tmp_path)
