// Asks the server of a live page for new figures, and draws what has changed.

const POLL_MILLISECONDS = 2000;

function followRun(runs) {
  const status = document.getElementById("live");
  status.setAttribute("role", "status");
  let etag = null;
  async function poll() {
    let isOver = false;
    try {
      const response = await fetch("values.json", { headers: etag ? { "If-None-Match": etag } : {} });
      if (response.status === 200) {
        etag = response.headers.get("ETag");
        runs[0] = { ...runs[0], ...parsed(await response.text()) };
        replaceSections(runs);
      }
      isOver = runs[0].state !== "running";
      status.textContent = isOver ? `The run is ${runs[0].state}.` : `Live: ${numberText(epochCount(runs[0]))} epochs are complete.`;
    } catch {
      status.textContent = "The server does not answer: the training has ended, or its process is gone. This is the last state.";
      isOver = true;
    }
    if (!isOver) setTimeout(poll, POLL_MILLISECONDS);
  }
  poll();
}

function epochCount(run) {
  return Math.max(0, ...Object.values(run.history).map((values) => values.length));
}

// Replaces the sections that change while a run goes on; what the reader has opened stays open.
function replaceSections(runs) {
  for (const make of [overviewSection, curvesSection, resourcesSection]) {
    const next = make(runs);
    const before = next && document.getElementById(next.id);
    if (!before) continue;
    const isLogarithmic = before.querySelector("#log-scale")?.checked;
    const opened = [...before.querySelectorAll("details")].map((details) => details.open);
    before.replaceWith(next);
    const box = next.querySelector("#log-scale");
    if (box && isLogarithmic) {
      box.checked = true;
      box.dispatchEvent(new Event("change"));
    }
    next.querySelectorAll("details").forEach((details, index) => { details.open = opened[index] ?? false; });
  }
}
