"""How models are loaded and run."""

from __future__ import annotations

from dataclasses import dataclass

from ...runtime.providers.provider_options import ProviderOptions


@dataclass(frozen=True)
class ModelOptions:
    """The settings of all models of a server."""

    provider: str = "cpu"
    provider_options: ProviderOptions | None = None
    threads: int | None = None
    """Threads that one run of a session divides an operator among; None: chosen by the number of CPUs."""
    sessions: int | None = None
    """Runs of a model at the same time; None: chosen by the number of CPUs."""
    verify: bool = True
    """Whether files must match the digests that they record."""
    max_batch_rows: int = 64
    max_delay_s: float = 0.002
    """The longest time that a request waits for others to share a batch."""
    max_queue_rows: int = 4096
    batch_unproven: frozenset[str] = frozenset()
    """Models that are batched although nothing is known of how their samples interact."""
    seed: int = 0
    """Of the models' random inputs."""
