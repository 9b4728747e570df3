"""A profile as text and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...core.providers.known_providers import CPU
from ..text.text_table import TextTable

if TYPE_CHECKING:
    from ...runtime.profile.profile import Profile, ProfiledGroup

NO_LAYER = "(no layer)"
"""Stands for the layer of nodes that belong to none."""
MAX_FUSED_LAYERS = 10
"""Layers without nodes of their own that are listed."""
STARTED_NOTE = (
    "The device does not measure its nodes: their time is that of starting them, and the rest waits for the results."
)
COMPILED_NOTE = (
    "The provider has compiled layers into nodes of its own, whose time cannot be divided; --provider cpu shows each."
)
MAX_UNMAPPED_SHARE = 0.5
"""If more than this share of time is unattributed, the provider fuses nodes."""


def profile_text(
    profile: Profile,
    by: str = "layer",
    top: int | None = None,
    color: bool = False,
    width: int | None = None,
) -> str:
    """The composition of a step, and a row for each layer, operator or node (`by`), with the longest time first.

    `top` is the number of rows to show; the last row sums up the others.
    """
    groups = _groups(profile, by)
    shown = groups if top is None else groups[:top]
    table = TABLES[by](profile, shown)
    if len(groups) > len(shown):
        rest = groups[len(shown) :]
        seconds = sum(group.seconds for group in rest)
        cells = [""] * (len(table.titles) - 2) + [_ms(seconds), _share(seconds, profile)]
        table.add_row(f"{len(rest):,} more", *cells[1:])
    lines = [*_head_lines(profile), "", table.text(color, width), *_fused_lines(profile, by)]
    if profile.has_started_nodes:
        lines += ["", STARTED_NOTE]
    if profile.provider != CPU and profile.unmapped_seconds > MAX_UNMAPPED_SHARE * profile.node_seconds:
        lines += ["", COMPILED_NOTE]
    return "\n".join(lines)


def _head_lines(profile: Profile) -> list[str]:
    unit = "step" if profile.is_training else "run"
    samples = f"{profile.batch_size:,} sample{'' if profile.batch_size == 1 else 's'}"
    threads = f"{profile.threads} thread{'' if profile.threads == 1 else 's'}"
    per_second = profile.batch_size / profile.step_seconds if profile.step_seconds else 0.0
    lines = [
        f"{profile.subject}: {samples} in a {unit}, provider {profile.provider}, {threads}, {profile.steps:,} {unit}s",
        f"{_ms(profile.step_seconds)} ms a {unit}, {per_second:,.0f} samples a second; "
        f"{_ms(profile.recorded_step_seconds)} ms while nodes are timed, of which",
    ]
    parts = [("nodes", profile.node_seconds), ("onnxruntime outside of nodes", profile.runtime_overhead_seconds)]
    if profile.is_training:
        parts += [
            ("jsonnx around onnxruntime", profile.outside_seconds),
            ("between steps, such as waiting for data", profile.waiting_seconds),
        ]
    else:
        parts.append(("around onnxruntime", profile.outside_seconds))
    if profile.unmapped_seconds:
        parts.append(("nodes of no known layer", profile.unmapped_seconds))
    lines += [f"  {_ms(seconds):>9} ms {_share(seconds, profile):>6}  {name}" for name, seconds in parts]
    if profile.shard_count > 1:
        lines.append(f"Each of {profile.shard_count} threads computes a part of the batch; times of nodes are means.")
    return lines


def _groups(profile: Profile, by: str) -> list[ProfiledGroup]:
    return {"layer": profile.by_layer, "op": profile.by_op, "node": profile.by_node}[by]()


def _layer_table(profile: Profile, groups: Sequence[ProfiledGroup]) -> TextTable:
    passes = profile.passes
    titles = ("layer", "type", "nodes", *(f"{name} ms" for name in passes), "ms", "share")
    table = TextTable(titles, right=range(2, len(titles)))
    for group in groups:
        by_pass = [_ms(seconds) if (seconds := group.seconds_of(name)) else "" for name in passes]
        table.add_row(group.name or NO_LAYER, group.type, str(len(group.nodes)), *by_pass, *_total(group, profile))
    return table


def _op_table(profile: Profile, groups: Sequence[ProfiledGroup]) -> TextTable:
    table = TextTable(("operator", "provider", "nodes", "ms", "share"), right=range(2, 5))
    for group in groups:
        providers = sorted({node.provider.removesuffix("ExecutionProvider") for node in group.nodes})
        table.add_row(group.name, ", ".join(providers), str(len(group.nodes)), *_total(group, profile))
    return table


def _node_table(profile: Profile, groups: Sequence[ProfiledGroup]) -> TextTable:
    titles = ["node", "operator", "layer", *(["pass"] if profile.is_training else []), "ms", "share"]
    table = TextTable(titles, right=range(len(titles) - 2, len(titles)), unbroken=(0,))
    for group in groups:
        node = group.nodes[0]
        step_pass = [node.step_pass] if profile.is_training else []
        table.add_row(node.name, node.op, node.layer or NO_LAYER, *step_pass, *_total(group, profile))
    return table


TABLES: dict[str, Callable[[Profile, Sequence[ProfiledGroup]], TextTable]] = {
    "layer": _layer_table,
    "op": _op_table,
    "node": _node_table,
}


def _fused_lines(profile: Profile, by: str) -> list[str]:
    fused = list(profile.fused_layers.items()) if by == "layer" else []
    if not fused:
        return []
    shown = ", ".join(f"{name} in {layer}" for name, layer in fused[:MAX_FUSED_LAYERS])
    more = f" and {len(fused) - MAX_FUSED_LAYERS:,} more" if len(fused) > MAX_FUSED_LAYERS else ""
    return ["", f"computed within nodes of other layers: {shown}{more}"]


def _total(group: ProfiledGroup, profile: Profile) -> tuple[str, str]:
    return _ms(group.seconds), _share(group.seconds, profile)


def _share(seconds: float, profile: Profile) -> str:
    """The share of a step."""
    return f"{seconds / profile.recorded_step_seconds:.1%}" if profile.recorded_step_seconds else ""


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.3f}"


def profile_json(profile: Profile) -> str:
    """Everything that was measured, for programs; times in seconds."""
    passes = profile.passes
    document: dict[str, Any] = {
        "subject": profile.subject,
        "training": profile.is_training,
        "provider": profile.provider,
        "threads": profile.threads,
        "batch_size": profile.batch_size,
        "steps": profile.steps,
        "step_seconds": profile.step_seconds,
        "recorded_step_seconds": profile.recorded_step_seconds,
        "node_seconds": profile.node_seconds,
        "onnxruntime_overhead_seconds": profile.runtime_overhead_seconds,
        "outside_seconds": profile.outside_seconds,
        "between_steps_seconds": profile.waiting_seconds,
        "unmapped_seconds": profile.unmapped_seconds,
        "shards": profile.shard_count,
        "layers": [
            {
                "name": group.name or None,
                "type": group.type or None,
                "path": group.path or None,
                "nodes": len(group.nodes),
                "seconds": group.seconds,
                **({"passes": {name: group.seconds_of(name) for name in passes}} if passes else {}),
            }
            for group in profile.by_layer()
        ],
        "fused_layers": profile.fused_layers,
        "operators": [
            {"name": group.name, "nodes": len(group.nodes), "seconds": group.seconds} for group in profile.by_op()
        ],
        "node_times": "start" if profile.has_started_nodes else "computation",
        "nodes": [
            {key: value for key, value in asdict(node).items() if passes or key != "step_pass"}
            for node in sorted(profile.nodes, key=lambda node: -node.seconds)
        ],
    }
    return json.dumps(document, indent=2)
