// What a model has predicted for a row: bars of probabilities, numbers, pictures.

const MAX_BARS = 10;
const MIN_PICTURE_SIDE = 8;
const MAX_LISTED_NUMBERS = 200;

// The outputs of one row, as `POST /predict` names them.
function predictionView(model, prediction) {
  return model.outputs.filter(({ name }) => name in prediction).map((output) => {
    const answer = prediction[output.name];
    const content = answer.probabilities || answer.scores ? classesView(output, answer) : valueView(output, answer.value);
    return el("section", { class: "output", "aria-label": output.name }, el("h3", {}, output.name), content);
  });
}

function classesView(output, answer) {
  const chosen = answer.labels ?? [answer.label];
  const decision = answer.labels ? (answer.labels.join(", ") || "none of the labels") : answer.label;
  const numbers = Object.entries(answer.probabilities ?? answer.scores);
  const other = output.classes?.labels?.find((label) => !(label in (answer.probabilities ?? answer.scores)));
  if (answer.probabilities && other !== undefined && numbers.length === 1) numbers.unshift([other, 1 - numbers[0][1]]);
  const isBinary = other !== undefined;
  const rows = isBinary ? numbers : numbers.sort((a, b) => b[1] - a[1]);
  const list = answer.probabilities ? bars(rows, chosen, answer.threshold, isBinary) : scores(rows, chosen);
  return [
    el("p", { class: "decision" }, decision),
    list,
    answer.threshold !== undefined && el("p", { class: "quiet" }, isBinary
      ? `${rows.at(-1)[0]} is predicted above a probability of ${shortText(answer.threshold)}.`
      : hasCutByLabel(answer.threshold) ? "A label is predicted above its mark."
        : `Labels above a probability of ${shortText(answer.threshold)} are predicted.`),
  ];
}

// Whether each label has a threshold of its own.
function hasCutByLabel(threshold) {
  return typeof threshold === "object";
}

// A threshold is marked in all bars; of a binary output in that of the second class.
function bars(rows, chosen, threshold, isBinary) {
  const shown = rows.slice(0, MAX_BARS);
  const bar = ([label, share], index) => {
    const fill = el("span", { class: "fill" });
    fill.style.setProperty("width", `${100 * Math.min(1, Math.max(0, share))}%`);
    const track = el("span", { class: "track", "aria-hidden": "true" }, fill);
    if (threshold !== undefined && !(isBinary && index === 0)) {
      const mark = el("span", { class: "mark" });
      mark.style.setProperty("left", `${100 * (hasCutByLabel(threshold) ? threshold[label] : threshold)}%`);
      track.append(mark);
    }
    return el("li", { class: chosen.includes(label) ? "chosen" : null },
      el("span", { class: "name" }, label), track, el("span", { class: "number" }, percentText(share)));
  };
  return [el("ol", { class: "bars" }, shown.map(bar)),
    rows.length > MAX_BARS && lazyDetails(`All ${rows.length} classes`, () => el("ol", { class: "bars" }, rows.map(bar)))];
}

function scores(rows, chosen) {
  return table("Scores", ["class", "score"], rows.map(([label, score]) => [chosen.includes(label) ? el("strong", {}, label) : label, score]));
}

function valueView(output, value) {
  const sizes = sizesOf(value);
  if (sizes.length === 0) return el("p", { class: "decision" }, numberText(value));
  const channels = sizes.length === 3 ? sizes[2] : 1;
  const isPicture = sizes.length >= 2 && sizes.length <= 3 && sizes[0] >= MIN_PICTURE_SIDE && sizes[1] >= MIN_PICTURE_SIDE && [1, 3].includes(channels);
  const numbers = [value].flat(Infinity);
  const isNumeric = numbers.every((number) => typeof number === "number");
  return [
    isPicture && isNumeric && picture(output.name, value, sizes, numbers),
    sizes.length === 1 && sizes[0] > 1 && isNumeric && lineChart(output.name, value),
    el("p", { class: "quiet" }, `Shape [${sizes.join(", ")}]`),
    lazyDetails("Numbers", () => el("pre", { tabindex: "0" }, numbersText(value, numbers)),
      { open: numbers.length <= 24 && sizes.length === 1 }),
  ];
}

function numbersText(value, numbers) {
  if (numbers.length > MAX_LISTED_NUMBERS) return `${numbers.slice(0, MAX_LISTED_NUMBERS).map(shortText).join(", ")} ...`;
  return Array.isArray(value[0]) ? JSON.stringify(value, null, 1) : numbers.map(shortText).join(", ");
}

// Numbers from their least to their greatest as black to white.
function picture(name, value, [height, width], numbers) {
  const canvas = el("canvas", { width, height, class: "picture", role: "img", "aria-label": `${name} as a picture` });
  const image = canvas.getContext("2d").createImageData(width, height);
  const [low, high] = [Math.min(0, ...numbers), Math.max(1e-9, ...numbers)];
  const channels = numbers.length / (width * height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let c = 0; c < 3; c++) image.data[4 * pixel + c] = (255 * (numbers[pixel * channels + (channels === 3 ? c : 0)] - low)) / (high - low);
    image.data[4 * pixel + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return el("figure", {}, canvas, el("figcaption", { class: "quiet" }, `Black is ${shortText(low)}, white is ${shortText(high)}.`));
}

function lineChart(name, values) {
  const [width, height] = [400, 120];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const points = values.map((value, index) => `${(index / (values.length - 1)) * width},${height - ((value - low) / (high - low || 1)) * height}`);
  return el("figure", {}, svg("svg", { viewBox: `-2 -4 ${width + 4} ${height + 8}`, class: "line", role: "img", "aria-label": `${name}: ${values.length} numbers` },
    svg("polyline", { points: points.join(" ") })),
  el("figcaption", { class: "quiet" }, `From ${shortText(low)} to ${shortText(high)}`));
}

// The outputs of one row in an answer of the protocol, as `predictionView` takes them.
function predictionOfTensors(outputs) {
  return Object.fromEntries(outputs.map(({ name, shape, data }) => [name, { value: nested(data, shape.slice(1)) }]));
}

function nested(data, shape) {
  if (shape.length === 0 || (shape.length === 1 && shape[0] === 1)) return data[0];
  if (shape.length === 1) return data;
  const size = data.length / shape[0];
  return Array.from({ length: shape[0] }, (_, index) => nested(data.slice(index * size, (index + 1) * size), shape.slice(1)));
}
