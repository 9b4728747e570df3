"""Diagnostics as text, JSON, SARIF and Code Quality."""
