// Elements of the page. All text from specs and data becomes text nodes and attributes, never HTML.

// JSON values whose objects have no prototype: a metric may be called `constructor`, or be missing in a run.
function parsed(text) {
  const withoutPrototype = (value) => (value !== null && typeof value === "object" && !Array.isArray(value) ? Object.setPrototypeOf(value, null) : value);
  return JSON.parse(text, (key, value) => withoutPrototype(value));
}

function el(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === false || value == null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes ?? {})) if (value != null) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// A number as a reader compares it: thousands with commas, fractions with four significant digits.
function numberText(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  if (size >= 1e4 && size < 1e9) return Math.round(value).toLocaleString("en");
  return size < 1e-3 || size >= 1e9 ? value.toExponential(2) : value.toPrecision(4);
}

// The same without zeros at the end, for running text.
function shortText(value) {
  return typeof value === "number" ? String(Number(value.toPrecision(4))) : numberText(value);
}

function percentText(share) {
  return share === null || share === undefined ? "–" : `${(100 * share).toFixed(1)} %`;
}

// A table whose first column has the titles of the rows. Columns: titles, or [title, "text"]; others are numbers.
function table(caption, columns, rows, className) {
  const isText = columns.map((column, index) => index === 0 || Array.isArray(column));
  const titles = columns.map((column) => (Array.isArray(column) ? column[0] : column));
  const cell = (value, index) => {
    const content = value instanceof Node ? value : numberText(value);
    if (index === 0) return el("th", { scope: "row" }, content);
    return el("td", { class: isText[index] ? null : "number" }, content);
  };
  return el("div", { class: `scroll ${className ?? ""}`, tabindex: "0", role: "region", "aria-label": caption },
    el("table", { class: className },
      el("caption", {}, caption),
      el("thead", {}, el("tr", {}, titles.map((title, index) =>
        el("th", { scope: "col", class: isText[index] ? null : "number" }, title)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map(cell))))));
}

// Details whose content is made when they are first opened.
function lazyDetails(title, makeContent, attributes) {
  const details = el("details", attributes, el("summary", {}, title));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(makeContent());
  });
  return details;
}

function section(id, title, ...content) {
  return el("section", { id, "aria-labelledby": `${id}-title` }, el("h2", { id: `${id}-title` }, title), ...content);
}

// One column for each run, side by side where the page is wide enough.
function byRun(runs, makeColumn) {
  const columns = runs.map((run) => [run, makeColumn(run)]).filter(([, content]) => content);
  if (columns.length === 0) return null;
  if (runs.length === 1) return el("div", {}, columns[0][1]);
  return el("div", { class: "columns" }, columns.map(([run, content]) => el("div", {}, el("h3", {}, run.name), content)));
}
