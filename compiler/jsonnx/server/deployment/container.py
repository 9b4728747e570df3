"""A folder from which Docker builds an image that serves a model, with a Prometheus beside it."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path

from ...backend import package_version
from ...core.files.new_folder import copy_file, new_folder, refuse_existing, write_files
from ...core.files.run_layout import RunPaths
from .exported_model import ExportedModel
from .triton_repository import VERSION, copy_model
from .wheel import package_wheel

DOCKERFILE = "Dockerfile"
MODELS_FOLDER = "models"
TOKEN_FILE = "token.txt"
TOKEN_BYTES = 32
USER_ID = 65532
"""The user of the server, who owns no file of the image."""
PORT, PROMETHEUS_PORT = 8000, 9090


def write_container_folder(model: ExportedModel, folder: Path, replaces: bool = False) -> Path:
    """Writes a folder for `docker compose up`, which appears whole. Returns its path.

    Raises UsageError `file-exists`, `unwritable-file`, `missing-package`.
    """
    refuse_existing(folder, replaces, DOCKERFILE)
    wheel, content = package_wheel("serve")
    with new_folder(folder) as new:
        write_files(
            new,
            {
                DOCKERFILE: dockerfile(model, wheel),
                wheel: content,
                "compose.yaml": compose_yaml(),
                "prometheus.yml": prometheus_yaml(),
                TOKEN_FILE: secrets.token_urlsafe(TOKEN_BYTES) + "\n",
                ".dockerignore": f"*\n!{MODELS_FOLDER}\n!*.whl\n",
                ".gitignore": f"{TOKEN_FILE}\n",
            },
        )
        version = new / MODELS_FOLDER / model.name / VERSION
        _copy_served(model, version)
        for tokenizer in model.tokenizers:
            (version / tokenizer).parent.mkdir(parents=True, exist_ok=True)
            copy_file(model.file.parent / tokenizer, version / tokenizer)
        _allow_reading(new)
    return folder


def _allow_reading(folder: Path) -> None:
    """Lets the users of the containers read the files, whatever the umask is, and no other user of this machine."""
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    folder.chmod(0o700)


def _copy_served(model: ExportedModel, folder: Path) -> None:
    """Copies what the server reads: the model and, of a RUN folder, what describes it, without what training reads."""
    run = RunPaths(model.source)
    if model.file != run.model or not run.run_info.exists():
        copy_model(model, folder)
        return
    of_training = {run.weights, run.metrics, run.steps, run.csv_log, run.report, run.source_spec, run.expanded_spec}
    for file in (*run.results, *model.weight_files):
        if file not in of_training and file.exists():
            copy_file(file, folder / file.name)


def dockerfile(model: ExportedModel, wheel: str) -> str:
    """The Dockerfile: the wheel beside it, the model, and a server that runs as a user without rights."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = ["jsonnx", "serve", f"/{MODELS_FOLDER}/{model.name}", "--host", "0.0.0.0", "--port", str(PORT)]
    command += ["--token-file", "/run/secrets/token"]
    extras = "cpu,serve,text" if model.tokenizers else "cpu,serve"
    check = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{PORT}/v2/health/ready')"
    return f"""\
# Written by jsonnx {package_version()}. With a token in {TOKEN_FILE}: docker compose up --build
FROM python:{python}-slim
COPY {wheel} /tmp/
RUN pip install --no-cache-dir "/tmp/{wheel}[{extras}]" && rm /tmp/{wheel}
COPY {MODELS_FOLDER} /{MODELS_FOLDER}
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER {USER_ID}:{USER_ID}
EXPOSE {PORT}
HEALTHCHECK --start-period=60s CMD ["python", "-c", {json.dumps(check)}]
CMD {json.dumps(command)}
"""


def compose_yaml() -> str:
    """The description for Docker Compose: the server without rights on a read-only file system, and Prometheus."""
    return f"""\
# Written by jsonnx {package_version()}. Both ports are those of this machine alone.
services:
  model:
    build: .
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    ports: ["127.0.0.1:{PORT}:{PORT}"]
    secrets: [token]
    stop_grace_period: 60s
    restart: unless-stopped
  prometheus:
    image: prom/prometheus:v3.5.0
    volumes: ["./prometheus.yml:/etc/prometheus/prometheus.yml:ro"]
    ports: ["127.0.0.1:{PROMETHEUS_PORT}:{PROMETHEUS_PORT}"]
    secrets: [token]
    depends_on: [model]
    restart: unless-stopped
secrets:
  token:
    file: ./{TOKEN_FILE}
"""


def prometheus_yaml() -> str:
    """The configuration of Prometheus, which asks the server for its metrics."""
    return f"""\
# Written by jsonnx {package_version()}.
global:
  scrape_interval: 15s
scrape_configs:
  - job_name: jsonnx
    authorization:
      credentials_file: /run/secrets/token
    static_configs:
      - targets: ["model:{PORT}"]
"""
