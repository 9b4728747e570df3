// What is shown of an output: scores, curves, confusion, calibration, residuals, and samples.

const UNIT_INTERVAL = [0, 1];
const DIAGONAL = [{ x: 0, y: 0 }, { x: 1, y: 1 }];

function zip(xs, ys) {
  return xs.map((x, index) => ({ x, y: ys[index] }));
}

function scoresTable(title, entries) {
  const names = [...new Set(entries.flatMap(([, scores]) => Object.keys(scores)))];
  return table(title, [["score", "text"], ...entries.map(([name]) => name)],
    names.map((name) => [name, ...entries.map(([, scores]) => scores[name] ?? null)]));
}

// The curves of all runs in one chart if each has one curve, else charts for each run.
function curveCharts(entries) {
  const isCompared = entries.length > 1 && entries.every(([, output]) => output.curves.length === 1);
  const groups = isCompared
    ? [entries.map(([run, output]) => [run.name, output.curves[0]])]
    : entries.map(([, output]) => output.curves.map((curve) => [curve.label, curve]));
  return groups.map((curves) => {
    const series = (points, area) => curves.map(([name, curve], index) => ({
      name: curves.length > 1 ? `${name} (${numberText(curve[area])})` : name,
      points: zip(...curve[points]), stroke: color(index), dashes: dash(index),
    }));
    const areaNote = (name, area) => curves.length > 1 ? `In parentheses: ${name}.` : `${name} ${numberText(curves[0][1][area])}`;
    return [
      lineChart({ title: "ROC", note: areaNote("area under the curve", "auc"), series: series("roc", "auc"), reference: DIAGONAL,
        x: { label: "false positive rate", domain: UNIT_INTERVAL }, y: { label: "true positive rate", domain: UNIT_INTERVAL } }),
      lineChart({ title: "Precision and recall", note: areaNote("average precision", "average_precision"),
        series: series("precision_recall", "average_precision"), curve: "step-before",
        x: { label: "recall", domain: UNIT_INTERVAL }, y: { label: "precision", domain: UNIT_INTERVAL } }),
    ];
  });
}

function calibrationChart(entries) {
  const series = entries.map(([run, output], index) => ({
    name: run.name, stroke: color(index), dashes: dash(index), points: zip(output.calibration.predicted, output.calibration.observed),
  }));
  const exclusive = entries[0][1].kind === "exclusive";
  const values = () => table("Calibration", [["run", "text"], "samples", "predicted", "observed"], entries.flatMap(([run, { calibration }]) =>
    calibration.counts.map((count, index) => [run.name, count, calibration.predicted[index], calibration.observed[index]])), "cut");
  const dots = entries.map(([, { calibration }], index) => Plot.dot(
    calibration.counts.map((count, bin) => ({ count, x: calibration.predicted[bin], y: calibration.observed[bin] })),
    { x: "x", y: "y", r: (bin) => 2 + 6 * Math.sqrt(bin.count / Math.max(...calibration.counts)), fill: color(index), fillOpacity: 0.6 }));
  return lineChart({ title: "Calibration", series, reference: DIAGONAL, values, marks: dots,
    note: `Samples in ten bins of their predicted probability; larger dots have more samples. Expected calibration error ${entries.map(([, output]) => numberText(output.calibration.error)).join(", ")}.`,
    x: { label: exclusive ? "probability of the predicted class" : "predicted probability", domain: UNIT_INTERVAL },
    y: { label: exclusive ? "fraction that is right" : "fraction of positives", domain: UNIT_INTERVAL } });
}

function matrixTable(matrix) {
  const totals = matrix.counts.map((row) => row.reduce((sum, count) => sum + count, 0));
  const cells = (row, index) => row.map((count, column) => {
    const share = totals[index] ? count / totals[index] : 0;
    const cell = el("td", { class: share > 0.5 ? "full" : null, title: `${matrix.labels[index]} predicted as ${matrix.labels[column]}: ${percentText(share)}` }, numberText(count));
    cell.style.setProperty("--share", share.toFixed(3));
    return cell;
  });
  return el("figure", {},
    el("figcaption", {}, el("h4", {}, "Confusion matrix"), el("p", { class: "quiet" }, "Rows: true classes. Columns: predicted classes. Color: share of the row.")),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Confusion matrix" }, el("table", { class: "matrix" },
      el("thead", {}, el("tr", {}, el("td", {}), matrix.labels.map((label) => el("th", { scope: "col", title: label }, label)))),
      el("tbody", {}, matrix.counts.map((row, index) => el("tr", {}, el("th", { scope: "row", title: matrix.labels[index] }, matrix.labels[index]), cells(row, index)))))));
}

function classTable(output) {
  const areas = Object.entries(output.areas ?? {});
  const cuts = output.classes.some((row) => "threshold" in row) ? ["threshold"] : [];
  const rows = output.classes.map((row, index) => [row.label, row.support, row.predicted, ...cuts.map((key) => row[key]), row.precision,
    row.recall, row.f1, ...areas.map(([, values]) => values[index])]);
  return table("Classes", ["class", "samples", "predicted", ...cuts, "precision", "recall", "F1", ...areas.map(([name]) => name)], rows, "cut");
}

function confusionsTable(output) {
  return output.confusions.length === 0 ? null : lazyDetails("Most frequent confusions", () =>
    table("Most frequent confusions", [["true class", "text"], ["predicted class", "text"], "samples"],
      output.confusions.map((pair) => [pair.true, pair.predicted, pair.count]), "cut"));
}

// Counts at a threshold that the reader moves.
function thresholdPart(output, name) {
  const { thresholds, true_positives: hits, false_positives: alarms, positives, negatives, chosen } = output.threshold;
  const at = (index) => {
    const [tp, fp] = [hits[index], alarms[index]];
    const precision = tp + fp ? tp / (tp + fp) : null;
    const recall = positives ? tp / positives : null;
    return { tp, fp, fn: positives - tp, tn: negatives - fp, precision, recall,
      f1: tp + fp + positives ? (2 * tp) / (tp + fp + positives) : null, accuracy: (tp + negatives - fp) / (positives + negatives) };
  };
  const points = thresholds.map((threshold, index) => ({ threshold, ...at(index) }));
  const series = ["precision", "recall", "f1", "accuracy"].map((key, index) => ({
    name: key === "f1" ? "F1" : key, stroke: color(index), points: points.filter((point) => point[key] !== null).map((point) => ({ x: point.threshold, y: point[key] })),
  }));
  const nearest = thresholds.reduce((best, threshold, index) => (Math.abs(threshold - chosen) < Math.abs(thresholds[best] - chosen) ? index : best), 0);
  const status = el("div", { "aria-live": "polite" });
  const show = (index) => {
    const counts = at(index);
    status.replaceChildren(table(`At the threshold ${shortText(thresholds[index])}`, [["score", "text"], "value"], [
      ["true positives", counts.tp], ["false positives", counts.fp], ["false negatives", counts.fn], ["true negatives", counts.tn],
      ["precision", counts.precision], ["recall", counts.recall], ["F1", counts.f1], ["accuracy", counts.accuracy]]));
  };
  const id = `threshold-${name}`;
  const slider = el("input", { type: "range", id, min: 0, max: thresholds.length - 1, value: nearest, oninput: () => show(Number(slider.value)) });
  show(nearest);
  return [lineChart({ title: "Threshold", series, note: `The model's threshold is ${shortText(chosen)}.${output.kind === "multi_label" ? " Counts of all labels together." : ""}`,
    marks: [Plot.ruleX([chosen], { stroke: "var(--quiet)", strokeDasharray: "3 3" })],
    x: { label: "threshold" }, y: { label: "score", domain: UNIT_INTERVAL } }),
  el("div", {}, el("p", { class: "screen-only" }, el("label", { for: id }, "Threshold "), slider), status)];
}

function confidenceChart(entries) {
  const series = entries.flatMap(([run, { confidence }], index) => ["accuracy", "share"].map((key, dashIndex) => ({
    name: `${entries.length > 1 ? `${run.name}, ` : ""}${key === "share" ? "share of the samples" : "accuracy of them"}`,
    stroke: color(index), dashes: DASHES[dashIndex], points: zip(confidence.thresholds, confidence[key]),
  })));
  return lineChart({ title: "Threshold of confidence", series, note: "Samples whose predicted class has at least this probability.",
    x: { label: "probability of the predicted class", domain: UNIT_INTERVAL }, y: { label: "fraction", domain: UNIT_INTERVAL } });
}

function scatterChart(unit) {
  const points = zip(...unit.points);
  const all = points.flatMap((point) => [point.x, point.y]);
  const range = [Math.min(...all), Math.max(...all)];
  const title = `Predicted against true: ${unit.label}`;
  const draw = (width) => plot(width, 300, {
    ariaLabel: title, x: { label: "true", domain: range, nice: true }, y: { label: "predicted", domain: range, nice: true },
    marks: [Plot.line(range.map((value) => ({ value })), { x: "value", y: "value", stroke: "var(--quiet)", strokeDasharray: "3 3" }),
      Plot.dot(points, { x: "x", y: "y", r: 2.5, fill: color(0), fillOpacity: 0.5 }),
      Plot.tip(points, Plot.pointer({ x: "x", y: "y", title: (point) => `true: ${numberText(point.x)}\npredicted: ${numberText(point.y)}` }))],
  });
  return chart({ title, draw, note: "The line is a perfect prediction.", values: () => table(title, [["sample", "text"], "true", "predicted"],
    points.map((point, index) => [String(index + 1), point.x, point.y]), "cut") });
}

function residualsOfTrue(unit) {
  const points = zip(...unit.points).map((point) => ({ x: point.x, y: point.y - point.x }));
  const title = `Residuals over true values: ${unit.label}`;
  const draw = (width) => plot(width, 300, { ariaLabel: title, x: { label: "true", nice: true }, y: { label: "predicted − true", nice: true },
    marks: [Plot.ruleY([0], { stroke: "var(--quiet)", strokeDasharray: "3 3" }), Plot.dot(points, { x: "x", y: "y", r: 2.5, fill: color(0), fillOpacity: 0.5 })] });
  return chart({ title, draw, values: () => table(title, [["sample", "text"], "true", "predicted − true"],
    points.map((point, index) => [String(index + 1), point.x, point.y]), "cut") });
}

function numberCharts(output) {
  return output.units.map((unit) => el("div", { class: "grid" }, scatterChart(unit), residualsOfTrue(unit),
    histogramChart({ title: `Residuals: ${unit.label}`, label: "predicted − true", series: [{ name: unit.label, histogram: unit.residuals, stroke: color(0) }] })));
}

// The network beside baselines: their metrics, and the difference that decides.
function baselinesPart(run, name, allRuns) {
  const comparison = run.baselines?.find(({ output }) => output === name);
  if (!comparison) return null;
  const notes = el("ul", { class: "quiet" }, comparison.notes.map((note) => el("li", {}, note)));
  if (comparison.models.length === 0) return notes;
  const metrics = Object.entries(comparison.models[0].figures).filter(([, value]) => !Array.isArray(value)).map(([metric]) => metric);
  const range = (bounds) => (bounds ? `${shortText(bounds[0])} to ${shortText(bounds[1])}` : "");
  const rows = comparison.models.map((model) => [model.model, ...metrics.map((metric) => model.figures[metric]), range(model.interval), range(model.difference_interval)]);
  const title = `Baselines${allRuns.length > 1 ? ` of ${run.name}` : ""}`;
  return el("div", {}, table(title, [["model", "text"], ...metrics, [`${comparison.metric}, 95 %`, "text"], ["network minus this, 95 %", "text"]], rows),
    el("p", {}, comparison.verdict), notes);
}

// How many targets lie below each quantile, and the interval between the outermost ones.
function quantileCharts({ levels, observed, pinball, interval, samples }) {
  const title = "Predicted intervals";
  const [lowest, highest] = [levels[0], levels.at(-1)].map(shortText);
  const rows = samples.true.map((value, index) => ({
    x: index + 1, true: value, low: samples.low[index], middle: samples.middle[index], high: samples.high[index],
  }));
  const draw = (width) => plot(width, 300, {
    ariaLabel: title, x: { label: "samples, by their middle quantile", ticks: [] }, y: { label: "value", nice: true },
    marks: [Plot.ruleX(rows, { x: "x", y1: "low", y2: "high", stroke: color(0), strokeWidth: 2, strokeOpacity: 0.5 }),
      Plot.dot(rows, { x: "x", y: "middle", r: 2, fill: color(0) }), Plot.dot(rows, { x: "x", y: "true", r: 2.5, fill: color(1) }),
      Plot.tip(rows, Plot.pointer({ x: "x", y: "true",
        title: (row) => `quantile ${lowest}: ${numberText(row.low)}\nquantile ${highest}: ${numberText(row.high)}\ntrue: ${numberText(row.true)}` }))],
  });
  const note = `Bars from quantile ${lowest} to ${highest}: ${percentText(interval.coverage)} of the targets are inside, ${percentText(interval.nominal)} are expected. Mean width ${numberText(interval["mean width"])}.`;
  const legendEntries = legend([{ name: "quantile next to the median", stroke: color(0) }, { name: "true value", stroke: color(1) }]);
  const values = () => table(title, [["sample", "text"], "lowest", "middle", "highest", "true"],
    rows.map((row) => [String(row.x), row.low, row.middle, row.high, row.true]), "cut");
  return el("div", { class: "grid" },
    chart({ title, note, legend: legendEntries, draw, values }),
    lineChart({ title: "Calibration of quantiles", series: [{ name: "targets", stroke: color(0), points: zip(levels, observed) }], reference: DIAGONAL,
      x: { label: "quantile", domain: UNIT_INTERVAL }, y: { label: "fraction of targets below it", domain: UNIT_INTERVAL } }),
    table("Quantiles", [["quantile", "text"], "targets below it", "pinball loss"],
      levels.map((level, index) => [shortText(level), observed[index], pinball[index]])));
}

// An output, in all runs that have it: [run, output].
function outputPart(name, entries, allRuns) {
  const shown = entries.filter(([, output]) => output.rows > 0);
  const runs = shown.map(([run]) => run);
  const outputOf = new Map(shown);
  const areas = ([, output]) => ({ __proto__: null, ...output.scores, ...Object.fromEntries(Object.entries(output.mean_areas ?? {}).map(([key, value]) => [`mean ${key}`, value])) });
  const part = el("div", {}, el("h3", {}, `Output ${name}`),
    el("p", { class: "quiet" }, shown.map(([run, output]) => `${allRuns.length > 1 ? `${run.name}: ` : ""}${numberText(output.rows)} predictions for ${run.evaluated}`).join("; "), "."),
    scoresTable("Scores", shown.map((entry) => [entry[0].name, areas(entry)])));
  const withCurves = shown.filter(([, output]) => output.curves?.length);
  const compared = el("div", { class: "grid" });
  const curves = curveCharts(withCurves);
  if (curves.length === 1) compared.append(...curves[0].filter(Boolean));
  const calibrated = shown.filter(([, output]) => output.calibration);
  if (calibrated.length) compared.append(calibrationChart(calibrated));
  const confident = shown.filter(([, output]) => output.confidence);
  if (confident.length) compared.append(confidenceChart(confident));
  part.append(compared, ...runs.map((run) => baselinesPart(run, name, allRuns)).filter(Boolean));
  const columns = byRun(runs, (run) => {
    const output = outputOf.get(run);
    const ownCurves = curves.length > 1 ? curves[withCurves.findIndex(([other]) => other === run)] : null;
    return el("div", {},
      ownCurves && el("div", { class: "grid" }, ownCurves),
      output.matrix && matrixTable(output.matrix), output.confusions && confusionsTable(output),
      output.classes && classTable(output),
      output.threshold && el("div", { class: "grid" }, thresholdPart(output, `${name}-${allRuns.indexOf(run)}`)),
      output.quantiles && quantileCharts(output.quantiles),
      output.units && numberCharts(output),
      output.units && output.unit_count > output.units.length && el("p", { class: "quiet" }, `The first ${output.units.length} of ${output.unit_count} numbers are drawn.`));
  });
  part.append(columns ?? "");
  return part;
}

// -- samples -----------------------------------------------------------------------------------------------------------

function shownValue(value, title) {
  if (value.saliency) return el("div", { class: "pair" }, shownValue({ picture: value.picture }, title), shownValue({ picture: value.saliency }, `where the prediction depends on ${title}`));
  if (value.picture) return el("img", { src: value.picture, alt: title });
  if (value.text !== undefined) return el("blockquote", {}, value.text);
  return el("div", {}, el("table", {}, el("tbody", {}, value.values.map(([name, number]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: "number" }, number))))),
    value.omitted ? el("p", { class: "quiet" }, `and ${numberText(value.omitted)} more numbers`) : null);
}

function exampleCard(example) {
  const single = example.inputs.length === 1;
  const verdict = example.right === undefined ? null : example.right ? "good" : "bad";
  const prediction = (key, title) => example[`${key}_picture`]
    ? el("div", {}, title, el("img", { src: example[`${key}_picture`], alt: `${title} of sample ${example.sample}` }))
    : el("div", {}, el("strong", {}, `${title}: `), el("span", { class: key === "predicted" ? verdict : null }, example[key]));
  const tabular = example.inputs.filter((input) => input.values && input.values.length === 1);
  const others = example.inputs.filter((input) => !tabular.includes(input));
  return el("li", {},
    el("div", { class: "quiet" }, `sample ${numberText(example.sample)}, error ${numberText(example.error)}`),
    others.map((input) => el("div", {}, single ? null : el("span", { class: "quiet" }, input.name), shownValue(input, `input ${input.name} of sample ${example.sample}`))),
    tabular.length > 0 && shownValue({ values: tabular.map((input) => [input.name, input.values[0][1]]) }),
    el("div", { class: example.true_picture ? "pair" : null }, prediction("true", "true"), prediction("predicted", "predicted")));
}

function examplesPart(output) {
  const list = (examples) => {
    const isWide = examples.some((example) => example.inputs.some((input) => !input.picture));
    return el("ul", { class: isWide ? "examples wide" : "examples" }, examples.map(exampleCard));
  };
  return el("div", {}, el("h3", {}, `Output ${output.name}`),
    el("p", { class: "quiet" }, `The error of a sample is ${output.examples.error_meaning}.`),
    output.examples.worst.some((example) => example.inputs.some((input) => input.saliency)) &&
      el("p", { class: "quiet" }, "Beside a picture: the magnitude of the gradient of the prediction by each pixel; where it is bright, a small change of the pixel changes the prediction most."),
    el("h4", {}, "Worst predictions"), list(output.examples.worst),
    el("h4", {}, "Most typical predictions"), el("p", { class: "quiet" }, `Here: ${output.examples.typical_meaning}.`), list(output.examples.typical));
}

// -- columns -----------------------------------------------------------------------------------------------------------

// How much the metric becomes worse if a column is permuted, with its interval.
function importancePart({ importance }) {
  if (!importance) return null;
  const rows = importance.columns.filter((row) => row.importance !== null);
  const label = `by how much ${importance.metric} becomes worse`;
  const draw = (width) => {
    const margin = Math.min(width * 0.4, 12 + 6.6 * Math.max(...rows.map((row) => row.name.length)));
    return plot(width, 44 + 18 * rows.length, {
      marginLeft: margin, ariaLabel: "Importance of columns", x: { label, grid: true, zero: true },
      y: { grid: false, label: null, domain: rows.map((row) => row.name), tickSize: 0, tickFormat: (name) => cutText(name, Math.floor((margin - 12) / 6)) },
      marks: [
        Plot.barX(rows, { y: "name", x: "importance", fill: color(0), insetTop: 3, insetBottom: 3 }),
        Plot.ruleY(rows.filter((row) => row.low !== null), { y: "name", x1: "low", x2: "high", stroke: "currentColor" }),
        Plot.ruleX([0]),
      ],
    });
  };
  const values = () => table("Permutation importance", [["column", "text"], "importance", "from", "to"],
    importance.columns.map((row) => [row.name, row.importance, row.low, row.high]));
  return el("div", {},
    chart({ title: "Permutation importance", draw, values,
      note: `On ${numberText(importance.samples)} samples whose values of one column are permuted; the line is a 95 % interval, over ${importance.repeats} permutations of bootstrap samples.` }),
    importance.omitted ? el("p", { class: "quiet" }, `${numberText(importance.omitted)} more columns are not measured.`) : null);
}
