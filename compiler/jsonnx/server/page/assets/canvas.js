// An image that is drawn, dropped or chosen as a file, at the size that the model takes.

const CANVAS_PIXELS = 280;
const FREE_SIZE = 128;
const PEN_SHARE = 1 / 13;
const CENTRED_SHARE = 20 / 28;
const CURSOR_STEP_SHARE = 1 / 28;

class ImageField {
  constructor(field, id, onChange) {
    this.image = field.image;
    this.id = id;
    this.onChange = onChange;
    this.isDark = this.image.light_on_dark;
    this.cursor = { x: 0.5, y: 0.5, isDown: false };
    this.canvas = el("canvas", { id, tabindex: "0", role: "img", class: "drawing", "aria-describedby": `${id}-hint ${id}-error`,
      "aria-label": `${field.label}: a drawing. Arrow keys move the pen, Space lowers and lifts it, Delete clears.` });
    this.preview = el("canvas", { class: "preview", role: "img", "aria-label": "What the model gets" });
    this.resize(this.image.width ?? FREE_SIZE, this.image.height ?? FREE_SIZE);
    this.element = this.build(field);
    this.clear();
    this.listen();
  }

  build(field) {
    const file = el("input", { type: "file", accept: "image/*", id: `${this.id}-file`, onchange: () => this.load(file.files[0]) });
    this.centred = el("input", { type: "checkbox", id: `${this.id}-centred`, checked: this.image.light_on_dark, onchange: () => this.update() });
    this.pen = el("input", { type: "color", id: `${this.id}-pen`, value: "#c02020" });
    this.dot = el("span", { class: "dot", hidden: true });
    const isGray = this.image.channels === 1;
    return el("div", { class: "image" },
      el("div", { class: "stage" }, el("div", { class: "sheet" }, this.canvas, this.dot),
        el("figure", {}, this.preview, el("figcaption", { class: "quiet" }, this.caption = el("span")))),
      el("div", { class: "bar" },
        el("button", { type: "button", onclick: () => this.clear() }, "Clear"),
        el("button", { type: "button", onclick: () => this.invert() }, "Invert"),
        isGray ? el("label", { class: "check" }, this.centred, "Centre the drawing") : el("label", { class: "check" }, "Pen", this.pen)),
      el("div", { class: "field" }, el("label", { for: file.id }, "or a file, which can also be dropped on the drawing"), file));
  }

  resize(width, height) {
    Object.assign(this, { width, height });
    const scale = Math.max(1, Math.round(CANVAS_PIXELS / Math.max(width, height)));
    Object.assign(this.canvas, { width: width * scale, height: height * scale });
    Object.assign(this.preview, { width, height });
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.step = CURSOR_STEP_SHARE;
  }

  ink() {
    if (this.image.channels === 3) return this.pen.value;
    return this.isDark ? "#ffffff" : "#000000";
  }

  paper() {
    return this.isDark ? "#000000" : "#ffffff";
  }

  clear() {
    this.isDark = this.image.light_on_dark;
    this.isEmpty = true;
    this.fromFile = false;
    this.context.fillStyle = this.paper();
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.update();
  }

  invert() {
    this.isDark = !this.isDark;
    const pixels = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    for (let i = 0; i < pixels.data.length; i += 4) for (let c = 0; c < 3; c++) pixels.data[i + c] = 255 - pixels.data[i + c];
    this.context.putImageData(pixels, 0, 0);
    this.update();
  }

  async load(file) {
    if (!file) return;
    let bitmap;
    try {
      bitmap = await createImageBitmap(file);
    } catch {
      this.onChange(`The browser cannot read ${file.name} as an image.`);
      return;
    }
    if (this.image.width === null || this.image.height === null) this.resize(this.image.width ?? bitmap.width, this.image.height ?? bitmap.height);
    const small = new OffscreenCanvas(this.width, this.height).getContext("2d");
    small.imageSmoothingQuality = "high";
    small.fillStyle = "#ffffff";
    small.fillRect(0, 0, this.width, this.height);
    small.drawImage(bitmap, 0, 0, this.width, this.height);
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(small.canvas, 0, 0, this.canvas.width, this.canvas.height);
    this.isEmpty = false;
    this.fromFile = true;
    this.update();
  }

  // From one place of the canvas to another, in pixels.
  line(from, to) {
    const context = this.context;
    context.strokeStyle = this.ink();
    context.lineWidth = Math.max(1, Math.max(this.canvas.width, this.canvas.height) * PEN_SHARE);
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x, to.y + (from.x === to.x && from.y === to.y ? 0.01 : 0));
    context.stroke();
    this.isEmpty = false;
  }

  listen() {
    let last = null;
    const place = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return { x: ((event.clientX - box.left) / box.width) * this.canvas.width, y: ((event.clientY - box.top) / box.height) * this.canvas.height };
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.canvas.setPointerCapture(event.pointerId);
      last = place(event);
      this.line(last, last);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!last) return;
      for (const part of event.getCoalescedEvents?.() ?? [event]) {
        const next = place(part);
        this.line(last, next);
        last = next;
      }
    });
    const end = () => {
      if (last) this.update();
      last = null;
    };
    this.canvas.addEventListener("pointerup", end);
    this.canvas.addEventListener("pointercancel", end);
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("focus", () => this.showCursor(this.canvas.matches(":focus-visible")));
    this.canvas.addEventListener("blur", () => this.showCursor(false));
    this.element.addEventListener("dragover", (event) => event.preventDefault());
    this.element.addEventListener("drop", (event) => {
      event.preventDefault();
      this.load(event.dataTransfer.files[0]);
    });
  }

  key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const place = () => ({ x: this.cursor.x * this.canvas.width, y: this.cursor.y * this.canvas.height });
    const before = place();
    if (moves[event.key]) {
      const [x, y] = moves[event.key];
      this.cursor.x = Math.min(1, Math.max(0, this.cursor.x + x * this.step));
      this.cursor.y = Math.min(1, Math.max(0, this.cursor.y + y * this.step));
    } else if (event.key === " ") {
      this.cursor.isDown = !this.cursor.isDown;
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.cursor.isDown = false;
      this.clear();
    } else {
      return;
    }
    event.preventDefault();
    if (this.cursor.isDown) {
      this.line(before, place());
      this.update();
    }
    this.showCursor(true);
  }

  showCursor(isShown) {
    this.dot.hidden = !isShown;
    this.dot.classList.toggle("down", this.cursor.isDown);
    this.dot.style.setProperty("left", `${100 * this.cursor.x}%`);
    this.dot.style.setProperty("top", `${100 * this.cursor.y}%`);
  }

  // Where the ink is: its box, and its centre of mass.
  extent() {
    const { width, height } = this.canvas;
    const { data } = this.context.getImageData(0, 0, width, height);
    const ground = this.isDark ? 0 : 255;
    let [left, top, right, bottom, mass, x, y] = [width, height, 0, 0, 0, 0, 0];
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        const ink = Math.abs(data[4 * (row * width + column)] - ground);
        if (ink < 32) continue;
        left = Math.min(left, column);
        right = Math.max(right, column + 1);
        top = Math.min(top, row);
        bottom = Math.max(bottom, row + 1);
        mass += ink;
        x += ink * column;
        y += ink * row;
      }
    }
    return mass ? { left, top, right, bottom, x: x / mass, y: y / mass } : null;
  }

  // What the model gets, as a canvas of its size. A centred drawing fills the middle, as in the usual data of digits.
  update() {
    const context = this.preview.getContext("2d", { willReadFrequently: true });
    context.imageSmoothingEnabled = !this.fromFile;
    context.imageSmoothingQuality = "high";
    context.fillStyle = this.paper();
    context.fillRect(0, 0, this.width, this.height);
    const extent = this.image.channels === 1 && this.centred.checked && !this.fromFile ? this.extent() : null;
    if (extent) {
      const size = Math.max((extent.right - extent.left) / this.canvas.width, (extent.bottom - extent.top) / this.canvas.height);
      const [scaleX, scaleY] = [this.width, this.height].map((side, axis) => (side * CENTRED_SHARE) / (size * (axis ? this.canvas.height : this.canvas.width)));
      const left = centredOffset(extent.x * scaleX, extent.left * scaleX, extent.right * scaleX, this.width);
      const top = centredOffset(extent.y * scaleY, extent.top * scaleY, extent.bottom * scaleY, this.height);
      context.drawImage(this.canvas, left, top, this.canvas.width * scaleX, this.canvas.height * scaleY);
    } else {
      context.drawImage(this.canvas, 0, 0, this.width, this.height);
    }
    if (this.caption) this.caption.textContent = `What the model gets: ${this.width} × ${this.height}`;
    this.onChange(null);
  }

  // The numbers of each pixel: a list for each pixel, from the top left one.
  pixels() {
    const { data } = this.preview.getContext("2d").getImageData(0, 0, this.width, this.height);
    const { minimum, maximum, channels } = this.image;
    const number = (byte) => {
      const value = minimum + (byte / 255) * (maximum - minimum);
      return maximum - minimum >= 255 ? Math.round(value) : Number(value.toPrecision(6));
    };
    return Array.from({ length: this.width * this.height }, (_, index) => {
      const [red, green, blue] = data.subarray(4 * index, 4 * index + 3);
      return channels === 1 ? [number(0.299 * red + 0.587 * green + 0.114 * blue)] : [number(red), number(green), number(blue)];
    });
  }

  // The value of a row: lists nested like the input.
  value() {
    const pixels = this.pixels();
    const rows = (values) => Array.from({ length: this.height }, (_, row) => values.slice(row * this.width, (row + 1) * this.width));
    if (this.image.layout === "hwc") return rows(pixels);
    if (this.image.layout === "chw") return Array.from({ length: this.image.channels }, (_, channel) => rows(pixels.map((pixel) => pixel[channel])));
    return this.image.layout === "hw" ? rows(pixels.flat()) : pixels.flat();
  }
}

// How far a drawing is moved along one axis so that its centre of mass is in the middle, and all of it is visible.
function centredOffset(centre, start, end, size) {
  return Math.min(size - end, Math.max(-start, size / 2 - centre));
}
