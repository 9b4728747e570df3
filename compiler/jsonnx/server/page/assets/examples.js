// Requests with the values of the form, ready to be copied.

const LANGUAGES = { curl: "curl", python: "Python", javascript: "JavaScript" };
const LANGUAGE_KEY = "jsonnx-language";
const MAX_SHOWN_VALUES = 64;

function examplesView(model, form) {
  const code = el("div", {});
  const chosen = sessionStorage.getItem(LANGUAGE_KEY) ?? "curl";
  let language = chosen in LANGUAGES ? chosen : "curl";
  const show = () => {
    let requests;
    try {
      requests = exampleRequests(model, form);
    } catch {
      return; // while a value is typed, the last examples stay
    }
    code.replaceChildren(...requests.map(({ title, ...request }) => el("div", {},
      copyBlock(title, WRITERS[language](request)), saveLink(language, request))));
  };
  const choice = (key) => el("label", { class: "check" },
    el("input", { type: "radio", name: "language", value: key, checked: key === language, onchange: () => {
      language = key;
      sessionStorage.setItem(LANGUAGE_KEY, key);
      show();
    } }), LANGUAGES[key]);
  show();
  return { element: el("div", {}, el("fieldset", { class: "choice" }, el("legend", {}, "Language"), Object.keys(LANGUAGES).map(choice)), code), show };
}

// Requests: their URLs, and what they send. `file` is the name of a picture that is the body, drawn on `picture`.
function exampleRequests(model, form) {
  const tensors = form.tensors();
  const base = new URL(".", location.href).href;
  const infer = { title: "Open Inference Protocol v2", url: `${base}v2/models/${model.name}/infer`, body: { inputs: tensors } };
  if (!model.has_rows) return [infer];
  const image = form.controls.length === 1 && form.controls[0].image;
  const isPicture = image && image.image.layout !== "flat";
  const predict = { title: "Predictions by name", url: `${base}predict/${model.name}` };
  return [isPicture ? { ...predict, file: "picture.png", picture: image.preview } : { ...predict, body: form.row() }, infer];
}

const hasToken = () => sessionStorage.getItem(TOKEN_KEY) !== null;

const WRITERS = {
  curl: ({ url, body, file }) => {
    const token = hasToken() ? '  -H "Authorization: Bearer $TOKEN" \\\n' : "";
    if (file) return `curl ${quoted(url)} \\\n${token}  -H 'Content-Type: image/png' --data-binary @${file}`;
    if (isLong(body)) return `curl ${quoted(url)} \\\n${token}  -H 'Content-Type: application/json' -d @request.json`;
    return `curl ${quoted(url)} \\\n${token}  -H 'Content-Type: application/json' \\\n  -d ${quoted(spaced(body))}`;
  },
  python: ({ url, body, file }) => {
    const headers = [`"Content-Type": "${file ? "image/png" : "application/json"}"`, ...(hasToken() ? [`"Authorization": "Bearer " + os.environ["TOKEN"]`] : [])];
    return [
      "import json",
      ...(hasToken() ? ["import os"] : []),
      "from urllib.request import Request, urlopen",
      "",
      file ? `body = open("${file}", "rb").read()` : `body = json.dumps(${pythonText(body)}).encode()`,
      `request = Request("${url}", body, {${headers.join(", ")}})`,
      "with urlopen(request) as answer:",
      "    print(json.load(answer))",
    ].join("\n");
  },
  javascript: ({ url, body, file }) => [
    `const response = await fetch("${url}", {`,
    '  method: "POST",',
    `  headers: {"Content-Type": "${file ? "image/png" : "application/json"}"${hasToken() ? ', "Authorization": `Bearer ${token}`' : ""}},`,
    file ? '  body: document.querySelector("input[type=file]").files[0],' : `  body: JSON.stringify(${scriptText(body)}),`,
    "});",
    "console.log(await response.json());",
  ].join("\n"),
};

function isLong(value) {
  return [value.inputs ?? Object.values(value)].flat().some((item) => [item?.data ?? item].flat(Infinity).length > MAX_SHOWN_VALUES);
}

// JSON with a space after commas and colons, outside texts.
function spaced(value) {
  if (Array.isArray(value)) return `[${value.map(spaced).join(", ")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${spaced(item)}`).join(", ")}}`;
}

// A link that saves the file that an example sends, if it sends one.
function saveLink(language, { body, file, picture }) {
  const isSaved = file ? language !== "javascript" : language === "curl" && isLong(body);
  if (!isSaved) return null;
  const save = async () => {
    const blob = file ? await new Promise((resolve) => picture.toBlob(resolve)) : new Blob([JSON.stringify(body)], { type: "application/json" });
    const url = URL.createObjectURL(blob);
    el("a", { href: url, download: file ?? "request.json" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  };
  return el("p", {}, el("button", { type: "button", onclick: save }, `Save ${file ?? "request.json"}`));
}

// An argument of a POSIX shell.
function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function pythonText(value) {
  return literal(value, (items, count) => `[${items}] * ${count}`, { true: "True", false: "False", null: "None" });
}

function scriptText(value) {
  return literal(value, (items, count) => `Array(${count}).fill(${items})`, {});
}

// A literal of a programming language. A long list is written as its first number, repeated.
function literal(value, repeated, words) {
  if (Array.isArray(value)) {
    const flat = value.flat(Infinity);
    if (flat.length > MAX_SHOWN_VALUES) return repeatedList(value, repeated, words);
    return `[${value.map((item) => literal(item, repeated, words)).join(", ")}]`;
  }
  if (value !== null && typeof value === "object") {
    return `{${Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${literal(item, repeated, words)}`).join(", ")}}`;
  }
  return words[String(value)] && typeof value !== "string" ? words[String(value)] : JSON.stringify(value);
}

function repeatedList(value, repeated, words) {
  const first = Array.isArray(value[0]) ? repeatedList(value[0], repeated, words) : literal(value[0], repeated, words);
  return repeated(first, value.length);
}
