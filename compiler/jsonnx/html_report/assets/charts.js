// Charts, drawn by Observable Plot as SVG with the colors of the page.

const SERIES_COLORS = 8;
const DASHES = [null, "6 3", "2 3", "8 3 2 3"];

function color(index) {
  return `var(--series-${(index % SERIES_COLORS) + 1})`;
}

// Beyond the number of colors, lines of one color differ by their dashes.
function dash(index) {
  return DASHES[Math.floor(index / SERIES_COLORS) % DASHES.length];
}

function legend(series) {
  if (series.length < 2) return null;
  return el("ul", { class: "legend" }, series.map(({ name, stroke, dashes }) => el("li", {},
    svg("svg", { width: 26, height: 8, "aria-hidden": "true" },
      svg("line", { x1: 0, x2: 26, y1: 4, y2: 4, stroke, "stroke-width": 2.5, "stroke-dasharray": dashes })),
    name)));
}

function plot(width, height, options) {
  const isNarrow = width < 330;
  return Plot.plot({
    width, height, marginLeft: 52, marginRight: 12,
    style: { background: "transparent", fontSize: "11px", fontFamily: "system-ui, sans-serif" },
    ...options,
    x: { ticks: isNarrow ? 4 : 6, ...options.x },
    y: { grid: true, ...(options.y?.type === "log" ? { ticks: 5, tickFormat: "~g" } : {}), ...options.y },
  });
}

// Lines with points {x, y}. Series: {name, points, stroke, dashes}. `reference` are points of a line for comparison.
function lineChart({ title, note, series, x, y, reference, marks, curve, height, values }) {
  const drawn = series.filter((line) => line.points.length > 0);
  if (drawn.length === 0) return null;
  const all = drawn.flatMap((line) => line.points.map((point) => ({ ...point, series: line.name })));
  const draw = (width) => plot(width, height ?? 240, {
    x, y, ariaLabel: `${title}: ${drawn.map((line) => line.name).join(", ")}`,
    marks: [
      reference && Plot.line(reference, { x: "x", y: "y", stroke: "var(--quiet)", strokeDasharray: "3 3" }),
      ...(marks ?? []),
      ...drawn.map((line) => Plot.line(line.points, {
        x: "x", y: "y", stroke: line.stroke, strokeWidth: 2, strokeDasharray: line.dashes, curve: curve ?? "linear",
      })),
      ...drawn.filter((line) => line.points.length === 1).map((line) =>
        Plot.dot(line.points, { x: "x", y: "y", fill: line.stroke })),
      Plot.dot(all, Plot.pointer({ x: "x", y: "y", r: 4, stroke: "currentColor" })),
      Plot.tip(all, Plot.pointer({ x: "x", y: "y", title: (point) =>
        `${point.series}\n${x.label}: ${numberText(point.x)}\n${y.label}: ${numberText(point.y)}` })),
    ].filter(Boolean),
  });
  return chart({ title, note, legend: legend(drawn), draw, values: values ?? (() => pointsTable(title, all, x, y)) });
}

function pointsTable(title, points, x, y) {
  return table(title, ["series", x.label, y.label].map((name, index) => (index === 0 ? [name, "text"] : name)),
    points.map((point) => [point.series, point.x, point.y]), "cut");
}

function cutText(text, characters) {
  return text.length > characters ? `${text.slice(0, Math.max(1, characters - 1))}…` : text;
}

// Horizontal bars, one a row: {name, value, ...}. Several bars of a row are told apart by `group`.
function barChart({ title, note, rows, groups, label, values }) {
  const height = 40 + rows.length * Math.max(16, 11 * groups.length + 6);
  const longest = Math.max(...rows.map((row) => row.name.length));
  const draw = (width) => {
    const margin = Math.min(width * 0.4, 12 + 6.6 * longest);
    const characters = Math.floor((margin - 12) / 6);
    const groupNames = groups.map((group) => group.name);
    const bars = rows.flatMap((row) => groups.map((group) => ({ row: row.name, group: group.name, value: row[group.key] })));
    return plot(width, height, {
      marginLeft: margin, ariaLabel: title, y: { grid: false, axis: null, domain: groupNames },
      x: { label, zero: true },
      fy: { label: null, padding: 0.15, domain: rows.map((row) => row.name) },
      axis: null,
      marks: [
        Plot.axisX({ label, anchor: "bottom", ticks: width < 330 ? 3 : 5 }),
        Plot.gridX(),
        Plot.axisFy({ label: null, anchor: "left", tickSize: 0, tickFormat: (name) => cutText(name, characters) }),
        ...groups.map((group, index) => Plot.barX(bars.filter((bar) => bar.group === group.name && bar.value !== null), {
          fy: "row", y: "group", x: "value", fill: color(index), title: (bar) => `${bar.row}, ${bar.group}: ${numberText(bar.value)}`,
        })),
      ],
    });
  };
  return chart({ title, note, legend: legend(groups.map((group, index) => ({ name: group.name, stroke: color(index) }))),
    draw, values });
}

function histogramChart({ title, note, series, label }) {
  const draw = (width) => plot(width, 220, {
    ariaLabel: title, x: { label }, y: { label: "samples" },
    marks: series.flatMap(({ histogram, stroke }) => {
      const bins = histogram.counts.map((count, index) =>
        ({ count, low: histogram.edges[index], high: histogram.edges[index + 1] }));
      return [Plot.rectY(bins, { x1: "low", x2: "high", y: "count", fill: stroke, fillOpacity: series.length > 1 ? 0.35 : 0.7,
        stroke, strokeWidth: 0.8, inset: 0.5 }), Plot.ruleY([0])];
    }),
  });
  const values = () => table(title, [["series", "text"], "from", "to", "samples"], series.flatMap(({ name, histogram }) =>
    histogram.counts.map((count, index) => [name, histogram.edges[index], histogram.edges[index + 1], count])), "cut");
  return chart({ title, note, legend: legend(series), draw, values });
}

// In a frame of their own, since a drawing changes the sizes that the observer reports.
const redraw = new ResizeObserver((entries) => requestAnimationFrame(() => entries.forEach(({ target }) => drawPlot(target))));

function drawPlot(target) {
  const width = Math.floor(target.clientWidth);
  if (width > 0 && width !== target.drawnWidth) {
    target.drawnWidth = width;
    target.replaceChildren(target.draw(width));
  }
}

// A chart with its title, a note, a legend, and its values as a table. `draw` makes the chart for a width in pixels.
function chart({ title, note, legend, draw, values }) {
  const plot = el("div", { class: "plot" });
  plot.draw = draw;
  redraw.observe(plot);
  return el("figure", {},
    el("figcaption", {}, el("h4", {}, title), note && el("p", { class: "quiet" }, note)),
    legend, plot, values && lazyDetails("Values as a table", values, { class: "screen-only" }));
}
