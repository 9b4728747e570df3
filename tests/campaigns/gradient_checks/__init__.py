"""Checks all gradients against finite differences in float64, for any number of random draws."""
