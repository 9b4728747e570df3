"""Recurrent layers over time: SimpleRNN, LSTM, GRU, Bidirectional."""

from __future__ import annotations
