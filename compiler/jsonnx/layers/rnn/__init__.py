"""Recurrent layers, cells, and the wrappers Bidirectional and TimeDistributed."""
