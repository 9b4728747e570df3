"""The room `files` under its former name."""

from ..files import (
    UnsafePath,
    open_beneath,
    open_file,
    reason,
    shown,
    spare,
    sweep,
    write_atomically,
)

__all__ = ["UnsafePath", "open_beneath", "open_file", "reason", "shown", "spare", "sweep", "write_atomically"]
