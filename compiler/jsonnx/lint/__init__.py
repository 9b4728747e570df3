"""Rules beyond correctness: what a valid spec says, but hardly means.

In: a checked spec, and what is known of its data. Out: findings, as diagnostics. Imports neither NumPy nor onnx.
"""
