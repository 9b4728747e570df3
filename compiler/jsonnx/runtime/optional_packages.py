"""Packages that only some formats of data need; extras of this package install them."""

from __future__ import annotations

import importlib
from typing import Any

from ..core.diagnostics import UsageError
from ..core.installation import install_command


def require_package(module: str, extra: str, purpose: str) -> Any:
    """A module of an optional package. Raises UsageError `missing-package`, whose help installs the extra."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        reason = "is not installed" if isinstance(error, ModuleNotFoundError) else f"cannot be imported: {error}"
        message = f"{purpose} needs the package {_DISTRIBUTIONS.get(package, package)}, which {reason}"
        raise UsageError("missing-package", message, install_command(extra)) from error


_DISTRIBUTIONS = {"PIL": "pillow"}
"""The distributions of modules with another name."""
