"""Simple models fitted on the training data of a run, to compare its network with."""
