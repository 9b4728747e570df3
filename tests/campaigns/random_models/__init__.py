"""Random networks: a seed gives a valid spec, and oracles check the compiler on it."""
