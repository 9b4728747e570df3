// The network as a graph, laid out by dagre. Blocks open and close.

const MAX_OPEN_LAYERS = 30; // a network with more layers is first drawn with closed blocks
const MAX_DRAWN_NODES = 700;
const LINE_HEIGHT = 15;
const MARGIN = 10;

function shapeText(shape) {
  return shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
}

function countText(part) {
  return part.parameters ? `${numberText(part.parameters)} parameters${part.frozen ? ", frozen" : ""}` : null;
}

function pathKey(path) {
  return JSON.stringify(path);
}

class NetworkDrawing {
  constructor(network) {
    this.network = network;
    this.blocks = new Map(network.blocks.map((block) => [pathKey([...block.blocks, block.name]), block]));
    this.open = new Set(network.layers.length <= MAX_OPEN_LAYERS ? this.blocks.keys() : []);
    this.box = el("div", { class: "network", tabindex: "0", role: "region", "aria-label": `Graph of the network ${network.name}` });
    this.zoom = null;
  }

  element() {
    const button = (title, action) => el("button", { type: "button", onclick: action }, title);
    const bar = el("div", { class: "bar" },
      this.blocks.size > 0 && button("Open all blocks", () => this.setOpen([...this.blocks.keys()])),
      this.blocks.size > 0 && button("Close all blocks", () => this.setOpen([])),
      button("Larger", () => this.setZoom(1.25)), button("Smaller", () => this.setZoom(0.8)),
      button("Fit the width", () => this.fit()));
    this.draw();
    return el("div", {}, bar, this.box);
  }

  setOpen(keys) {
    this.open = new Set(keys);
    this.draw();
  }

  toggle(key) {
    if (!this.open.delete(key)) this.open.add(key);
    this.draw();
    this.box.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
  }

  setZoom(factor) {
    this.zoom = Math.min(4, Math.max(0.1, (this.zoom ?? 1) * factor));
    this.applyZoom();
  }

  fit() {
    this.zoom = Math.min(1, (this.box.clientWidth - 4) / this.size.width);
    this.applyZoom();
  }

  applyZoom() {
    const zoom = this.zoom ?? 1;
    this.drawing.setAttribute("width", this.size.width * zoom);
    this.drawing.setAttribute("height", this.size.height * zoom);
  }

  // The node that stands for a layer: itself, or the outermost closed block around it.
  nodeOf(layer) {
    for (let depth = 1; depth <= layer.blocks.length; depth++) {
      const key = pathKey(layer.blocks.slice(0, depth));
      if (!this.open.has(key)) return { id: key, parent: layer.blocks.slice(0, depth - 1), block: this.blocks.get(key) };
    }
    return { id: `layer ${layer.name}`, parent: layer.blocks, layer };
  }

  nodes() {
    const { inputs, outputs, layers } = this.network;
    const nodes = new Map();
    const valueOf = (name) => String(name).split(".")[0];
    for (const [name, type] of Object.entries(inputs)) {
      nodes.set(`input ${name}`, { id: `input ${name}`, parent: [], kind: "value", lines: [name, "input", shapeText(type.shape), type.dtype] });
    }
    const nodeByValue = new Map(Object.keys(inputs).map((name) => [name, `input ${name}`]));
    for (const layer of layers) {
      const node = this.nodeOf(layer);
      nodeByValue.set(layer.name, node.id);
      if (nodes.has(node.id)) continue;
      nodes.set(node.id, node.block
        ? { ...node, kind: "block", lines: [`▸ ${node.block.name}`, node.block.type, `${node.block.layers} layers`, countText(node.block)] }
        : { ...node, kind: "layer", lines: [layer.name, layer.type, layer.outputs.map((type) => shapeText(type.shape)).join(" "), countText(layer)] });
    }
    const edges = new Map();
    for (const layer of layers) {
      for (const source of layer.from) {
        const from = nodeByValue.get(source) ?? nodeByValue.get(valueOf(source));
        const to = nodeByValue.get(layer.name);
        if (from && from !== to) edges.set(`${from}\n${to}`, [from, to]);
      }
    }
    for (const [name, type] of Object.entries(outputs)) {
      const from = nodeByValue.get(name) ?? nodeByValue.get(valueOf(name));
      nodes.set(`output ${name}`, { id: `output ${name}`, parent: [], kind: "value", lines: [name, "output", shapeText(type.shape), type.dtype] });
      if (from) edges.set(`${from}\noutput ${name}`, [from, `output ${name}`]);
    }
    return [[...nodes.values()], [...edges.values()]];
  }

  draw() {
    const [nodes, edges] = this.nodes();
    if (nodes.length > MAX_DRAWN_NODES) {
      this.box.replaceChildren(el("p", { class: "quiet" }, `${nodes.length} nodes are too many to draw; the table has all layers.`));
      this.size = { width: 1, height: 1 };
      this.drawing = svg("svg", {});
      return;
    }
    const graph = new dagre.graphlib.Graph({ compound: true }).setGraph({ rankdir: "TB", nodesep: 18, ranksep: nodes.some((node) => node.parent.length > 0) ? 38 : 26, marginx: MARGIN, marginy: MARGIN });
    graph.setDefaultEdgeLabel(() => ({}));
    const opened = new Map();
    for (const node of nodes) {
      node.lines = node.lines.filter(Boolean).map((line) => (line.length > 34 ? `${line.slice(0, 33)}…` : line));
      const width = Math.max(90, 22 + Math.max(...node.lines.map((line, index) => (index === 0 ? 7.6 : 6.4) * line.length)));
      graph.setNode(node.id, { width, height: 12 + LINE_HEIGHT * node.lines.length });
      for (let depth = node.parent.length; depth > 0; depth--) {
        const key = pathKey(node.parent.slice(0, depth));
        if (!opened.has(key)) {
          opened.set(key, node.parent.slice(0, depth));
          graph.setNode(key, {});
        }
      }
      if (node.parent.length > 0) graph.setParent(node.id, pathKey(node.parent));
    }
    for (const [key, path] of opened) if (path.length > 1) graph.setParent(key, pathKey(path.slice(0, -1)));
    for (const [from, to] of edges) graph.setEdge(from, to);
    dagre.layout(graph);
    const across = graph.edges().flatMap((edge) => graph.edge(edge).points.map((point) => point.x)); // edges may leave the width of the nodes
    const left = Math.min(0, ...across.map((x) => x - MARGIN));
    const right = Math.max(graph.graph().width, ...across.map((x) => x + MARGIN));
    this.size = { width: Math.ceil(right - left), height: Math.ceil(graph.graph().height) };
    this.drawing = svg("svg", { viewBox: `${Math.floor(left)} 0 ${this.size.width} ${this.size.height}`, role: "group", "aria-label": "Graph of layers" },
      svg("defs", {}, svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" },
        svg("path", { d: "M0 0 8 4 0 8z" }))));
    for (const [key, path] of [...opened].sort((a, b) => a[1].length - b[1].length)) this.drawing.append(this.openBlock(key, graph.node(key)));
    for (const edge of graph.edges()) {
      const line = d3.line((p) => p.x, (p) => p.y).curve(d3.curveBasis)(graph.edge(edge).points);
      this.drawing.append(svg("path", { d: line, "marker-end": "url(#arrow)" }));
    }
    for (const node of nodes) this.drawing.append(this.node(node, graph.node(node.id)));
    this.applyZoom();
    this.box.replaceChildren(this.drawing);
  }

  asButton(group, key, isOpen, name) {
    for (const [attribute, value] of Object.entries({ role: "button", tabindex: "0", "aria-expanded": String(isOpen), "aria-label": `block ${name}`, "data-key": key })) {
      group.setAttribute(attribute, value);
    }
    group.addEventListener("click", () => this.toggle(key));
    group.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        this.toggle(key);
      }
    });
    return group;
  }

  openBlock(key, { x, y, width, height }) {
    const block = this.blocks.get(key);
    const header = this.asButton(svg("g", {}, svg("text", { x: x - width / 2 + 6, y: y - height / 2 + 14, class: "title" }, `▾ ${block.name}`)), key, true, block.name);
    return svg("g", { class: "open-block" }, svg("rect", { x: x - width / 2, y: y - height / 2, width, height }), header);
  }

  node(node, { x, y, width, height }) {
    const group = svg("g", { class: node.kind }, svg("rect", { x: x - width / 2, y: y - height / 2, width, height }));
    node.lines.forEach((line, index) => group.append(svg("text", {
      x, y: y - height / 2 + 17 + LINE_HEIGHT * index, "text-anchor": "middle", class: index === 0 ? "title" : "small",
    }, line)));
    if (node.kind === "block") return this.asButton(group, node.id, false, node.block.name);
    const layer = node.layer;
    if (layer) group.append(svg("title", {}, [layer.name, layer.type, `from ${layer.from.join(", ")}`, `multiply-adds ${layer.multiply_adds ?? layer.multiply_adds_formula}`].join("\n")));
    return group;
  }
}

function networkTable(network) {
  const rows = network.layers.map((layer) => [layer.name, layer.type, layer.outputs.map((type) => shapeText(type.shape)).join(" "),
    layer.parameters, layer.multiply_adds ?? layer.multiply_adds_formula, layer.from.join(", ")]);
  return table("Layers", ["layer", ["type", "text"], ["output shape", "text"], "parameters", "multiply-adds", ["from", "text"]], rows, "cut");
}

function networkPart(network) {
  const { totals } = network;
  return el("div", {},
    el("p", { class: "quiet" }, `${network.layers.length} layers, ${numberText(totals.parameters)} parameters, ${numberText(totals.trainable)} of them trainable, ${numberText(totals.multiply_adds ?? totals.multiply_adds_formula)} multiply-adds a sample.`),
    new NetworkDrawing(network).element(),
    lazyDetails("Layers as a table", () => networkTable(network)));
}
