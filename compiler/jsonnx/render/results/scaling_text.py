"""The scaling of a distributed training as text and JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...core.quantities import count_text
from ..text.text_table import TextTable

if TYPE_CHECKING:
    from ...runtime.profile.scaling_model import ScaledStep, Scaling

REASONS = {
    "network": "most time is lost in the network",
    "update": "most time is lost in the update, which each of them computes",
    "shards": "most time is lost as the busiest of them has more than its share",
}
"""By reason of lost time."""
TITLES = ("workers", "samples", "ms", "compute", "network", "update", "sent", "received", "per second", "efficiency")


def scaling_text(scaling: Scaling, color: bool = False, width: int | None = None) -> str:
    """Two tables, for one batch that all workers divide and for one batch each, with conclusions."""
    costs = scaling.costs
    lines = [
        *_head_lines(scaling),
        "",
        f"Strong scaling: workers divide one batch of {count_text(costs.batch_size, 'sample')}",
        _table(scaling.strong).text(color, width),
        "",
        *_conclusions(scaling, is_weak=False),
        "",
        f"Weak scaling: every worker has {count_text(costs.batch_size, 'sample')} in {_shards(costs.shard_count)}",
        _table(scaling.weak).text(color, width),
        "",
        *_conclusions(scaling, is_weak=True),
    ]
    return "\n".join(lines)


def _head_lines(scaling: Scaling) -> list[str]:
    costs, link = scaling.costs, scaling.link
    lines = [
        f"{scaling.subject}: {count_text(costs.batch_size, 'sample')} in {_shards(costs.shard_count)}, "
        f"a vector of {_size(4 * costs.vector_elements - 2 * costs.rounded_elements)}; each worker has "
        f"{count_text(scaling.threads, 'thread')} of a machine like this one",
        f"between workers: {link.bytes_per_second * 8 / 1e9:g} Gbit/s each way, {link.latency_seconds * 1e6:,.0f} us; "
        f"measured here: {costs.message_seconds * 1e6:.0f} us a message, {costs.byte_seconds * 1e9:.2f} ns a byte, "
        f"{costs.add_seconds * 1e9:.2f} ns a sum",
    ]
    if scaling.shards_are_assumed:
        lines.append(
            f'Assumed: "distributed": {{"shards": {costs.shard_count}}} in `training`, where the spec must say so '
            "before several workers can train it."
        )
    if costs.busy_share < scaling.min_busy_share:
        lines.append(
            "Other programs used the processors: the measured steps had them for "
            f"{costs.busy_share:.0%} of their time, which is too long. Measure again without such programs."
        )
    return lines


def _table(steps: list[ScaledStep]) -> TextTable:
    table = TextTable(TITLES, right=range(len(TITLES)))
    for step in steps:
        times = (step.seconds, step.compute_seconds, step.network_seconds, step.update_seconds)
        table.add_row(
            f"{step.workers:,}",
            f"{step.batch_size:,}",
            *(f"{seconds * 1000:,.2f}" for seconds in times),
            _size(step.traffic.sent_bytes),
            _size(step.traffic.received_bytes),
            f"{step.samples_per_second:,.0f}",
            f"{step.efficiency:.0%}",
        )
    return table


def _conclusions(scaling: Scaling, is_weak: bool) -> list[str]:
    """Sentences that say from which number of workers on more of them do not pay."""
    fastest, inefficient = scaling.fastest(is_weak), scaling.first_inefficient(is_weak)
    single = scaling.weak_step(1)
    gain = fastest.samples_per_second / single.samples_per_second
    numbers = f"Of up to {count_text(scaling.candidates[-1], 'worker')}"
    if fastest.workers == 1:
        lines = ["More workers do not pay: one alone trains most samples in a second."]
    else:
        lines = [f"{numbers}, {fastest.workers:,} train most samples in a second: {gain:.1f} times those of 1."]
    if inefficient is not None:
        lost = scaling.lost_seconds(inefficient)
        reason = REASONS[max(lost, key=lost.__getitem__)]
        numbers = f"With {inefficient.workers:,} workers or more"
        lines.append(f"{numbers}, each trains less than {scaling.min_efficiency:.0%} of what it would alone: {reason}.")
    shards = scaling.costs.shard_count
    if not is_weak and scaling.candidates[-1] > shards:
        lines.append(f"More than {count_text(shards, 'worker')} do not pay: {_shards(shards)} give work to no more.")
    return lines


def _shards(count: int) -> str:
    return count_text(count, "shard")


def _size(count: int) -> str:
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count} B"


def scaling_json(scaling: Scaling) -> str:
    """Everything that was measured and predicted, for programs; times in seconds."""
    document: dict[str, Any] = {
        "subject": scaling.subject,
        "threads": scaling.threads,
        "bytes_per_second": scaling.link.bytes_per_second,
        "latency_seconds": scaling.link.latency_seconds,
        "shards_are_assumed": scaling.shards_are_assumed,
        "measured": asdict(scaling.costs),
    }
    for name, steps, is_weak in (("strong", scaling.strong, False), ("weak", scaling.weak, True)):
        inefficient = scaling.first_inefficient(is_weak)
        document[name] = {
            "fastest_workers": scaling.fastest(is_weak).workers,
            "first_inefficient_workers": None if inefficient is None else inefficient.workers,
            "steps": [_step_json(step) for step in steps],
        }
    return json.dumps(document, indent=2)


def _step_json(step: ScaledStep) -> dict[str, Any]:
    return {**asdict(step), "step_seconds": step.seconds, "samples_per_second": step.samples_per_second}
