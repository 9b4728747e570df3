// What came in, by column, and the drift of columns and predictions from the training data.

const DRIFT_POLL_MILLISECONDS = 5000;
const DRIFT_COLUMNS = ["rows", "missing", "unknown", "out of range", "PSI", ["drift", "text"]];

function driftRow({ column, rows, missing, unknown, out_of_range: outOfRange, psi, meaning }) {
  const share = (count) => (!count ? count : `${numberText(count)} (${percentText(count / rows)})`);
  const drift = meaning === "large" ? el("span", { class: "bad" }, meaning) : meaning;
  return [column, rows, share(missing), share(unknown), share(outOfRange), psi === null ? null : psi.toFixed(3), drift];
}

function driftView(model) {
  const element = el("div", {});
  const tables = el("div", {});
  const note = el("p", { class: "quiet", role: "status" });
  const path = `drift/${encodeURIComponent(model.name)}/versions/${encodeURIComponent(model.version)}`;
  element.append(tables, note);
  let shown = "";
  const poll = async () => {
    if (!element.isConnected) return;
    if (document.visibilityState === "visible") {
      try {
        const text = await requestText(path);
        if (text !== shown) {
          shown = text;
          const { reason, columns, outputs } = JSON.parse(text);
          tables.replaceChildren(...(reason === null ? [table("Columns", ["column", ...DRIFT_COLUMNS], columns.map(driftRow)), table("Predictions", ["prediction", ...DRIFT_COLUMNS], outputs.map(driftRow))] : []));
          note.textContent = reason === null
            ? "PSI: the population stability index of the last rows against the training data. Below 0.1 there is no drift, from 0.25 on it is large."
            : `Not compared with the training data: ${reason}`;
        }
      } catch (error) {
        note.textContent = error instanceof ServerError ? `No figures: ${error.message}` : "The server does not answer.";
      }
    }
    setTimeout(poll, DRIFT_POLL_MILLISECONDS);
  };
  setTimeout(poll, 0);
  return element;
}
