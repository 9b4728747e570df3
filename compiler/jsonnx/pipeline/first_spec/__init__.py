"""Data -> a description, and a first spec."""
