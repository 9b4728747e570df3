"""Commands that serve, and commands about servers."""
