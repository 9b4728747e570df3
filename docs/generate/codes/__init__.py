"""The pages of errors, warnings and lint rules."""
