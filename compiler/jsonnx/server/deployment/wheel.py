"""A wheel of the jsonnx that runs, made from its own files, so that a container gets the same version."""

from __future__ import annotations

import base64
import io
import os
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from ...core.diagnostics import UsageError

PACKAGE = "jsonnx"
PACKAGE_FOLDER = Path(__file__).parents[2]
_TIME = (1980, 1, 1, 0, 0, 0)
"""The time of all files, so that the same files give the same wheel."""


def package_wheel(extra: str) -> tuple[str, bytes]:
    """The file name and the content of the wheel. Raises UsageError if it would lack an extra."""
    package = _installed_package(extra)
    name = f"{PACKAGE}-{package.version}"
    contents = {f"{PACKAGE}/{path}": content for path, content in _package_files()}
    contents |= {f"{name}.dist-info/{file}": content for file, content in _metadata_files(package)}
    record = f"{name}.dist-info/RECORD"
    lines = [f"{path},sha256={_digest(content)},{len(content)}\n" for path, content in contents.items()]
    contents[record] = "".join([*lines, f"{record},,\n"]).encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path, content in contents.items():
            item = zipfile.ZipInfo(path, _TIME)
            item.external_attr, item.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(item, content)
    return f"{name}-py3-none-any.whl", file.getvalue()


def _installed_package(extra: str) -> Distribution:
    """What pip knows of this package. Raises UsageError if it is not installed, or by an old description."""
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError:
        package = None
    if package is None or extra not in (package.metadata.get_all("Provides-Extra") or ()):
        message = f"the wheel for the container needs an installed jsonnx that has the extra {extra!r}"
        raise UsageError("missing-package", message, "install it: in a checkout, pip install -e .")
    return package


def _package_files() -> Iterator[tuple[str, bytes]]:
    """The files of the package, from an installation or a checkout alike."""
    for folder, folders, files in os.walk(PACKAGE_FOLDER):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for path in (Path(folder) / name for name in sorted(files)):
            yield path.relative_to(PACKAGE_FOLDER).as_posix(), path.read_bytes()


def _metadata_files(package: Distribution) -> Iterator[tuple[str, bytes]]:
    licenses = [f"licenses/{name}" for name in package.metadata.get_all("License-File") or ()]
    for file in ("METADATA", "entry_points.txt", *licenses):
        text = package.read_text(file)
        if text is not None:
            yield file, text.encode()
    yield "WHEEL", b"Wheel-Version: 1.0\nGenerator: jsonnx\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(sha256(content).digest()).decode().rstrip("=")
