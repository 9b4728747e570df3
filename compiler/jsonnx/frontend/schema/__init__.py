"""The JSON Schema of a spec: generated from the components, validated against, and turned into diagnostics.

The only room that imports jsonschema.
"""
