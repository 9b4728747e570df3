// Starts `jsonnx lsp` for JSON files. The server leaves alone what is no spec.
"use strict";

const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

const INSTALL_HINT = "Install it with pip install '.[lsp]' in a checkout of jsonnx, or set jsonnx.command.";

/** @type {LanguageClient | undefined} */
let client;

function newClient() {
  const [command, ...args] = vscode.workspace.getConfiguration("jsonnx").get("command", ["jsonnx", "lsp"]);
  const documentSelector = ["json", "jsonc"].flatMap((language) =>
    ["file", "untitled"].map((scheme) => ({ language, scheme })),
  );
  const synchronize = { fileEvents: vscode.workspace.createFileSystemWatcher("**/*.{json,txt,csv,safetensors,toml}") };
  return new LanguageClient("jsonnx", "jsonnx", { command, args }, { documentSelector, synchronize });
}

async function start() {
  client = newClient();
  try {
    await client.start();
  } catch (error) {
    client = undefined;
    vscode.window.showErrorMessage(`The language server of jsonnx cannot be started: ${error.message}. ${INSTALL_HINT}`);
  }
}

async function stop() {
  const stopped = client;
  client = undefined;
  await stopped?.dispose();
}

async function restart() {
  await stop();
  await start();
}

async function activate(context) {
  context.subscriptions.push(
    vscode.commands.registerCommand("jsonnx.restart", restart),
    vscode.workspace.onDidChangeConfiguration((event) => event.affectsConfiguration("jsonnx.command") && restart()),
  );
  await start();
}

module.exports = { activate, deactivate: stop };
