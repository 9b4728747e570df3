"""Comparison of the results of two providers."""
