// The last lines of something that may never end. What comes faster than the screen is drawn waits
// for the next frame, and only the newest of it.

import { foreign, make } from "./dom.js";
import { button } from "./form.js";
import { clock } from "./format.js";
import { compact, pretty, printed } from "./text.js";

const LINES_MAX = 500;

/** Data of at most so many characters stands in its line; longer data unfolds. */
const INLINE_MAX = 100;

export class Output {
  #waiting = [];
  #frame = 0;
  #dropped = 0;
  #list;
  #count = make("span", { class: "muted" });
  #clear = button("Clear", () => this.clear());

  /** `buttons` take the place of the one that clears it. */
  constructor(name, hint, buttons) {
    this.#list = make("ol", { class: "output", tabindex: "0", role: "log", "aria-label": name,
      "aria-live": "off" });
    this.hint = make("p", { class: "empty" }, hint);
    const tools = make("div", { class: "tools" },
      ...(buttons ?? [this.#clear]), this.#count);
    this.element = make("div", {}, this.hint, this.#list, tools);
    this.#tell();
  }

  /** Adds one line; `kind` is its class. */
  add(kind, ...parts) {
    this.#waiting.push([kind, parts]);
    if (this.#waiting.length > LINES_MAX) {
      this.#waiting.shift();
      this.#dropped += 1;
    }
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#flush());
  }

  /** Adds a line that says something about the others. */
  note(kind, ...parts) {
    this.add(kind, make("span", { class: "text" }, ...parts));
  }

  clear() {
    this.#waiting = [];
    this.#dropped = 0;
    this.#list.replaceChildren();
    this.#tell();
  }

  #flush() {
    this.#frame = 0;
    const list = this.#list;
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    const lines = this.#waiting.map(([kind, parts]) => make("li", { class: kind }, ...parts));
    this.#waiting = [];
    list.append(...lines);
    while (list.childElementCount > LINES_MAX) {
      list.firstChild.remove();
      this.#dropped += 1;
    }
    this.#tell();
    if (isAtEnd) list.scrollTop = list.scrollHeight;
  }

  #tell() {
    const shown = this.#list.childElementCount;
    this.hint.hidden = shown > 0;
    this.#list.hidden = this.#clear.hidden = this.#count.hidden = shown === 0;
    const earlier = this.#dropped > 0 ? `, ${this.#dropped.toLocaleString("en")} before them` : "";
    const lines = shown === 1 ? "line" : "lines";
    this.#count.textContent = shown === 0 ? "" : `${shown} ${lines}${earlier}`;
  }
}

/** The parts of a line for a publication, with its room if several are shown. */
export function publication({ type, offset, timestamp, data, room, source }, isOneOfMany) {
  const text = compact(data, INLINE_MAX + 1);
  const head = [
    make("time", { datetime: timestamp }, clock(timestamp)),
    isOneOfMany && make("span", { class: "room" }, foreign(room, 80)),
    make("span", { class: "offset" }, `#${offset}`),
    make("strong", {}, foreign(type, 120)),
    source !== undefined && make("span", { class: "muted" }, "by ", foreign(source, 80)),
  ].filter(Boolean);
  if (JSON.stringify(data ?? null).length <= INLINE_MAX) {
    return [...head, make("code", { dir: "ltr" }, data === null ? "" : text)];
  }
  const body = make("pre", { dir: "ltr" });
  const start = compact(data, INLINE_MAX).replace(/ … \([^)]*\)$/, " …");
  const summary = make("summary", {}, make("code", { dir: "ltr" }, start));
  const details = make("details", {}, summary, body);
  // Only what somebody unfolds is spelt out.
  details.addEventListener("toggle", () => (body.textContent = pretty(data)), { once: true });
  return [...head, details];
}

/** The part of a line that a child printed. */
export function text(line) {
  return make("span", { class: "text", dir: "auto" }, printed(line));
}
