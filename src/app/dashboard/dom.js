// Elements. No string is ever markup: it becomes a text node.

import { visible } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";

/** An element; `on` holds listeners, all other attributes are set as they are named. */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An element of SVG. */
export function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, { on = {}, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener);
  element.append(...children.flat().filter((child) => child !== undefined && child !== ""));
  return element;
}

/** Text of a stranger, which does not change the direction of what stands around it. */
export function foreign(text, limit) {
  return make("bdi", {}, visible(text, limit));
}

/** The same, of a program. */
export function code(text) {
  return make("code", {}, foreign(text, 400));
}

/** A part of a view: its heading, and what `body` is filled with. */
export function section(heading, ...children) {
  const body = make("div", { class: "body" }, ...children);
  const title = heading === "" ? undefined : make("h2", {}, heading);
  return { element: make("section", {}, title, body), body };
}

/** Replaces what an element holds, unless it holds just that: so focus and selection stay. */
export function hold(element, ...children) {
  const next = element.cloneNode(false);
  next.append(...children.filter((child) => child !== undefined));
  if (!element.isEqualNode(next)) element.replaceChildren(...next.childNodes);
}

/** One figure with its name. */
export function card(name) {
  const value = make("dd", {}, "–");
  const more = make("dd", { class: "muted" });
  const element = make("div", { class: "card" }, make("dt", {}, name), value, more);
  const set = (text, extra = "", state = "") => {
    value.textContent = text;
    more.textContent = extra;
    if (state === "") delete element.dataset.state;
    else element.dataset.state = state;
  };
  return { element, set };
}

/** Figures side by side. */
export function cards(...list) {
  return make("dl", { class: "cards" }, ...list.map(({ element }) => element));
}

/** A bar for a share of a hundred, with its name and value beside it. */
export function bar(name, share, text) {
  const inner = make("span", { class: "level" });
  const known = Number.isFinite(share) ? Math.min(100, Math.max(0, share)) : 0;
  inner.style.inlineSize = `${known.toFixed(1)}%`;
  return make(
    "div",
    { class: "bar", "data-state": level(known) },
    make("span", { class: "name" }, foreign(name)),
    make("span", { class: "track" }, inner),
    make("span", { class: "number" }, text),
  );
}

/** How worrying a share of a hundred is. */
export function level(share) {
  return share >= 90 ? "bad" : share >= 80 ? "warn" : "";
}

/** The state of something, with a dot of its colour. */
export function badge(text, state) {
  return make("span", { class: "badge", "data-state": state }, visible(text, 40).toLowerCase());
}

/** An input with its label. */
export function field(label, input) {
  return make("label", { class: "field" }, make("span", {}, label), input);
}

/** A line that tells how an action went. */
export function outcome() {
  return make("p", { class: "outcome", role: "status" });
}

/** A command line that somebody may want to copy. */
export function command(text) {
  return make("code", { class: "command" }, text);
}

/** What stands in place of nothing. */
export function empty(...children) {
  return make("div", { class: "empty" }, ...children);
}
