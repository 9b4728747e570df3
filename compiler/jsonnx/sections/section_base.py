"""The base of the parts of a spec's `training` section."""

from __future__ import annotations

from typing import ClassVar

from ..core.components import Component


class Section(Component):
    """A part of the spec with fixed keys: a component without a `type`."""

    has_type_key: ClassVar[bool] = False
