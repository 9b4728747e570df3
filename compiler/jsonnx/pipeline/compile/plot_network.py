"""Draws the layers of a network as a diagram with matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any, Literal, NamedTuple

from ...core.diagnostics import UsageError
from ...core.system.optional_packages import require_package
from ...core.types import TensorType
from ...lowering.cost import LayerCost

ImageFormat = Literal["svg", "png", "pdf"]

MAX_DRAWN_LAYERS = 300
MAX_EMBEDDED_LAYERS = 60
"""Layers of a network whose diagram a notebook shows without being asked."""
PURPOSE = "drawing a network"
COLUMN_INCHES, ROW_INCHES, BEND_INCHES = 2.6, 0.75, 2.8
SAME_COLUMN = 0.3
"""Columns that two nodes of one column may be apart."""
MARGIN = 0.7
"""Columns beside the outermost nodes."""
INPUT_COLOR, LAYER_COLOR = "#dde8f6", "#f4f4f4"


class DiagramNode(NamedTuple):
    """An input or a layer call: its text, and the nodes whose values it reads."""

    name: str
    text: str
    sources: tuple[str, ...]
    is_input: bool = False


def plot_network(rows: Sequence[LayerCost], inputs: Mapping[str, TensorType]) -> Any:
    """Draws inputs and layers from the top to the bottom. Returns matplotlib's axes.

    Raises UsageError without matplotlib, or for a network with more than `MAX_DRAWN_LAYERS` layers.
    """
    require_drawable(rows)
    plt = require_package("matplotlib.pyplot", "plots", PURPOSE)
    return _drawn(plt.figure, rows, inputs)


def diagram_html(rows: Sequence[LayerCost], inputs: Mapping[str, TensorType]) -> str:
    """The diagram as an SVG element that a click opens; empty without matplotlib and for networks with too many
    layers."""
    if len(rows) > MAX_EMBEDDED_LAYERS:
        return ""
    try:
        image = network_image(rows, inputs, "svg").decode()
    except UsageError:
        return ""
    return f"<details><summary>diagram</summary>{image[image.index('<svg') :]}</details>"


def network_image(rows: Sequence[LayerCost], inputs: Mapping[str, TensorType], format: ImageFormat) -> bytes:
    """The diagram as the contents of a file. The same network gives the same bytes with one version of matplotlib.

    Raises UsageError as `plot_network` does.
    """
    require_drawable(rows)
    figure_class = require_package("matplotlib.figure", "plots", PURPOSE).Figure  # needs no display
    matplotlib = require_package("matplotlib", "plots", PURPOSE)
    contents = BytesIO()
    date = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[format]
    # In SVG, text stays text, which can be searched; the salt makes the names of elements constant.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "jsonnx"}):
        _drawn(figure_class, rows, inputs).figure.savefig(contents, format=format, metadata=date)
    return contents.getvalue()


def require_drawable(rows: Sequence[LayerCost]) -> None:
    """Raises UsageError `too-large` for a network with too many layers."""
    if len(rows) > MAX_DRAWN_LAYERS:
        message = f"the network has {len(rows):,} layers, more than the {MAX_DRAWN_LAYERS} that a diagram shows"
        raise UsageError("too-large", message, "`summary()` lists them")


def _drawn(new_figure: Callable[..., Any], rows: Sequence[LayerCost], inputs: Mapping[str, TensorType]) -> Any:
    """The axes of a new metric that has the diagram."""
    nodes = diagram_nodes(rows, inputs)
    places = diagram_places(nodes)
    xs = [x for x, _ in places.values()]
    width = max(xs) - min(xs) + 2 * MARGIN
    height = max(y for _, y in places.values()) + 1
    size = (COLUMN_INCHES * width, ROW_INCHES * max(height, 2))
    axes = new_figure(figsize=size, layout="constrained").subplots()
    for node in nodes:
        for source in node.sources:
            start, end = places[source], places[node.name]
            arrow = {"arrowstyle": "->", "shrinkA": 12, "shrinkB": 12, "color": "#777777"}
            arrow["connectionstyle"] = f"arc3,rad={_bend(start, end):.3f}"
            axes.annotate("", xy=end, xytext=start, arrowprops=arrow)
    for node in nodes:
        box = {"boxstyle": "round", "facecolor": INPUT_COLOR if node.is_input else LAYER_COLOR, "edgecolor": "#777777"}
        axes.text(*places[node.name], node.text, ha="center", va="center", fontsize=8, bbox=box, parse_math=False)
    axes.set_xlim(min(xs) - MARGIN, max(xs) + MARGIN)
    axes.set_ylim(height - 0.4, -0.6)
    axes.set_axis_off()
    return axes


def _bend(start: tuple[float, float], end: tuple[float, float]) -> float:
    """The bend of an arrow, relative to its length: past the boxes between two nodes of one column."""
    rows = end[1] - start[1]
    return BEND_INCHES / (rows * ROW_INCHES) if rows > 1 and abs(end[0] - start[0]) < SAME_COLUMN else 0.0


def diagram_nodes(rows: Sequence[LayerCost], inputs: Mapping[str, TensorType]) -> list[DiagramNode]:
    """The inputs and the layers in the order of the network."""
    names = {*inputs, *(row.name for row in rows)}
    nodes = [DiagramNode(name, f"{name}\n{type}", (), True) for name, type in inputs.items()]
    for row in rows:
        sources = dict.fromkeys(_node_of(source, names) for source in row.sources)
        types = ", ".join(map(str, row.outputs))
        text = f"{row.name} ({row.type})\n{types}" if row.name != row.type else f"{row.type}\n{types}"
        nodes.append(DiagramNode(row.name, text, tuple(source for source in sources if source is not None)))
    return nodes


def _node_of(source: str, names: set[str]) -> str | None:
    """The node that gives a value: `lstm.state` is one of `lstm`."""
    while source not in names and "." in source:
        source = source.rpartition(".")[0]
    return source if source in names else None


def diagram_places(nodes: Sequence[DiagramNode]) -> dict[str, tuple[float, float]]:
    """The place of each node: its row is the longest path from an input; rows are centred, and ordered by the mean
    place of what their nodes read."""
    depth: dict[str, int] = {}
    for node in nodes:
        depth[node.name] = 1 + max((depth[source] for source in node.sources if source in depth), default=-1)
    by_row: dict[int, list[DiagramNode]] = {}
    for node in nodes:
        by_row.setdefault(depth[node.name], []).append(node)
    places: dict[str, tuple[float, float]] = {}

    def mean_place(node: DiagramNode) -> float:
        xs = [places[source][0] for source in node.sources if source in places]
        return sum(xs) / len(xs) if xs else 0.0

    for row in sorted(by_row):
        ordered = sorted(by_row[row], key=mean_place)
        shift = mean_place(ordered[0]) if len(ordered) == 1 else 0.0
        for index, node in enumerate(ordered):
            places[node.name] = (index - (len(ordered) - 1) / 2 + shift, float(row))
    return places
