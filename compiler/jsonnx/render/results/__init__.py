"""Data, runs, sweeps, profiles and traces as text and JSON."""
