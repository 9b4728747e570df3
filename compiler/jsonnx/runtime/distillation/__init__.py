"""Outputs of a teacher for the samples of a training."""
