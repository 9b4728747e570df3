"""Recurrent layers, cells, and the wrappers Bidirectional and TimeDistributed."""

from . import bidirectional, cell, conv_lstm, recurrent, rnn, rnn_cells, time_distributed

__all__ = ["bidirectional", "cell", "conv_lstm", "recurrent", "rnn", "rnn_cells", "time_distributed"]
