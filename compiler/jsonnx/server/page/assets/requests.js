// Requests to the server, with the token that the user has typed if the server wants one.

const TOKEN_KEY = "jsonnx-token";
let tokenDialog = null;

class ServerError extends Error {
  constructor(status, document) {
    super(document.error ?? `The server answered ${status}.`);
    Object.assign(this, { status, code: document.code, diagnostics: document.diagnostics ?? [] });
  }
}

// The answer to a request, as text. Throws ServerError for an answer other than 200.
async function requestText(path, options = {}) {
  const token = sessionStorage.getItem(TOKEN_KEY);
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const response = await fetch(path, { ...options, headers, credentials: "omit" }); // without a prompt of the browser
  const text = await response.text();
  if (response.status === 401) {
    await askToken(token);
    return requestText(path, options);
  }
  if (!response.ok) throw new ServerError(response.status, jsonOr(text, {}));
  return text;
}

async function requestJson(path, options) {
  return parsed(await requestText(path, options));
}

function postJson(path, body) {
  return requestJson(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

function jsonOr(text, other) {
  try {
    return parsed(text) ?? other;
  } catch {
    return other;
  }
}

// Asks for the token once, however many requests wait for it. It is kept until the tab is closed.
function askToken(refused) {
  if (sessionStorage.getItem(TOKEN_KEY) !== refused) return Promise.resolve();
  tokenDialog ??= new Promise((resolve) => {
    const input = el("input", { id: "token", type: "password", autocomplete: "off", required: true });
    const dialog = el("dialog", { "aria-labelledby": "token-title" },
      el("h2", { id: "token-title" }, "Token"),
      el("p", {}, refused ? "The server did not accept this token." : "This server answers requests that have its token."),
      el("form", { onsubmit: (event) => {
        event.preventDefault();
        sessionStorage.setItem(TOKEN_KEY, input.value);
        dialog.close();
        dialog.remove();
        tokenDialog = null;
        resolve();
      } },
      el("div", { class: "field" }, el("label", { for: "token" }, "Token"), input,
        el("p", { class: "quiet" }, "Kept in this tab until it is closed.")),
      el("p", {}, el("button", { class: "main" }, "Continue"))));
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    document.body.append(dialog);
    dialog.showModal();
  });
  return tokenDialog;
}

// A block of text with a button that copies it.
function copyBlock(label, text) {
  const status = el("span", { class: "quiet", role: "status" });
  const code = el("pre", { tabindex: "0", "aria-label": label }, text);
  const copy = async () => {
    status.textContent = await copied(text, code) ? "Copied" : "Press Ctrl+C to copy";
    setTimeout(() => { status.textContent = ""; }, 3000);
  };
  return el("div", { class: "copy" },
    el("div", { class: "bar" }, el("h4", {}, label), el("button", { type: "button", onclick: copy, "aria-label": `Copy: ${label}` }, "Copy"), status),
    code);
}

// Whether the text is in the clipboard. Browsers offer one only to HTTPS and to localhost; else the text is selected.
async function copied(text, element) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(element);
    return document.execCommand("copy");
  }
}
