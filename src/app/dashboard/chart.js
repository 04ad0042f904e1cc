// Line charts of the last minutes, in SVG. Time runs to the right and ends now.

import { draw, make } from "./dom.js";
import { duration } from "./format.js";

const WIDTH = 300;
const HEIGHT = 80;
const WINDOW_MS = 10 * 60 * 1000;
const WINDOW_LEAST_MS = 60 * 1000;

/** Points of the last minutes: `{at, values}`; a value may be missing. */
export class Series {
  points = [];

  push(at, values) {
    const last = this.points.at(-1);
    if (last !== undefined && at <= last.at) return;
    this.points.push({ at, values });
    while (this.points[0].at < at - WINDOW_MS) this.points.shift();
  }
}

export class Chart {
  #paths;
  #values;
  #top = make("span", { class: "top" });
  #start = make("span");
  #svg;

  /** `lines` are the names of the values; `ceiling` is the least top of the scale. */
  constructor(title, lines, format, ceiling = 1) {
    this.title = title;
    this.lines = lines;
    this.format = format;
    this.ceiling = ceiling;
    const one = (kind) => lines.map((_, index) => draw("path", { class: `${kind} line${index}` }));
    this.#paths = { area: lines.length === 1 ? one("area") : [], line: one("line") };
    this.#values = lines.map(() => make("b", {}, "–"));
    const grid = [1, HEIGHT / 2, HEIGHT - 1].map((y) =>
      draw("line", { class: "grid", x1: 0, x2: WIDTH, y1: y, y2: y }),
    );
    this.#svg = draw(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img",
        "aria-label": title },
      ...grid, ...this.#paths.area, ...this.#paths.line,
    );
    const legend = lines.map((name, index) =>
      make("span", { class: `key line${index}` }, lines.length > 1 ? `${name} ` : "",
        this.#values[index]),
    );
    this.element = make(
      "figure",
      { class: "chart" },
      make("figcaption", {}, make("span", {}, title), ...legend),
      make("div", { class: "plot" }, this.#svg, this.#top),
      make("div", { class: "axis" }, this.#start, make("span", {}, "now")),
    );
  }

  /** Draws the points of a series. */
  show({ points }) {
    const last = points.at(-1);
    if (last === undefined) return;
    const span = Math.min(WINDOW_MS, Math.max(WINDOW_LEAST_MS, last.at - points[0].at));
    const known = points.flatMap(({ values }) => values.filter(Number.isFinite));
    const top = rounded(Math.max(this.ceiling, ...known), this.format(1024).includes("KiB"));
    const x = (at) => ((WIDTH * (at - last.at + span)) / span).toFixed(1);
    const y = (value) => (HEIGHT - 1 - ((HEIGHT - 2) * value) / top).toFixed(1);
    const gap = 3 * usual(points) + 1000;
    this.lines.forEach((_, index) => {
      const pieces = split(points, index, gap);
      const spelt = pieces.map((piece) => piece.map(([at, value]) => `${x(at)} ${y(value)}`));
      const path = (kind, parts) => this.#paths[kind][index]?.setAttribute("d", parts.join(""));
      path("line", spelt.map((piece) => `M${piece.join("L")}`));
      path("area", spelt.map((piece, number) => {
        const [from, to] = [pieces[number][0][0], pieces[number].at(-1)[0]];
        return `M${x(from)} ${HEIGHT}L${piece.join("L")}L${x(to)} ${HEIGHT}Z`;
      }));
      this.#values[index].textContent = this.format(last.values[index]);
    });
    this.#top.textContent = this.format(top);
    this.#start.textContent = `${duration(span / 1000)} ago`;
    const told = this.lines.map((name, index) => `${name} ${this.format(last.values[index])}`);
    this.#svg.setAttribute("aria-label", `${this.title}: ${told.join(", ")} now`);
  }
}

/** The time between most points. */
function usual(points) {
  const spaces = points.slice(1).map(({ at }, index) => at - points[index].at);
  return spaces.sort((a, b) => a - b)[spaces.length >> 1] ?? 0;
}

/** The runs of points that have the value. A lone point is drawn as a dot. */
function split(points, index, gap) {
  const pieces = [];
  let before;
  for (const { at, values } of points) {
    const value = values[index];
    if (!Number.isFinite(value)) {
      before = undefined;
      continue;
    }
    if (before === undefined || at - before > gap) pieces.push([]);
    pieces.at(-1).push([at, value]);
    before = at;
  }
  return pieces.map((piece) => (piece.length === 1 ? [piece[0], piece[0]] : piece));
}

/** The next 1, 2 or 5 with zeros, of the unit that fits if it is of bytes. */
function rounded(value, isBytes) {
  const base = isBytes ? 1024 ** Math.floor(Math.log2(value) / 10) : 1;
  const unit = base * 10 ** Math.floor(Math.log10(value / base));
  return [1, 2, 5, 10].map((step) => step * unit).find((step) => step >= value) ?? value;
}
