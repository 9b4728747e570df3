"""Spec -> checked spec."""
