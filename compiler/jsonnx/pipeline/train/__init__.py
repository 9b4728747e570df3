"""Training plans, the public `Trainer`, and training data."""
