"""What the server computes for an editor that waits, in seconds of the processor: tests run beside one another."""

from __future__ import annotations

import os
import sys
import time
from statistics import median

import pytest

from .lsp_client import LspClient, position
from .specs import residual_network

URI = "file:///specs/large.json"
LINES = 500
MAX_FIRST_SECONDS, MAX_EDIT_SECONDS = 0.5, 0.1
SLOW_MACHINE_FACTOR = 5
"""A processor that is shared with other work takes longer for the same instructions, too."""


def processor_seconds(client: LspClient) -> float:
    """The seconds that the server has computed so far."""
    with open(f"/proc/{client.process.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the times of a process from /proc")
def test_a_spec_of_500_lines_is_checked_while_it_is_typed() -> None:
    text = residual_network(LINES)
    assert text.count("\n") >= LINES - 5
    with LspClient() as client:
        start = processor_seconds(client)
        client.open(URI, text)
        assert client.pushed(URI) == []
        first = processor_seconds(client) - start
        time.sleep(3)  # the costs of the layers
        at = position(text, '"filters": 16', len('"filters": 16'))
        seconds, delays = [], []
        for number in range(10):
            start, sent = processor_seconds(client), time.perf_counter()
            written = "0" if number % 2 == 0 else ""
            end = {**at, "character": at["character"] + (number % 2)}
            client.pushed(URI, client.change(URI, [{"range": {"start": at, "end": end}, "text": written}]))
            client.ask("completion", URI, position=at)
            seconds.append(processor_seconds(client) - start)
            delays.append(time.perf_counter() - sent)
    print(f"first diagnostics {first:.2f} s, an edit {median(seconds):.2f} s ({min(delays):.2f} s on the clock)")
    assert first < MAX_FIRST_SECONDS * SLOW_MACHINE_FACTOR
    assert median(seconds) < MAX_EDIT_SECONDS * SLOW_MACHINE_FACTOR
