// Asks the JSON language service of VS Code, as an editor without `jsonnx lsp` does.
//
//   node json_service.mjs times SCHEMA SPEC              milliseconds of processor time, in the order of an editor
//   node json_service.mjs compare SCHEMA SCHEMA SPEC...  positions at which completions or hovers differ
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.NODE_FOLDER}/`);
const { getLanguageService, TextDocument } = require("vscode-json-languageservice");
const POSITION_STRIDE = 25;

function openSpec(path) {
  return TextDocument.create(`file:///${path}`, "json", 1, readFileSync(path, "utf8"));
}

function startService(schemaPath) {
  const schema = readFileSync(schemaPath, "utf8");
  const service = getLanguageService({ schemaRequestService: async () => schema, clientCapabilities: {} });
  service.configure({ validate: true, schemas: [{ uri: "file:///model.schema.json", fileMatch: ["*.json"] }] });
  return service;
}

async function measure(schemaPath, specPath) {
  const milliseconds = {};
  const timed = async (name, action) => {
    const before = process.cpuUsage();
    const result = await action();
    const used = process.cpuUsage(before);
    milliseconds[name] = Math.round((used.user + used.system) / 1000);
    return result;
  };
  const service = startService(schemaPath);
  const document = openSpec(specPath);
  const json = service.parseJSONDocument(document);
  const type = document.positionAt(document.getText().indexOf('"type": "') + '"type": "'.length);
  const first = await timed("first completion", () => service.doComplete(document, type, json));
  await timed("completion", () => service.doComplete(document, type, json));
  const hover = await timed("hover", () => service.doHover(document, type, json));
  const faults = await timed("validation", () => service.doValidation(document, json));
  return { milliseconds, completions: first.items.length, hover: hover.contents, faults: faults.length };
}

async function answers(service, document, json, offset) {
  const position = document.positionAt(offset);
  const completions = await service.doComplete(document, position, json);
  const items = completions.items.map((item) => [item.label, item.insertText, item.documentation]).sort();
  const hover = await service.doHover(document, position, json);
  return [items.length, JSON.stringify([items, hover?.contents])];
}

async function compare(schemaPaths, specPaths) {
  const [one, other] = schemaPaths.map(startService);
  let positions = 0, completions = 0;
  const differences = [];
  for (const path of specPaths) {
    const document = openSpec(path);
    const json = one.parseJSONDocument(document);
    const offsets = [...document.getText().matchAll(/["{[:,]/g)].map((match) => match.index + 1);
    for (let index = 0; index < offsets.length; index += POSITION_STRIDE) {
      const [count, expected] = await answers(one, document, json, offsets[index]);
      const [, found] = await answers(other, document, json, offsets[index]);
      if (expected !== found) differences.push(`${path}:${offsets[index]}`);
      positions += 1;
      completions += count;
    }
  }
  return { positions, completions, differences };
}

const [task, ...paths] = process.argv.slice(2);
const result = task === "times" ? await measure(...paths) : await compare(paths.slice(0, 2), paths.slice(2));
console.log(JSON.stringify(result));
