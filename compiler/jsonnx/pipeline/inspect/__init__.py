"""Where time is spent, what layers compute, how providers differ."""
