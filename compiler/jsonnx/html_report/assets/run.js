// What is shown of runs: their facts, learning curves, layers, data and files.

function overviewSection(runs) {
  const titles = [...new Set(runs.flatMap((run) => run.facts.map(([title]) => title)))];
  const fact = (run, title) => run.facts.find(([own]) => own === title)?.[1] ?? null;
  const tests = [...new Set(runs.flatMap((run) => Object.keys(run.test ?? {})))];
  const rows = [
    ...titles.map((title) => [title, ...runs.map((run) => fact(run, title) ?? "")]),
    ["best", ...runs.map((run) => (run.best ? `${run.best.figure} ${numberText(run.best.value)} in epoch ${run.best.epoch}` : ""))],
    ...tests.map((name) => [`test ${name}`, ...runs.map((run) => run.test?.[name] ?? null)]),
  ];
  const notes = runs.flatMap((run) => run.notes.map((note) => (runs.length > 1 ? `${run.name}: ${note}` : note)));
  return section("overview", runs.length > 1 ? "Runs" : "Run",
    table(runs.length > 1 ? "The runs beside each other" : "The run", [["", "text"], ...runs.map((run) => [run.name, "text"])], rows, "runs-table"),
    notes.length > 0 && el("ul", { class: "notes" }, notes.map((note) => el("li", {}, note))));
}

// -- learning curves -----------------------------------------------------------------------------------------------------

function curvesSection(runs) {
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.history)))].filter((name) => !name.startsWith("val_"));
  const validationOnly = runs.flatMap((run) => Object.keys(run.history)).filter((name) => name.startsWith("val_") && !names.includes(name.slice(4)));
  const figures = [...names, ...new Set(validationOnly.map((name) => name.slice(4)))];
  const grid = el("div", { class: "grid" });
  const box = el("input", { type: "checkbox", id: "log-scale", onchange: () => draw() });
  function draw() {
    grid.replaceChildren(...[...figures.map((figure) => curveOfFigure(runs, figure, box.checked)), stepCurve(runs, box.checked)].filter(Boolean));
  }
  draw();
  if (grid.childElementCount === 0) grid.append(el("p", { class: "quiet" }, "No epoch is complete yet."));
  return section("curves", "Learning curves",
    el("p", { class: "screen-only" }, box, el("label", { for: "log-scale" }, " logarithmic axis, where all values are positive")), grid);
}

function curveOfFigure(runs, figure, isLogarithmic) {
  const series = runs.flatMap((run, index) => [[figure, "training"], [`val_${figure}`, "validation"]].map(([name, kind], dashIndex) => ({
    name: runs.length > 1 ? `${run.name}, ${kind}` : kind,
    stroke: runs.length > 1 ? color(index) : color(dashIndex), dashes: DASHES[dashIndex],
    points: (run.history[name] ?? []).map((y, epoch) => ({ x: epoch + 1, y })).filter((point) => point.y !== null),
  })));
  const all = series.flatMap((line) => line.points.map((point) => point.y));
  const best = runs.length === 1 && runs[0].best && [figure, `val_${figure}`].includes(runs[0].best.figure) ? runs[0].best : null;
  return lineChart({ title: figure, series, height: 260,
    note: best ? `Best epoch: ${best.epoch} (${best.figure} ${numberText(best.value)}).` : null,
    marks: best ? [Plot.ruleX([best.epoch], { stroke: "var(--quiet)", strokeDasharray: "3 3" })] : [],
    x: { label: "epoch", tickFormat: (epoch) => (Number.isInteger(epoch) ? String(epoch) : "") },
    y: { label: figure, type: isLogarithmic && all.every((value) => value > 0) ? "log" : "linear" } });
}

function stepCurve(runs, isLogarithmic) {
  const series = runs.filter((run) => run.steps).map((run, index) => ({
    name: run.name, stroke: color(runs.indexOf(run)), dashes: null, points: zip(run.steps.step, run.steps.loss).filter((point) => point.y !== null),
  }));
  const isPositive = series.every((line) => line.points.every((point) => point.y > 0));
  return lineChart({ title: "loss by step", series, height: 260, note: "Means over the epoch so far.",
    x: { label: "step" }, y: { label: "loss", type: isLogarithmic && isPositive ? "log" : "linear" } });
}

// -- layers --------------------------------------------------------------------------------------------------------------

function layersPart(run) {
  const { norms, units, step } = run.layers ?? {};
  if (!norms?.length && !units?.length) return null;
  const part = el("div", {}, el("p", { class: "quiet" },
    `At step ${numberText(step)}, the newest checkpoint. Gradients and updates are those of one more step on the first batch, so they vary with the batch.`));
  if (norms?.length) part.append(normChart(norms));
  if (units?.length) {
    const dead = units.filter((layer) => layer.dead > 0);
    part.append(table("Units", ["layer", ["type", "text"], "units", "dead", "share of zeros", "mean", "deviation"],
      units.map((layer) => [layer.layer, layer.type, layer.units, layer.dead, percentText(layer.zeros), layer.mean, layer.deviation]), "cut"),
    el("p", { class: "quiet" }, "A unit is dead if it has the same value for all samples and positions, of at most 256 samples.",
      dead.length === 0 ? " No layer has dead units." : ` Layers with dead units: ${dead.map((layer) => `${layer.layer} (${layer.dead} of ${layer.units})`).join(", ")}.`));
  }
  return part;
}

const MAX_BARS = 60;

function normChart(norms) {
  const groups = [["weight", "weights"], ["gradient", "gradients"], ["update", "update"]].map(([key, name]) => ({ key, name }));
  const hasChange = norms.some((row) => row.change !== null);
  const values = () => table("Norms", ["layer", "parameters", "weights", "gradients", "update", "update / weights", ...(hasChange ? ["change since the start"] : [])],
    norms.map((row) => [row.layer, row.parameters, row.weight, row.gradient, row.update, row.weight ? row.update / row.weight : null, ...(hasChange ? [row.change] : [])]), "cut");
  const rows = norms.slice(0, MAX_BARS).map((row) => ({ name: row.layer, ...Object.fromEntries(groups.map(({ key }) => [key, row[key] > 0 ? row[key] : null])) }));
  return dotChart({ title: "Norms by layer", note: `Euclidean norms of the trainable weights, on a logarithmic axis${norms.length > MAX_BARS ? `; the first ${MAX_BARS} layers` : ""}.`,
    rows, groups, label: "norm", values });
}

// One row a layer, one dot a group: differences of many orders of magnitude stay visible.
function dotChart({ title, note, rows, groups, label, values }) {
  const dots = rows.flatMap((row) => groups.map((group, index) => ({ row: row.name, group: group.name, index, value: row[group.key] }))).filter((dot) => dot.value !== null);
  const longest = Math.max(...rows.map((row) => row.name.length));
  const draw = (width) => {
    const margin = Math.min(width * 0.4, 14 + 6.4 * longest);
    const characters = Math.floor((margin - 14) / 6);
    return plot(width, 46 + 18 * rows.length, {
      marginLeft: margin, ariaLabel: title, x: { type: "log", label, grid: true, nice: true, ticks: width < 400 ? 3 : 6, tickFormat: "~g" },
      y: { domain: rows.map((row) => row.name), label: null, grid: true, tickFormat: (name) => cutText(name, characters) },
      symbol: { domain: groups.map((group) => group.name) },
      marks: [Plot.dot(dots, { x: "value", y: "row", symbol: "group", r: 4, fill: (dot) => color(dot.index), title: (dot) => `${dot.row}, ${dot.group}: ${numberText(dot.value)}` })],
      color: { type: "identity" },
    });
  };
  return chart({ title, note, legend: dotLegend(groups), draw, values });
}

function dotLegend(groups) {
  const symbols = [d3.symbolCircle, d3.symbolCross, d3.symbolDiamond2];
  return el("ul", { class: "legend" }, groups.map((group, index) => el("li", {},
    svg("svg", { width: 12, height: 12, viewBox: "-6 -6 12 12", "aria-hidden": "true" }, svg("path", { d: d3.symbol(symbols[index], 50)(), fill: color(index) })), group.name)));
}

// -- data, resources, files ------------------------------------------------------------------------------------------------

function balancePart(run) {
  if (!run.balance?.length) return null;
  return el("div", {}, run.balance.map((entry) => {
    if (entry.histograms) {
      return histogramChart({ title: `Targets of ${entry.output}`, label: entry.output,
        series: Object.entries(entry.histograms).map(([name, histogram], index) => ({ name, histogram, stroke: color(index) })) });
    }
    const parts = [...new Set(entry.classes.flatMap((row) => Object.keys(row.counts)))];
    const totals = Object.fromEntries(parts.map((part) => [part, entry.classes.reduce((sum, row) => sum + (row.counts[part] ?? 0), 0)]));
    const rows = entry.classes.slice(0, MAX_BARS).map((row) => ({ name: row.label, ...Object.fromEntries(parts.map((part) => [part, totals[part] ? (row.counts[part] ?? 0) / totals[part] : null])) }));
    const values = () => table(`Classes of ${entry.output}`, ["class", ...parts], entry.classes.map((row) => [row.label, ...parts.map((part) => row.counts[part] ?? null)]), "cut");
    return barChart({ title: `Classes of ${entry.output}`, rows, label: "fraction of the samples", values,
      note: `Samples: ${parts.map((part) => `${part} ${numberText(totals[part])}`).join(", ")}.`, groups: parts.map((part) => ({ key: part, name: part })) });
  }));
}

function resourcesSection(runs) {
  const titles = [...new Set(runs.flatMap((run) => run.resources.map(([title]) => title)))];
  const value = (run, title) => {
    const entry = run.resources.find(([own]) => own === title);
    return entry ? `${numberText(entry[1])} ${entry[2]}`.trim() : "";
  };
  if (titles.length === 0) return null;
  return section("resources", "Time and memory", table("Time and memory", [["", "text"], ...runs.map((run) => run.name)],
    titles.map((title) => [title, ...runs.map((run) => value(run, title))])));
}

function filesPart(run) {
  return el("div", {}, run.files.map((file) => el("details", {}, el("summary", {}, file.name), el("pre", { tabindex: "0" }, file.text))));
}
