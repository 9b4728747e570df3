"""Starts the language server, with its log."""

from __future__ import annotations

import logging

from ..core.diagnostics import UsageError
from ..core.files.files import error_reason

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def start(log_file: str | None = None) -> int:
    """Serves standard input until it is closed. Warnings and exceptions go to standard error, or to a file.

    Returns the exit status. Raises UsageError if the log cannot be written.
    """
    try:
        handler = logging.FileHandler(log_file, encoding="utf-8") if log_file is not None else logging.StreamHandler()
    except OSError as error:
        raise UsageError("unwritable-file", f"cannot write {log_file!r}: {error_reason(error)}") from error
    logging.basicConfig(level=logging.WARNING, handlers=[handler], format=LOG_FORMAT)
    logging.getLogger("pygls").setLevel(logging.CRITICAL)  # logs each exception again, and answers with errors
    from .server import SpecServer

    return SpecServer().run()
