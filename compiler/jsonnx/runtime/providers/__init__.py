"""Execution providers: choice, options, errors, workarounds, nodes."""
