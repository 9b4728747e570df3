"""Settings of the test processes and their children."""

from __future__ import annotations

import os

# Threads of OpenBLAS wait actively for each other. Where several test processes share the processors, a QR
# decomposition on two threads takes thirty times as long as on one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
