"""Preprocessing layers, including layers whose state is set from the data by `adapt`."""
