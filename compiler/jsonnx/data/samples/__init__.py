"""Validated arrays of samples, in memory or in their files."""
