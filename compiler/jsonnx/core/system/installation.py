"""How this copy of jsonnx was installed, and so by which command a runtime or a further package for it is."""

from __future__ import annotations

import json
import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from ..providers.known_providers import runtime_packages

PACKAGE_BY_EXTRA = {
    "tables": "duckdb fsspec",
    "data": "pyarrow",
    "images": "pillow",
    "text": "tokenizers",
    "quantize": "ml_dtypes",
    "search": "optuna cmaes scipy",
    "plots": "matplotlib",
    "baseline": "scikit-learn",
    "tensorboard": "tensorboardX",
    "mlflow": "mlflow-skinny sqlalchemy alembic",
    "wandb": "wandb",
    "ray": "ray[data,serve,train,tune] orjson",
    "serve": "starlette uvicorn httptools orjson uvloop prometheus-client",
    "grpc": "grpcio",
    "lsp": "pygls",
    "mcp": "mcp",
}
"""The distributions that each of our extras installs, besides the extras of execution providers."""


def install_command(extra: str) -> str:
    """The command that installs the package of an extra beside this copy of jsonnx.

    It names the place that this copy was installed from: a folder, an archive or a repository. If that is unknown or
    has gone, it installs the package alone: no package index has jsonnx, and anyone could take its name there.
    """
    return f"pip install {_requirement(extra) or _package_requirement(extra)}"


def _package_requirement(extra: str) -> str:
    if extra in PACKAGE_BY_EXTRA:
        return PACKAGE_BY_EXTRA[extra]
    runtime = runtime_packages()[extra]
    return f'"{runtime.name}[{runtime.library_extras}]"' if runtime.library_extras else runtime.name


def _requirement(extra: str) -> str | None:
    """The argument of `pip install` for this copy with an extra."""
    try:
        installed = distribution("jsonnx")
        origin: Any = json.loads(installed.read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, OSError, ValueError):
        return None
    if not isinstance(origin, dict) or not origin or not _is_this_copy(installed, origin):
        return None
    url = str(origin.get("url", ""))
    if isinstance(vcs := origin.get("vcs_info"), dict):
        revision = vcs.get("requested_revision") or vcs.get("commit_id")
        return f'"jsonnx[{extra}] @ {vcs.get("vcs")}+{url}{f"@{revision}" if revision else ""}"'
    folder = _local_path(url)
    if folder is not None and not folder.exists():
        return None
    if folder is not None and _is_editable(origin):
        return f'--editable "{folder}[{extra}]"'
    return f'"jsonnx[{extra}] @ {url}"'


def _is_this_copy(installed: Distribution, origin: dict[str, Any]) -> bool:
    """Whether the distribution has installed the package that is running, not another copy of it."""
    package = Path(__file__).resolve().parents[2]
    if _is_editable(origin):
        folder = _local_path(str(origin.get("url", "")))
        return folder is not None and package.is_relative_to(folder.resolve())
    return Path(str(installed.locate_file("jsonnx"))).resolve() == package


def _is_editable(origin: dict[str, Any]) -> bool:
    info = origin.get("dir_info")
    return isinstance(info, dict) and bool(info.get("editable"))


def _local_path(url: str) -> Path | None:
    """The path of a `file:` URL; None for another URL."""
    if not url.startswith("file://"):
        return None
    path = re.sub(rb"%([0-9A-Fa-f]{2})", lambda code: bytes([int(code[1], 16)]), url.removeprefix("file://").encode())
    return Path(re.sub(r"^/(?=[A-Za-z]:)", "", path.decode(errors="surrogateescape")))
