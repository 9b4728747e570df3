"""A network for other frameworks, servers and containers."""
