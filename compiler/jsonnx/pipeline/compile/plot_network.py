"""Draws the layers of a network as a diagram with matplotlib."""

from __future__ import annotations

from collections import Counter
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
ROW_INCHES, GAP_INCHES, LANE_INCHES = 0.6, 0.25, 0.18
FONT_POINTS, PADDING_POINTS, POINTS_PER_INCH = 8, 2.4, 72
LINE_COLOR, TEXT_COLOR = "#777777", "#1f2328"
"""Colors for a background that is transparent: lines can be seen on white and on black, and text stands in boxes."""
BOX_COLORS = {"input": "#cfe0f5", "layer": "#f0f0f0", "block": "#d9ead3"}

NodeKind = Literal["input", "layer", "block"]


class DiagramNode(NamedTuple):
    """An input, a layer call or a use of a block: its text, and the nodes whose values it reads."""

    name: str
    text: str
    sources: tuple[str, ...]
    kind: NodeKind = "layer"


class Box(NamedTuple):
    """The centre and the width of a node, in inches."""

    x: float
    y: float
    width: float

    @property
    def left(self) -> float:
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        return self.x + self.width / 2


def plot_network(rows: Sequence[LayerCost], inputs: Mapping[str, TensorType]) -> Any:
    """Draws inputs and layers from the top to the bottom. Returns matplotlib's axes.

    Raises UsageError without matplotlib, or for a network with more than `MAX_DRAWN_LAYERS` layers.
    """
    nodes = _drawable_nodes(rows, inputs)
    plt = require_package("matplotlib.pyplot", "plots", PURPOSE)
    return _drawn(plt.figure, nodes)


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


def network_image(
    rows: Sequence[LayerCost], inputs: Mapping[str, TensorType], format: ImageFormat, max_depth: int | None = None
) -> bytes:
    """The diagram as the contents of a file, on a transparent background. The same network gives the same bytes with
    one version of matplotlib.

    Blocks that are nested `max_depth` levels deep are single nodes. Raises UsageError as `plot_network` does.
    """
    nodes = _drawable_nodes(rows, inputs, max_depth)
    figure_class = require_package("matplotlib.figure", "plots", PURPOSE).Figure  # needs no display
    matplotlib = require_package("matplotlib", "plots", PURPOSE)
    contents = BytesIO()
    date = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[format]
    # In SVG, text stays text, which can be searched; the salt makes the names of elements constant.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "jsonnx"}):
        figure = _drawn(figure_class, nodes).figure
        figure.savefig(contents, format=format, metadata=date, transparent=True)
    return contents.getvalue()


def _drawn(new_figure: Callable[..., Any], nodes: Sequence[DiagramNode]) -> Any:
    """The axes of a new figure that has the diagram, measured in inches."""
    boxes = _boxes(nodes)
    lanes = _lanes(nodes, boxes)
    left = min([box.left for box in boxes.values()] + [*lanes.values()]) - GAP_INCHES / 2
    right = max([box.right for box in boxes.values()] + [*lanes.values()]) + GAP_INCHES / 2
    height = max(box.y for box in boxes.values()) + ROW_INCHES
    axes = new_figure(figsize=(right - left, height)).add_axes((0, 0, 1, 1))
    for node in nodes:
        for source in node.sources:
            _draw_arrow(axes, boxes[source], boxes[node.name], lanes.get((source, node.name)))
    for node in nodes:
        outline = {"boxstyle": "round", "facecolor": BOX_COLORS[node.kind], "edgecolor": LINE_COLOR}
        style: dict[str, Any] = {
            "ha": "center",
            "va": "center",
            "fontsize": FONT_POINTS,
            "color": TEXT_COLOR,
            "bbox": outline,
        }
        axes.text(boxes[node.name].x, boxes[node.name].y, node.text, parse_math=False, **style)
    axes.set_xlim(left, right)
    axes.set_ylim(height - ROW_INCHES / 2, -ROW_INCHES / 2)
    axes.set_axis_off()
    return axes


def _draw_arrow(axes: Any, start: Box, end: Box, lane: float | None) -> None:
    arrow: dict[str, Any] = {"arrowstyle": "->", "color": LINE_COLOR, "shrinkA": 12, "shrinkB": 12}
    if lane is None:
        axes.annotate("", xy=(end.x, end.y), xytext=(start.x, start.y), arrowprops=arrow)
        return
    side = -1 if lane < start.x else 1
    edges = [(box.x + side * box.width / 2, box.y) for box in (start, end)]
    arms = [POINTS_PER_INCH * abs(lane - x) for x, _ in edges]
    angle = 180 if side < 0 else 0
    style = f"arc,angleA={angle},angleB={angle},armA={arms[0]:.2f},armB={arms[1]:.2f},rad=6"
    arrow |= {"connectionstyle": style, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=edges[1], xytext=edges[0], arrowprops=arrow)


def _boxes(nodes: Sequence[DiagramNode]) -> dict[str, Box]:
    """The places of the nodes, in columns as wide as the widest box that has another one beside it."""
    places = diagram_places(nodes)
    sizes = {node.name: _box_inches(node.text) for node in nodes}
    counts = Counter(y for _, y in places.values())
    beside = [sizes[name] for name, (_, y) in places.items() if counts[y] > 1]
    column = max(beside or sizes.values()) + GAP_INCHES
    return {name: Box(x * column, y * ROW_INCHES, sizes[name]) for name, (x, y) in places.items()}


def _box_inches(text: str) -> float:
    text_path = require_package("matplotlib.textpath", "plots", PURPOSE).text_to_path
    font = require_package("matplotlib.font_manager", "plots", PURPOSE).FontProperties(size=FONT_POINTS)
    widths = (text_path.get_text_width_height_descent(line, font, ismath=False)[0] for line in text.splitlines())
    return float(max(widths) + 2 * PADDING_POINTS) / POINTS_PER_INCH


def _lanes(nodes: Sequence[DiagramNode], boxes: Mapping[str, Box]) -> dict[tuple[str, str], float]:
    """Where the arrows run that would cross nodes of their column: beside these nodes, the shorter ones nearer."""
    arrows = [(source, node.name) for node in nodes for source in node.sources]
    lanes: dict[tuple[str, str], float] = {}
    for source, target in sorted(arrows, key=lambda pair: boxes[pair[1]].y - boxes[pair[0]].y):
        start, end = boxes[source], boxes[target]
        if end.y - start.y < 1.5 * ROW_INCHES or abs(end.x - start.x) > GAP_INCHES:
            continue
        rows = [box for box in boxes.values() if start.y <= box.y <= end.y]
        passed = [box for box in rows if box.left <= start.x <= box.right]
        others = [x for (a, b), x in lanes.items() if boxes[a].y < end.y and start.y < boxes[b].y]
        if any(box.right < start.x for box in rows) and not any(box.left > start.x for box in rows):
            lanes[source, target] = (
                max([box.right for box in passed] + [x for x in others if x > start.x]) + LANE_INCHES
            )
        else:
            lanes[source, target] = min([box.left for box in passed] + [x for x in others if x < start.x]) - LANE_INCHES
    return lanes


def _drawable_nodes(
    rows: Sequence[LayerCost], inputs: Mapping[str, TensorType], max_depth: int | None = None
) -> list[DiagramNode]:
    """The nodes. Raises UsageError `too-large` for more than a diagram shows."""
    nodes = diagram_nodes(rows, inputs, max_depth)
    if (count := sum(node.kind != "input" for node in nodes)) > MAX_DRAWN_LAYERS:
        message = f"the network has {count:,} layers, more than the {MAX_DRAWN_LAYERS} that a diagram shows"
        help = "draw its blocks as single nodes: jsonnx draw SPEC -o FILE --depth 0"
        raise UsageError("too-large", message, help)
    return nodes


def diagram_nodes(
    rows: Sequence[LayerCost], inputs: Mapping[str, TensorType], max_depth: int | None = None
) -> list[DiagramNode]:
    """The inputs, and the layers and collapsed blocks in the order of the network."""
    nodes = [DiagramNode(name, f"{name}\n{type}", (), "input") for name, type in inputs.items()]
    groups: dict[str, list[LayerCost]] = {}
    for row in rows:
        block = _collapsed_block(row, max_depth)
        groups.setdefault(block[0] if block else row.name, []).append(row)
    node_of_value = {name: name for name in inputs} | {
        row.name: name for name, group in groups.items() for row in group
    }
    for name, group in groups.items():
        sources = dict.fromkeys(_node_of(source, node_of_value) for row in group for source in row.sources)
        others = tuple(source for source in sources if source is not None and source != name)
        if block := _collapsed_block(group[0], max_depth):
            nodes.append(DiagramNode(name, _block_text(block, group, rows), others, "block"))
        else:
            nodes.append(DiagramNode(name, _node_text(name, group[0].type, group), others))
    return nodes


def _collapsed_block(row: LayerCost, max_depth: int | None) -> tuple[str, str] | None:
    """The name and the type of the block that is drawn in place of the layer."""
    is_collapsed = max_depth is not None and len(row.block_path) > max_depth
    return row.block_path[max_depth] if is_collapsed and max_depth is not None else None


def _block_text(block: tuple[str, str], group: Sequence[LayerCost], rows: Sequence[LayerCost]) -> str:
    """The text of a block with the types of those of its values that others read."""
    name, type = block
    own = {row.name: row.name for row in group}
    read = {_node_of(source, own) for row in rows if row.name not in own for source in row.sources}
    outputs = [row for row in group if row.name in read]
    count = f"{len(group)} layers" if len(group) > 1 else "1 layer"
    return _node_text(name, f"{type}, {count}", outputs or group[-1:])


def _node_text(name: str, type: str, rows: Sequence[LayerCost]) -> str:
    types = ", ".join(str(output) for row in rows for output in row.outputs)
    return f"{name} ({type})\n{types}" if name != type else f"{type}\n{types}"


def _node_of(source: str, node_of_value: Mapping[str, str]) -> str | None:
    """The node that gives a value: `lstm.state` is one of `lstm`."""
    while source not in node_of_value and "." in source:
        source = source.rpartition(".")[0]
    return node_of_value.get(source)


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
