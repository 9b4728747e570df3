"""Weights and models in other formats.

Comes in: files of strangers. Goes out: arrays by name, Keras' models as specs. Nothing that a file names is imported or
executed. Imports the bricks and the frontend, never a graph; the only door to h5py, which a process of its own calls.
"""
