"""Kills of workers, of nodes and of the command during trainings on a Ray cluster."""
