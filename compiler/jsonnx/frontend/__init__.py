"""JSON text -> `Network`.

`json_reader` reads the text strictly and finds the positions of values, `overrides` applies `--set` and `--scale`,
`expansion` expands blocks, repetitions and expressions, `schema` validates the result, and `build_network` makes layers
of it and connects them by name. Errors go into a `Report`.
"""

from .network import Call, Network

__all__ = ["Call", "Network"]
