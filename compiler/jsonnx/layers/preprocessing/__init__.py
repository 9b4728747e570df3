"""Preprocessing layers, including those whose state is set from the data by `adapt`."""
