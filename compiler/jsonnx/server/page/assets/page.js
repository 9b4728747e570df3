// The page of a server: the models that it has, and for each its form, figures, signature and requests.

async function start() {
  const main = document.getElementById("main");
  try {
    const names = await readyModels(main);
    window.addEventListener("hashchange", () => showModel(main, names));
    await showModel(main, names);
  } catch (error) {
    main.replaceChildren(el("section", {}, el("h1", {}, "No answer"), el("p", { class: "bad" }, error.message)));
  }
}

// The names of the models that are ready. While there are none, the page says so, and asks again.
async function readyModels(main) {
  for (;;) {
    const index = await postJson("v2/repository/index", {});
    const names = [...new Set(index.filter(({ state }) => state === "READY").map(({ name }) => name))];
    if (names.length) return names;
    const states = index.map(({ name, state, reason }) => el("li", {}, `${name}: ${state}${reason ? `, ${reason}` : ""}`));
    main.replaceChildren(el("section", {}, el("h1", {}, "No model is ready yet"), el("ul", {}, states)));
    await new Promise((resolve) => setTimeout(resolve, POLL_MILLISECONDS));
  }
}

async function showModel(main, names) {
  const wanted = decodeURIComponent(location.hash.slice(1));
  const name = names.includes(wanted) ? wanted : names[0];
  document.getElementById("models").replaceChildren(names.length < 2 ? "" : el("ul", {}, names.map((item) =>
    el("li", {}, el("a", { href: `#${encodeURIComponent(item)}`, "aria-current": item === name ? "page" : null }, item)))));
  document.querySelector("a[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  const model = await requestJson(`v2/models/${encodeURIComponent(name)}/form`);
  document.title = `${name} · jsonnx server`;
  main.replaceChildren(...modelView(model));
}

function modelView(model) {
  const result = el("div", { "aria-live": "polite", class: "result" }, el("p", { class: "quiet" }, "The prediction appears here."));
  let examples = null;
  const form = new ModelForm(model, () => predict(model, form, result), () => examples?.show());
  examples = examplesView(model, form);
  return [
    el("div", { class: "title" }, el("h1", {}, model.name), model.description && el("p", {}, model.description)),
    section("try", "Try it", el("div", { class: "pair" }, form.element, result)),
    section("figures", "Figures", figuresView(model)),
    section("drift", "Drift", driftView(model)),
    section("signature", "Signature", signatureView(model)),
    section("requests", "Requests", el("p", { class: "quiet" }, "With the values of the form above."), examples.element),
  ];
}

async function predict(model, form, result) {
  form.clearErrors();
  form.button.disabled = true;
  try {
    const start = performance.now();
    const prediction = model.has_rows
      ? (await postJson(`predict/${encodeURIComponent(model.name)}`, form.row())).prediction
      : predictionOfTensors((await postJson(`v2/models/${encodeURIComponent(model.name)}/infer`, { inputs: form.tensors() })).outputs);
    const milliseconds = performance.now() - start;
    result.replaceChildren(...predictionView(model, prediction), el("p", { class: "quiet" }, `Answered in ${shortText(Number(milliseconds.toPrecision(2)))} ms.`));
  } catch (error) {
    result.replaceChildren(el("p", { class: "quiet" }, "There is no prediction."));
    form.showFailure(error);
  } finally {
    form.button.disabled = false;
  }
}

function signatureView(model) {
  const shape = (tensor) => `[${tensor.shape.join(", ")}]`;
  const columns = (name) => [...new Set(model.fields.filter(({ input }) => input === name).map(({ column }) => column))].join(", ");
  const inputs = model.inputs.map((input) => [input.name, input.datatype, shape(input), model.has_rows ? columns(input.name) : "–"]);
  const outputs = model.outputs.map((output) => [output.name, output.datatype, shape(output), output.classes ? classesText(output.classes) : "–"]);
  return [
    table("Inputs", ["input", ["datatype", "text"], ["shape", "text"], ["columns of a row", "text"]], inputs),
    table("Outputs", ["output", ["datatype", "text"], ["shape", "text"], ["classes", "text"]], outputs),
    el("dl", { class: "facts" }, [
      ["Version", model.version],
      ["Batching", model.batching.allowed ? `requests share runs: ${model.batching.reason}` : `each request is run by itself: ${model.batching.reason}`],
      model.digest && ["Digest", el("code", {}, model.digest)],
    ].filter(Boolean).map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, value)))),
  ];
}

function classesText({ labels, decision, threshold }) {
  const cuts = typeof threshold === "object" ? labels.map((label) => shortText(threshold[label])).join(", ") : shortText(threshold);
  return `${labels.join(", ")}: ${decision}${threshold === undefined ? "" : ` (${cuts})`}`;
}

start();
