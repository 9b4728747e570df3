"""Latency, throughput and memory of a model as text and JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ...core.quantities import count_text
from ..text.text_table import TextTable

if TYPE_CHECKING:
    from ...runtime.profile.latency import BatchLatency, LatencyProfile


def latency_text(profile: LatencyProfile, color: bool = False, width: int | None = None) -> str:
    """A title, a table with a row for each batch size, then the load time and the peak memory."""
    percents = [f"p{percent}" for percent in profile.batches[0].percentiles]
    times = (f"{name} ms" for name in ("first", "mean", *percents))
    titles = ("batch size", "runs", *times, "per second", "added MB")
    table = TextTable(titles, right=range(len(titles)))
    for batch in profile.batches:
        table.add_row(
            f"{batch.batch_size:,}",
            f"{len(batch.run_seconds):,}",
            *(_ms(seconds) for seconds in (batch.first_seconds, batch.mean_seconds, *batch.percentiles.values())),
            f"{batch.samples_per_second:,.0f}",
            _mb(batch.added_bytes),
        )
    title = f"{profile.subject}: provider {profile.provider}, {count_text(profile.threads, 'thread')}"
    return "\n".join([title, "", table.text(color, width), "", *_total_lines(profile)])


def _total_lines(profile: LatencyProfile) -> list[str]:
    lines = [f"load            {_ms(profile.load_seconds)} ms"]
    if profile.peak_bytes is not None and profile.baseline_bytes is not None:
        before = f"{_mb(profile.baseline_bytes)} MB before the model is loaded"
        lines.append(f"peak memory     {_mb(profile.peak_bytes)} MB, {before}")
    return lines


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:,.3f}"


def _mb(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:,.1f}"


def latency_json(profile: LatencyProfile) -> str:
    """The measurements as JSON; times are in seconds, and a percentile that needs more runs is null."""
    document = {
        "subject": profile.subject,
        "provider": profile.provider,
        "threads": profile.threads,
        "load_seconds": profile.load_seconds,
        "memory": {
            "baseline_bytes": profile.baseline_bytes,
            "load_peak_bytes": profile.load_peak_bytes,
            "peak_bytes": profile.peak_bytes,
            "model_bytes": profile.model_bytes,
        },
        "batches": [_json_batch(batch) for batch in profile.batches],
    }
    return json.dumps(document, indent=2)


def _json_batch(batch: BatchLatency) -> dict[str, object]:
    return {
        "batch_size": batch.batch_size,
        "runs": len(batch.run_seconds),
        "first_seconds": batch.first_seconds,
        "mean_seconds": batch.mean_seconds,
        "min_seconds": min(batch.run_seconds),
        "max_seconds": max(batch.run_seconds),
        **{f"p{percent}_seconds": seconds for percent, seconds in batch.percentiles.items()},
        "samples_per_second": batch.samples_per_second,
        "added_bytes": batch.added_bytes,
    }
