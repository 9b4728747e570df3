"""The description of a KServe service that runs the folder of `jsonnx export --triton`."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ...backend import package_version
from ...core.files.files import write_atomically
from ...core.files.new_folder import refuse_existing

URI_PLACEHOLDER = "REPLACE-WITH-THE-URI-OF-THE-FOLDER"
MAX_SERVICE_NAME_LENGTH = 63


def write_inference_service(model_name: str, storage_uri: str | None, path: Path, replaces: bool = False) -> None:
    """Writes the description of a service. Raises UsageError `file-exists`, `unwritable-file`."""
    refuse_existing(path, replaces)
    write_atomically(path, inference_service_yaml(model_name, storage_uri).encode())


def inference_service_yaml(model_name: str, storage_uri: str | None) -> str:
    """The InferenceService of a model as YAML. `storage_uri` is where the cluster finds Triton's model repository."""
    uri = json.dumps(storage_uri or URI_PLACEHOLDER)
    return f"""\
# Written by jsonnx {package_version()}. Clients send v2/models/{model_name}/infer to the service.
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {service_name(model_name)}
spec:
  predictor:
    model:
      modelFormat:
        name: onnx
      protocolVersion: v2
      runtime: kserve-tritonserver
      # The folder that contains {model_name}/config.pbtxt, as `jsonnx export --triton` writes it: s3://..., pvc://...
      storageUri: {uri}
"""


def service_name(model_name: str) -> str:
    """The name of a model as Kubernetes names services: small letters, digits and hyphens."""
    name = re.sub(r"[^a-z0-9-]+", "-", model_name.lower()).strip("-")
    name = name if name[:1].isalpha() else f"model-{name}"
    return name[:MAX_SERVICE_NAME_LENGTH].rstrip("-")
