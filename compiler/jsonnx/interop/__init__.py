"""Readers and writers of other formats: Keras models and weights, ONNX metadata, zip, HDF5, safetensors.

Files are untrusted: nothing that a file names is imported or executed, and no other file is opened. Only this room uses
h5py, for reading in a process of its own.
"""
