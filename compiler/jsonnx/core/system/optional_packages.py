"""Packages that only some formats of data, plots or trackers need; extras of this package install them."""

from __future__ import annotations

import importlib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..diagnostics import UsageError
from .installation import install_command

_DISTRIBUTIONS = {"PIL": "pillow", "grpc": "grpcio", "mlflow": "mlflow-skinny"}
"""The distributions of modules with another name."""

_used: set[str] = set()
"""The distributions that this process has used."""


def require_package(module: str, extra: str, purpose: str) -> Any:
    """A module of an optional package. Raises UsageError `missing-package`, whose help installs the extra."""
    package = module.partition(".")[0]
    distribution = _DISTRIBUTIONS.get(package, package)
    try:
        imported = importlib.import_module(module)
    except ImportError as error:
        reason = "is not installed" if isinstance(error, ModuleNotFoundError) else f"cannot be imported: {error}"
        message = f"{purpose} needs the package {distribution}, which {reason}"
        raise UsageError("missing-package", message, install_command(extra)) from error
    _used.add(distribution)
    return imported


def used_package_versions() -> dict[str, str]:
    """The versions of the optional packages that this process has used, by their names."""
    versions = {}
    for name in sorted(_used):
        with suppress(PackageNotFoundError):  # a module on the path that is no installed package
            versions[name] = version(name)
    return versions
