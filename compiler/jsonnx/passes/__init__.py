"""One file a pass; a pass takes a value and returns a new one.

`shapes` gives every edge its type, `lower` makes operators of layers, `layout` moves transposes out of the way, `fold`
computes what depends on weights alone, `tidy` drops what is computed twice or for nobody. Imports `frontend`'s values,
`layers`, `graph` and `types`.
"""
