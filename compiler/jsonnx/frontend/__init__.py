"""JSON text to `Network`: the only door to jsonschema.

`source` reads strictly and keeps positions, `expand` writes blocks, repetitions and expressions out, `schema` is the
JSON Schema of what they come to, made from the bricks, and `published` that of what is written; `fits` answers whether
a document is as the former allows, `check` says what is not, and `load` turns it into bricks connected by name. Faults
go into a `Report`. Imports `layers`, `training`, `types`, `diagnostics`.
"""

from .network import Call, Network

__all__ = ["Call", "Network"]
