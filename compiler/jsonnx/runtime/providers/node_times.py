"""The time of each node in the runs of a recorded session."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from .node_origins import FusedOrigin, NodeOrigins
from .session_recorder import Event, SessionRecord

RUN_EVENT = "model_run"
KERNEL_SUFFIX = "_kernel_time"
"""Ends the name of the event that has the time of a node; the rest is the node's name."""
WEBGPU_KERNEL = "Api"
"""The category of the kernels of WebGPU. Their names begin with the node's name and `&`."""
CUDA_PARENT = "parent_name"
"""The argument of a kernel of CUDA that has the name of its node's event."""
OPS_WITH_BODIES = ("If", "Loop", "Scan")
SECONDS_PER_MICROSECOND = 1e-6


@dataclass
class NodeTime:
    """The time that a node took in some runs, without the nodes of its bodies."""

    name: str
    op: str
    provider: str
    origin: FusedOrigin | None
    """None if unknown."""
    seconds: float = 0.0
    executions: int = 0
    """The number of its runs, more than one in a loop."""
    device_seconds: float | None = None
    """The time that a device measured for its kernels; None without one. Then `seconds` is the time to start them."""

    @property
    def computing_seconds(self) -> float:
        return max(0.0, self.seconds) if self.device_seconds is None else self.device_seconds


@dataclass
class SessionTimes:
    """The times of a session in all runs after the first ones."""

    runs: int = 0
    seconds: float = 0.0
    """The time of these runs."""
    nodes: dict[str, NodeTime] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    """The events of these runs. Events of nodes have their origin's path as the argument `path`."""


def session_times(record: SessionRecord, origins: NodeOrigins, warm_up_runs: int) -> SessionTimes:
    """The times in the runs of a session after some first ones, at least in the last one."""
    events = sorted(
        (event for event in record.events if "dur" in event), key=lambda event: (event["ts"], -event["dur"])
    )
    runs = [event for event in events if event.get("name") == RUN_EVENT]
    times = SessionTimes()
    starts = [event["ts"] for event in events]
    for run in runs[min(warm_up_runs, len(runs) - 1) :]:
        first, end = bisect_left(starts, run["ts"]), bisect_right(starts, run["ts"] + run["dur"])
        times.runs += 1
        times.seconds += run["dur"] * SECONDS_PER_MICROSECOND
        times.events += events[first:end]
        for event, parent in _with_parents([event for event in events[first:end] if _is_node(event)]):
            _add(times, event, parent, origins)
    if times.events:
        _add_device_times(times, [event for event in events if event["ts"] >= times.events[0]["ts"]])
    return times


def _add_device_times(times: SessionTimes, events: Iterable[Event]) -> None:
    """Adds the times of kernels that a device measured to the times of their nodes."""
    for event in events:
        node = times.nodes.get(_node_of_kernel(event))
        if node is not None:
            node.device_seconds = (node.device_seconds or 0.0) + event["dur"] * SECONDS_PER_MICROSECOND


def _node_of_kernel(event: Event) -> str:
    """The name of the node that has started a kernel on a device, as WebGPU and CUDA tell it; else an empty text."""
    if event.get("cat") == WEBGPU_KERNEL:
        return str(event["name"]).partition("&")[0]
    return str(event.get("args", {}).get(CUDA_PARENT, "")).removesuffix(KERNEL_SUFFIX)


def seconds_by_path(record: SessionRecord, warm_up_runs: int) -> dict[str, float]:
    """The mean time of the nodes of each path in the runs of a session after some first ones."""
    times = session_times(record, NodeOrigins(record.model, record.optimized_model), warm_up_runs)
    seconds: dict[str, float] = {}
    for node in times.nodes.values():
        path = node.origin.origin.path if node.origin is not None else ""
        seconds[path] = seconds.get(path, 0.0) + node.computing_seconds / times.runs
    return seconds


def _is_node(event: Event) -> bool:
    return event.get("cat") == "Node" and str(event.get("name")).endswith(KERNEL_SUFFIX)


def _with_parents(events: Sequence[Event]) -> Iterator[tuple[Event, Event | None]]:
    """The events of nodes, in the order of their starts, each with the event of the node whose body it is in."""
    enclosing: list[Event] = []
    for event in events:
        while enclosing and event["ts"] >= enclosing[-1]["ts"] + enclosing[-1]["dur"]:
            enclosing.pop()
        yield event, enclosing[-1] if enclosing else None
        if event.get("args", {}).get("op_name") in OPS_WITH_BODIES:
            enclosing.append(event)


def _add(times: SessionTimes, event: Event, parent: Event | None, origins: NodeOrigins) -> None:
    """Adds the time of a node, and subtracts it from the node around it."""
    time = _time_of(times, event, origins)
    seconds = event["dur"] * SECONDS_PER_MICROSECOND
    time.seconds += seconds
    time.executions += 1
    if parent is not None:
        outer = _time_of(times, parent, origins)
        outer.seconds -= seconds
        time.origin = time.origin or outer.origin
    if time.origin is not None:
        event["args"]["path"] = time.origin.origin.path or time.origin.origin.scope


def _time_of(times: SessionTimes, event: Event, origins: NodeOrigins) -> NodeTime:
    name = event["name"].removesuffix(KERNEL_SUFFIX)
    if name not in times.nodes:
        arguments = event.get("args", {})
        times.nodes[name] = NodeTime(
            name, str(arguments.get("op_name", "")), str(arguments.get("provider", "")), origins.find(name)
        )
    return times.nodes[name]
