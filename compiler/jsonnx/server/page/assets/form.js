// The form in which a row is filled in, field by field.

const OTHER = "other";

class FieldError extends Error {
  constructor(control, message) {
    super(message);
    this.control = control;
  }
}

class ModelForm {
  // `onSubmit` is called when the user asks for a prediction, `onChange` when a value may have changed.
  constructor(model, onSubmit, onChange) {
    this.model = model;
    this.onChange = onChange;
    this.controls = model.fields.map((field, index) => makeControl(field, `field-${index}`, (error) => this.changed(index, error)));
    this.failure = el("p", { class: "bad", role: "alert" });
    this.button = el("button", { class: "main" }, "Predict");
    this.element = el("form", { novalidate: true, onsubmit: (event) => {
      event.preventDefault();
      onSubmit();
    } }, this.groups(), this.failure, el("p", {}, this.button));
    this.element.addEventListener("input", () => this.onChange());
    this.element.addEventListener("change", () => this.onChange());
  }

  // Fields of one input are together, if there are several inputs.
  groups() {
    const byInput = Map.groupBy ? Map.groupBy(this.controls, ({ field }) => field.input) : grouped(this.controls);
    const isGrouped = [...byInput.values()].some((controls) => controls.length > 1);
    return [...byInput].map(([input, controls]) => {
      const fields = el("div", { class: controls.length > 1 ? "fields" : null }, controls.map(({ element }) => element));
      return isGrouped && controls.length > 1 ? el("fieldset", {}, el("legend", {}, input), fields) : fields;
    });
  }

  changed(index, error) {
    if (this.controls) showError(this.controls[index], error);
    this.onChange?.();
  }

  // The row, by column. Throws FieldError for a value that is missing or no value.
  row() {
    const row = {};
    for (const control of this.controls) {
      const { column, index } = control.field;
      if (index === undefined) row[column] = control.value();
      else (row[column] ??= [])[index] = control.value();
    }
    return row;
  }

  // The same row as tensors of the protocol.
  tensors() {
    return this.model.inputs.map(({ name, datatype, shape }) => {
      const own = this.controls.filter(({ field }) => field.input === name).map((control) => control.value());
      const value = own.length === 1 && (Array.isArray(own[0]) || shape.length === 0) ? own[0] : own;
      const sizes = shape.length === 0 ? [] : [1, ...shape.slice(1)];
      sizesOf(value).forEach((size, axis) => { if (typeof sizes[axis + 1] === "string") sizes[axis + 1] = size; });
      return { name, datatype, shape: sizes, data: [value].flat(Infinity) };
    });
  }

  clearErrors() {
    this.failure.textContent = "";
    for (const control of this.controls) showError(control, null);
  }

  // Shows an error beside the field that it quotes, else above the button.
  showFailure(error) {
    if (error instanceof FieldError) {
      showError(error.control, error.message);
      error.control.focus();
      return;
    }
    const messages = error.diagnostics?.length ? error.diagnostics.map(({ message }) => message) : [error.message];
    let first = null;
    for (const message of messages) {
      const named = (key) => this.controls.find(({ field }) => message.includes(`'${field[key]}'`) || message.includes(`"${field[key]}"`));
      const control = named("column") ?? named("input");
      if (control) showError(control, message);
      else this.failure.append(el("span", { class: "line" }, message));
      first ??= control;
    }
    first?.focus();
  }
}

function grouped(controls) {
  const groups = new Map();
  for (const control of controls) groups.set(control.field.input, [...(groups.get(control.field.input) ?? []), control]);
  return groups;
}

function sizesOf(value) {
  return Array.isArray(value) ? [value.length, ...sizesOf(value[0])] : [];
}

function showError(control, message) {
  const target = control.element.querySelector(".error");
  target.textContent = message ?? "";
  for (const part of control.parts) {
    if (message) part.setAttribute("aria-invalid", "true");
    else part.removeAttribute("aria-invalid");
  }
}

// A control: its element, the parts that take the focus, and its value.
function makeControl(field, id, onChange) {
  const makers = { number: numberControl, category: categoryControl, boolean: booleanControl, image: imageControl, json: jsonControl };
  const control = (makers[field.kind] ?? textControl)(field, id, onChange);
  const hint = el("p", { class: "quiet", id: `${id}-hint` }, hintText(field));
  const error = el("p", { class: "error bad", id: `${id}-error` });
  for (const part of control.parts) part.setAttribute("aria-describedby", `${id}-hint ${id}-error`);
  const isCanvas = field.kind === "image";
  const label = el(isCanvas ? "p" : "label", isCanvas ? { class: "label" } : { for: id }, breakable(field.label));
  const wide = ["image", "json"].includes(field.kind) || field.long;
  const element = el("div", { class: wide ? "field wide" : "field" }, label, control.content, hint, error);
  return { ...control, field, element, focus: () => control.parts[0].focus(), value: () => valueOf(control, field) };
}

// A name that may be continued on the next line behind each underscore.
function breakable(name) {
  return name.split(/(?<=_)/).flatMap((part) => [part, el("wbr")]);
}

function valueOf(control, field) {
  const text = control.text?.();
  if (text === "" && field.optional) return null;
  try {
    return control.read(text);
  } catch (error) {
    throw new FieldError({ ...control, element: control.parts[0].closest(".field"), focus: () => control.parts[0].focus() }, error.message);
  }
}

function hintText(field) {
  const parts = field.description ? [field.description] : [];
  if (field.optional) parts.push("may be empty");
  if (field.kind === "number" && field.integer) parts.push("whole number");
  if (field.minimum !== undefined && field.maximum !== undefined) parts.push(`${shortText(field.minimum)} to ${shortText(field.maximum)}`);
  if (field.observed) parts.push(`trained on ${shortText(field.observed[0])} to ${shortText(field.observed[1])}`);
  if (field.kind === "date") parts.push(`such as ${field.example}`);
  if (field.kind === "json") parts.push(`JSON of the shape [${field.shape.join(", ")}]`);
  return parts.join(", ");
}

function required(text) {
  if (text === "") throw new Error("This value is missing.");
  return text;
}

function textControl(field, id) {
  const input = field.long
    ? el("textarea", { id, rows: "4" }, field.example)
    : el("input", { id, value: field.example, autocomplete: "off" });
  return { content: input, parts: [input], text: () => input.value, read: (text) => text };
}

function numberControl(field, id) {
  const input = el("input", { id, type: "number", step: field.integer ? "1" : "any", min: field.minimum, max: field.maximum,
    value: field.example ?? "", autocomplete: "off", inputmode: field.integer && field.minimum >= 0 ? "numeric" : null });
  const read = (text) => {
    if (input.validity.badInput) throw new Error("This is no number.");
    return Number(required(text));
  };
  return { content: input, parts: [input], text: () => (input.validity.badInput ? " " : input.value), read };
}

function categoryControl(field, id) {
  const options = field.categories.map((category, index) => el("option", { value: index, selected: category === field.example }, String(category)));
  const select = el("select", { id }, field.optional && el("option", { value: "" }, "(missing)"), options,
    !field.closed && el("option", { value: OTHER }, "another value ..."));
  const other = el("input", { id: `${id}-other`, "aria-label": `${field.label}: another value`, hidden: true, type: field.integer ? "number" : "text", autocomplete: "off" });
  select.addEventListener("change", () => { other.hidden = select.value !== OTHER; });
  const typed = (text) => (field.integer ? Number(required(text)) : text);
  return {
    content: el("div", {}, select, other),
    parts: [select, other],
    text: () => (select.value === OTHER ? `=${other.value}` : select.value),
    read: (text) => (text.startsWith("=") ? typed(text.slice(1)) : field.categories[Number(text)]),
  };
}

function booleanControl(field, id) {
  const select = el("select", { id }, ["false", "true"].map((value) => el("option", { value, selected: value === String(field.example) }, value)));
  return { content: select, parts: [select], text: () => select.value, read: (text) => text === "true" };
}

function imageControl(field, id, onChange) {
  const image = new ImageField(field, id, onChange);
  return { content: image.element, parts: [image.canvas], image, read: () => image.value() };
}

function jsonControl(field, id) {
  const input = el("textarea", { id, rows: "4", spellcheck: "false", class: "code" }, JSON.stringify(field.example));
  const read = (text) => {
    try {
      return JSON.parse(required(text));
    } catch (error) {
      throw new Error(`This is not JSON: ${error.message}`);
    }
  };
  return { content: input, parts: [input], text: () => input.value.trim(), read };
}
