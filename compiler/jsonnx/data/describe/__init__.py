"""Statistics, descriptions and leaks of data."""
