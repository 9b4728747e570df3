"""Runs all random and destructive checks for a given time, and summarises what was tried."""
