"""Recurrent layers, their cells and wrappers over time."""

from . import bidirectional, cell, conv_lstm, recurrent, rnn, rnn_cells, time_distributed

__all__ = ["bidirectional", "cell", "conv_lstm", "recurrent", "rnn", "rnn_cells", "time_distributed"]
