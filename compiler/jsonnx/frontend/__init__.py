"""JSON text to `Network`: the only door to jsonschema.

`source` reads strictly and keeps positions, `schema` is the published JSON Schema, made from the bricks, `check`
holds a
document against it, `load` turns what is left into bricks connected by name. Faults go into a `Report`. Imports
`layers`, `training`, `types`, `diagnostics`.
"""

from .network import Call, Network

__all__ = ["Call", "Network"]
