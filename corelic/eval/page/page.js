"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const make = (name, text = "") => Object.assign(document.createElement(name), { textContent: text });
const number = (value, digits) => (value === null || value === undefined ? "" : value.toFixed(digits));
// Plotly takes a name for markup, and a name may be a stranger's.
const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
const METRICS = { psnr: "PSNR (dB)", "ms-ssim": "MS-SSIM (dB)" };
const PLOT = { displaylogo: false, responsive: true, showSendToCloud: false };

function layout(more) {
  const grid = dark ? "#333b43" : "#e3e7eb";
  return {
    margin: { l: 60, r: 20, t: 36, b: 50 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", color: dark ? "#e6e9ec" : "#1b1f24" },
    ...more,
    xaxis: { gridcolor: grid, zeroline: false, ...more.xaxis }, yaxis: { gridcolor: grid, zeroline: false, ...more.yaxis },
  };
}

// What was measured, on what
at("about").textContent =
  `${data.pictures} pictures; each ${data.average} counts the same; rate from whole files, quality from decoded 8-bit RGB. ` +
  `${data.machine.cpu}, ${data.machine.cores} cores; corelic ${data.machine.versions.corelic ?? ""}.`;
for (const failure of data.failures) at("failures").append(make("li", failure.reason));
if (data.left_out.length) at("failures").append(make("li", `left out of every average: ${data.left_out.join(", ")}`));

// Curves
function drawCurves() {
  const metric = at("metric").value;
  const traces = data.rows.map((row) => ({
    name: plain(row.label), x: row.points[metric].map((p) => p[0]), y: row.points[metric].map((p) => p[1]),
    mode: "lines+markers", line: { color: row.colour, dash: row.dash, width: 2 }, marker: { size: 6 },
    hovertemplate: "%{x:.3f} bpp, %{y:.2f} dB",
  }));
  const axis = { title: { text: "rate (bits per pixel)" }, type: at("log").checked ? "log" : "linear" };
  const options = { xaxis: axis, yaxis: { title: { text: METRICS[metric] } }, hovermode: "closest", legend: { font: { size: 12 } } };
  at("curves").style.height = `${Math.max(520, 20 * traces.length + 90)}px`; // room for every name
  Plotly.react("curves", traces, layout(options), PLOT);
}
at("metric").addEventListener("change", drawCurves);
at("log").addEventListener("change", drawCurves);
if (!data.rows.some((row) => row.points["ms-ssim"].length)) at("metric").options[1].remove();
drawCurves();

// BD-rates
const columns = [
  ["codec", (row) => row.label, null],
  ["BD-rate, PSNR", (row) => row.bd.psnr.percent, 2],
  ["from dB", (row) => row.bd.psnr.low_db, 1],
  ["to dB", (row) => row.bd.psnr.high_db, 1],
  ["pictures: least", (row) => row.bd.psnr.quartiles?.[0], 1],
  ["first quartile", (row) => row.bd.psnr.quartiles?.[1], 1],
  ["median", (row) => row.bd.psnr.quartiles?.[2], 1],
  ["third quartile", (row) => row.bd.psnr.quartiles?.[3], 1],
  ["most", (row) => row.bd.psnr.quartiles?.[4], 1],
  ["BD-rate, MS-SSIM", (row) => row.bd["ms-ssim"].percent, 2],
  ["encode, s", (row) => row.cost?.encode_s, 3],
  ["decode, s", (row) => row.cost?.decode_s, 3],
  ["encode, one core", (row) => row.cost?.encode_one_core_s, 3],
  ["decode, one core", (row) => row.cost?.decode_one_core_s, 3],
  ["memory, MB", (row) => (row.cost?.peak_bytes ? row.cost.peak_bytes / 1e6 : null), 0],
].filter(([, value]) => data.rows.some((row) => value(row) !== null && value(row) !== undefined));
let sorted = { column: Math.min(1, columns.length - 1), ascending: true };

function drawRates() {
  const words = at("filter").value.toLowerCase();
  const value = columns[sorted.column][1];
  const rows = data.rows.filter((row) => `${row.label} ${row.name}`.toLowerCase().includes(words));
  const missing = (x) => x === null || x === undefined;
  rows.sort((a, b) => {
    const [one, two] = [value(a), value(b)];
    if (missing(one) || missing(two)) return missing(one) - missing(two);
    return (typeof one === "string" ? one.localeCompare(two) : one - two) * (sorted.ascending ? 1 : -1);
  });
  const head = make("tr");
  columns.forEach(([name], place) => {
    const cell = make("th", name);
    if (place === sorted.column) cell.setAttribute("aria-sort", sorted.ascending ? "ascending" : "descending");
    cell.addEventListener("click", () => {
      sorted = { column: place, ascending: place === sorted.column ? !sorted.ascending : true };
      drawRates();
    });
    head.append(cell);
  });
  at("rates").tHead.replaceChildren(head);
  at("rates").tBodies[0].replaceChildren(...rows.map((row) => {
    const line = make("tr");
    columns.forEach(([name, of, digits], place) => {
      const found = of(row);
      const signed = name.startsWith("BD") && found > 0 ? "+" : "";
      const cell = make("td", digits === null ? found : signed + number(found, digits) + (name.startsWith("BD") && !missing(found) ? " %" : ""));
      if (place === 0) {
        const source = ` (${row.name})`;
        if (found.endsWith(source)) {
          cell.textContent = found.slice(0, -source.length);
          cell.append(Object.assign(make("span", row.name), { className: "source" }));
        }
        const swatch = make("span");
        swatch.className = "swatch";
        swatch.style.background = row.colour;
        cell.prepend(swatch);
      }
      line.append(cell);
    });
    return line;
  }));
}
at("filter").addEventListener("input", drawRates);
at("against").textContent = `rate at equal quality against ${data.anchor} (pchip); times in seconds per megapixel`;
for (const row of data.rows)
  for (const metric of Object.keys(row.bd))
    for (const warning of row.bd[metric].warnings) at("warnings").append(make("li", `${row.label}, ${metric}: ${warning}`));
drawRates();

// Times
const timed = data.rows.filter((row) => row.cost && row.cost.encode_s !== null);
if (timed.length) {
  const bars = [["encode", "encode_s", "#0072b2"], ["decode", "decode_s", "#e69f00"], ["encode, one core", "encode_one_core_s", "#56b4e9"], ["decode, one core", "decode_one_core_s", "#f0d58a"]];
  const traces = bars.map(([name, key, colour]) => ({
    type: "bar", name, x: timed.map((row) => plain(row.label) + (row.cost.in_process ? "" : " *")), y: timed.map((row) => row.cost[key]),
    marker: { color: colour }, hovertemplate: "%{y:.3f} s",
  }));
  if (timed.some((row) => !row.cost.in_process)) at("timing").textContent += "; * a program of its own, whose start counts in";
  Plotly.react("times", traces, layout({ barmode: "group", xaxis: { automargin: true }, yaxis: { type: "log", title: { text: "s per megapixel" } } }), PLOT);
} else at("times-section").remove();

// Pictures
function choices(select, values) {
  const before = select.value;
  select.replaceChildren(...values.map(([value, text]) => Object.assign(make("option", text), { value })));
  if (values.some(([value]) => String(value) === before)) select.value = before;
}
const decoded = data.shown.filter((one) => one.codec !== null);
const label = (codec) => data.rows.find((row) => row.name === codec)?.label ?? codec;
const pixels = new Map();

async function load(entry) {
  if (!pixels.has(entry)) {
    const image = new Image();
    image.src = "data:image/webp;base64," + entry.webp;
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: image.naturalWidth, height: image.naturalHeight });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    pixels.set(entry, context.getImageData(0, 0, canvas.width, canvas.height));
  }
  return pixels.get(entry);
}

function errors(one, other) { // eight times the difference, so that it shows
  const map = new ImageData(one.width, one.height);
  for (let i = 0; i < map.data.length; i++) map.data[i] = i % 4 === 3 ? 255 : 8 * Math.abs(one.data[i] - other.data[i]);
  return map;
}

let turn = 0;
async function drawPair() {
  const mine = ++turn;
  const picture = at("picture").value;
  const original = data.shown.find((one) => one.picture === picture && one.codec === null);
  for (const side of ["left", "right"]) {
    const codec = at(side).value;
    const entry = codec === "" ? original : decoded.find((one) => one.picture === picture && one.codec === codec && String(one.target_bpp) === at("rate").value);
    const canvas = at(`${side}-canvas`);
    const [truth, found] = [await load(original), entry && (await load(entry))];
    if (mine !== turn) return; // something else was chosen meanwhile
    Object.assign(canvas, { width: truth.width, height: truth.height });
    canvas.style.width = `${truth.width * at("zoom").value}px`;
    if (found) canvas.getContext("2d", { willReadFrequently: true }).putImageData(at("error").checked ? errors(truth, found) : found, 0, 0);
    const db = entry?.psnr_db === null ? "no error" : `${number(entry?.psnr_db, 2)} dB`;
    at(`${side}-caption`).textContent = !entry ? `${label(codec)}: not measured` : codec === "" ? "original" : `${label(codec)}: ${entry.rate_bpp.toFixed(3)} bpp, ${db}`;
  }
  at("viewer").dataset.drawn = mine;
}
function drawSplit() {
  const place = at("split").value;
  at("left-canvas").style.clipPath = `inset(0 ${100 - place}% 0 0)`;
  at("line").style.left = `${place}%`;
}
function choosePicture() {
  const here = decoded.filter((one) => one.picture === at("picture").value);
  choices(at("rate"), [...new Set(here.map((one) => one.target_bpp))].map((bpp) => [bpp, `${bpp} bpp`]));
  const codecs = [...new Set(here.map((one) => one.codec))].map((codec) => [codec, label(codec)]);
  for (const side of ["left", "right"]) choices(at(side), [...codecs, ["", "original"]]);
}
if (decoded.length) {
  choices(at("picture"), [...new Set(decoded.map((one) => one.picture))].map((name) => [name, name]));
  choosePicture();
  at("left").selectedIndex = 0;
  at("right").selectedIndex = 1;
  if (at("rate").options.length > 1) at("rate").selectedIndex = 1;
  at("picture").addEventListener("change", () => { choosePicture(); drawPair(); });
  for (const id of ["rate", "left", "right", "zoom", "error"]) at(id).addEventListener("change", drawPair);
  at("split").addEventListener("input", drawSplit);
  at("pair").addEventListener("pointermove", (event) => {
    if (event.buttons !== 1) return;
    const box = at("pair").getBoundingClientRect();
    at("split").value = (100 * (event.clientX - box.left)) / box.width;
    drawSplit();
  });
  drawSplit();
  drawPair();
} else at("viewer").remove();
