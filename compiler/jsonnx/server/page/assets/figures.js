// Live figures of a model, from the server's metrics in Prometheus' text format.

const POLL_MILLISECONDS = 2000;
const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

// All samples of a text: names, labels and values.
function parsedMetrics(text) {
  return text.split("\n").map((line) => SAMPLE.exec(line)).filter(Boolean).map(([, name, labels, value]) => ({
    name,
    labels: Object.fromEntries([...(labels ?? "").matchAll(LABEL)].map(([, key, own]) => [key, own.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c))])),
    value: Number(value.replace("Inf", "Infinity")),
  }));
}

// The figures of a version of a model; null where the server does not measure them.
function modelFigures(samples, model) {
  const own = samples.filter(({ labels }) => labels.model === model.name && labels.version === model.version);
  const sum = (name) => own.filter((sample) => sample.name === name).reduce((total, { value }) => total + value, 0);
  const executions = sum("jsonnx_executions_total");
  const ran = sum("jsonnx_batch_rows_sum");
  return {
    requests: sum("jsonnx_request_success_total") + sum("jsonnx_request_failure_total"),
    failures: sum("jsonnx_request_failure_total"),
    rows: sum("jsonnx_rows_total"),
    batch: executions ? ran / executions : null,
    waiting: sum("jsonnx_queue_rows"),
    compute: quantiles(own, "jsonnx_compute_seconds"),
    queue: quantiles(own, "jsonnx_queue_seconds"),
  };
}

// The median and the 99th percentile of a histogram in seconds, interpolated in its buckets.
function quantiles(samples, name) {
  const buckets = samples.filter((sample) => sample.name === `${name}_bucket`)
    .map(({ labels, value }) => ({ bound: Number(labels.le.replace("Inf", "Infinity")), count: value })).sort((a, b) => a.bound - b.bound);
  const total = buckets.at(-1)?.count ?? 0;
  return total ? [0.5, 0.99].map((share) => quantile(buckets, share * total)) : null;
}

function quantile(buckets, rank) {
  const index = buckets.findIndex(({ count }) => count >= rank);
  const { bound, count } = buckets[index];
  const before = buckets[index - 1] ?? { bound: 0, count: 0 };
  if (bound === Infinity) return before.bound;
  return before.bound + ((bound - before.bound) * (rank - before.count)) / (count - before.count);
}

function secondsText(seconds) {
  if (seconds < 0.001) return `${shortText(Number((seconds * 1e6).toPrecision(3)))} µs`;
  return seconds < 1 ? `${shortText(Number((seconds * 1e3).toPrecision(3)))} ms` : `${shortText(Number(seconds.toPrecision(3)))} s`;
}

function figuresView(model) {
  const names = { requests: "Requests", rows: "Rows", failures: "Failures", rate: "Requests a second", batch: "Rows a run, mean",
    waiting: "Rows that wait", compute: "Compute, p50 / p99", queue: "Queue, p50 / p99" };
  const cells = Object.fromEntries(Object.keys(names).map((key) => [key, el("dd", {}, "–")]));
  const note = el("p", { class: "quiet", role: "status" });
  const element = el("div", {}, el("dl", { class: "figures" }, Object.entries(names).map(([key, name]) => el("div", {}, el("dt", {}, name), cells[key]))), note);
  let last = null;
  const show = (figures) => {
    const now = performance.now();
    const rate = last ? ((figures.requests - last.requests) * 1000) / (now - last.now) : null;
    last = { requests: figures.requests, now };
    for (const key of ["requests", "rows", "failures", "batch", "waiting"]) cells[key].textContent = key === "batch" && figures.batch ? shortText(figures.batch) : numberText(figures[key]);
    for (const key of ["compute", "queue"]) cells[key].textContent = figures[key] ? figures[key].map(secondsText).join(" / ") : "–";
    cells.rate.textContent = rate === null ? "–" : shortText(Math.max(0, Number(rate.toPrecision(3))));
  };
  const poll = async () => {
    if (!element.isConnected) return;
    if (document.visibilityState === "visible") {
      try {
        show(modelFigures(parsedMetrics(await requestText("metrics")), model));
        note.textContent = "";
      } catch (error) {
        note.textContent = error instanceof ServerError ? `No figures: ${error.message}` : "The server does not answer.";
      }
    }
    setTimeout(poll, POLL_MILLISECONDS);
  };
  setTimeout(poll, 0);
  return element;
}
