// The OpenAPI document of the server, as a page.

const MAX_SCHEMA_DEPTH = 6;
const MAX_EXAMPLE_CHARACTERS = 2000;

async function start() {
  const main = document.getElementById("main");
  try {
    const api = await requestJson("openapi.json");
    main.replaceChildren(...apiView(api));
  } catch (error) {
    main.replaceChildren(el("section", {}, el("h1", {}, "No answer"), el("p", { class: "bad" }, error.message)));
  }
}

function apiView(api) {
  const operations = Object.entries(api.paths).flatMap(([path, item]) => Object.entries(item).filter(([verb]) => verb !== "parameters")
    .map(([verb, operation]) => ({ path, verb, operation, parameters: item.parameters ?? [] })));
  return [
    el("div", { class: "title" }, el("h1", {}, "API"), el("p", {}, api.info.description)),
    ...api.tags.map(({ name }, index) => section(`tag-${index}`, name,
      operations.filter(({ operation }) => operation.tags.includes(name)).map((item) => operationView(api, item)))),
  ];
}

function operationView(api, { path, verb, operation, parameters }) {
  return lazyDetails(el("span", {}, el("span", { class: "verb" }, verb.toUpperCase()), " ", el("code", {}, path), ` ${operation.summary}`), () => el("div", {},
    parameters.length > 0 && table("Path", ["parameter", ["value", "text"]], parameters.map(({ name, schema }) => [name, schemaText(api, schema)])),
    operation.requestBody && [el("h3", {}, "Request"), contentView(api, operation.requestBody.content)],
    el("h3", {}, "Answers"),
    Object.entries(operation.responses).map(([status, response]) => {
      const { description, content } = resolved(api, response);
      return el("div", {}, el("p", {}, el("strong", {}, status), ` ${description}`), status === "200" && content && contentView(api, content));
    })), { class: "operation" });
}

function contentView(api, content) {
  return Object.entries(content).map(([type, { schema, example, examples }]) => el("div", {},
    el("p", {}, el("code", {}, type), schema.description && ` ${schema.description}`),
    type === "application/json" && el("pre", { tabindex: "0", "aria-label": `Schema of ${type}` }, schemaText(api, schema)),
    [...(example ? [["Example", example]] : []), ...Object.values(examples ?? {}).map(({ summary, value }) => [summary, value])]
      .map(([label, value]) => copyBlock(label, exampleText(value)))));
}

function exampleText(value) {
  const text = JSON.stringify(value, null, 2);
  return text.length <= MAX_EXAMPLE_CHARACTERS ? text : JSON.stringify(value);
}

function resolved(api, value) {
  return value.$ref ? value.$ref.slice(2).split("/").reduce((part, key) => part[key], api) : value;
}

// A schema as it is read: objects with their properties, `?` behind optional ones.
function schemaText(api, schema, depth = 0) {
  const own = resolved(api, schema);
  const indent = "  ".repeat(depth);
  if (depth > MAX_SCHEMA_DEPTH) return "...";
  if (own.const !== undefined) return JSON.stringify(own.const);
  if (own.enum) return own.enum.slice(0, 20).map((value) => JSON.stringify(value)).join(" | ") + (own.enum.length > 20 ? " | ..." : "");
  if (own.anyOf) return own.anyOf.map((item) => schemaText(api, item, depth)).join("\n" + indent + "or ");
  if (own.properties) {
    const lines = Object.entries(own.properties).map(([name, item]) => `${indent}  ${JSON.stringify(name)}${own.required?.includes(name) ? "" : "?"}: ${schemaText(api, item, depth + 1)}`);
    return `{\n${lines.join("\n")}\n${indent}}`;
  }
  if (own.type === "array") {
    const size = own.minItems !== undefined && own.minItems === own.maxItems ? `${own.minItems} ` : "";
    return `list of ${size}${schemaText(api, own.items, depth)}`;
  }
  const types = [own.type ?? "any value"].flat().join(" or ");
  return own.examples ? `${types}, such as ${own.examples.slice(0, 3).map((value) => JSON.stringify(value)).join(", ")}` : types;
}

start();
