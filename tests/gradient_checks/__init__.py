"""Gradients against finite differences in float64, over everything that has one, on as many draws as one likes."""
