"""How models are loaded and run."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...core.system.cpu_count import thread_count
from ...runtime.providers.provider_options import ProviderOptions


@dataclass(frozen=True)
class ModelOptions:
    """The settings of all models of a server."""

    provider: str = "cpu"
    provider_options: ProviderOptions | None = None
    threads: int = 1
    """Threads that one run of a model divides an operator among."""
    sessions: int = field(default_factory=thread_count)
    """Runs of a model at the same time."""
    verify: bool = True
    """Whether files must match the digests that they record."""
    max_batch_rows: int = 256
    max_delay_s: float = 0.002
    """The longest time that a batch waits for more rows while others are computed, although a session is idle."""
    max_queue_rows: int = 4096
    batch_unproven: frozenset[str] = frozenset()
    """Models that are batched although nothing is known of how their samples interact."""
    seed: int = 0
    """Of the models' random inputs."""
