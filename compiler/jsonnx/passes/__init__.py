"""One file a pass; a pass takes a value and returns a new one.

`shapes` gives every edge its type, `lower` makes operators of layers, `layout` moves transposes out of the way, `bind`
puts weights in and computes what depends on them alone, `tidy` drops what is computed twice or for nobody, `inference`
makes fewer operators of a graph whose weights are constant. Imports `frontend`'s values, `layers`, `graph` and `types`.
"""
