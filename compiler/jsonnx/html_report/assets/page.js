// Builds the page from its data.

// Sections with the same content for all runs, such as the network of runs that differ in their seed, are shown once.
function distinct(runs, key) {
  const seen = new Map();
  for (const run of runs) {
    const text = JSON.stringify(run[key] ?? null);
    if (run[key] && !seen.has(text)) seen.set(text, run);
  }
  const isShared = seen.size === 1 && runs.every((run) => run[key]);
  return [[...seen.values()], isShared];
}

function sharedSection(id, title, runs, key, makePart) {
  const [shown, isShared] = distinct(runs, key);
  const content = isShared ? makePart(shown[0]) : byRun(runs, (run) => (run[key] ? makePart(run) : null));
  return content && section(id, title, isShared && runs.length > 1 && el("p", { class: "quiet" }, "The same in all runs."), content);
}

function outputsSection(runs) {
  const names = [...new Set(runs.flatMap((run) => (run.outputs ?? []).map((output) => output.name)))];
  if (names.length === 0) return null;
  return section("predictions", "Predictions", names.map((name) => outputPart(name,
    runs.map((run) => [run, run.outputs?.find((output) => output.name === name)]).filter(([, output]) => output), runs)));
}

function sections(runs) {
  const examples = byRun(runs, (run) => (run.outputs?.length ? el("div", {}, run.outputs.filter((output) => output.rows > 0).map(examplesPart)) : null));
  const importance = byRun(runs, importancePart);
  const layers = byRun(runs, layersPart);
  return [
    overviewSection(runs),
    curvesSection(runs),
    outputsSection(runs),
    examples && section("examples", "Examples", examples),
    importance && section("importance", "Importance of columns", importance),
    sharedSection("network", "Network", runs, "network", (run) => networkPart(run.network)),
    layers && section("layers", "Layers", layers),
    sharedSection("data", "Targets in the data", runs, "balance", balancePart),
    resourcesSection(runs),
    section("files", "Spec and lock", byRun(runs, filesPart)),
  ].filter(Boolean);
}

function build() {
  const data = parsed(document.getElementById("data").textContent);
  const shown = sections(data.runs);
  const links = shown.map((part) => el("li", {}, el("a", { href: `#${part.id}` }, part.firstChild.textContent)));
  document.getElementById("report").append(
    el("header", {}, el("h1", {}, data.title), el("p", { class: "quiet", id: "live" })),
    el("nav", { "aria-label": "Sections" }, el("ul", {}, links)),
    ...shown);
  if (data.live) followRun(data.runs);
  document.documentElement.dataset.state = "built";
}

window.addEventListener("error", (event) => {
  document.documentElement.dataset.error = event.message;
});
build();
