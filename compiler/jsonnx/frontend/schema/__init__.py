"""The JSON Schema of a spec: generation from the components, validation, and violations as diagnostics.

The only package that imports jsonschema.
"""
