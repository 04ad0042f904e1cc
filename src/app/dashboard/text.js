// Text of strangers: names of rooms, data of events, what a child prints. It only becomes text nodes;
// here it also loses what could reorder, hide or overwrite the text around it.

/** The most characters of one piece of text that are shown. */
const SHOWN_MAX = 4000;

/** Escape sequences of terminals: CSI, OSC up to its end, and those of two characters. */
const ESCAPES =
  /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\|$)|[ -/]*[0-Z\\-~])/g;

/** Control characters but tab and line feed. */
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** What changes the direction of the text behind it, or has no width, or ends lines. */
const INVISIBLE = /[\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** The text with everything invisible made visible, and cut at `limit` characters. */
export function visible(text, limit = SHOWN_MAX) {
  return cut(String(text), limit).replace(CONTROLS, picture).replace(INVISIBLE, point);
}

/** What a child printed: as `visible`, without the escape sequences that colour it. */
export function printed(text, limit = SHOWN_MAX) {
  return visible(cut(String(text), limit).replace(ESCAPES, ""), Infinity);
}

/** A value on one line, as JSON. */
export function compact(value, limit = SHOWN_MAX) {
  return visible(value === undefined ? "" : JSON.stringify(value), limit);
}

/** A value on many lines, as JSON. */
export function pretty(value, limit = 20000) {
  return visible(JSON.stringify(value, undefined, 2) ?? "", limit);
}

function cut(text, limit) {
  if (text.length <= limit) return text;
  const left = (text.length - limit).toLocaleString("en");
  return `${text.slice(0, limit)} … (${left} characters more)`;
}

function picture(character) {
  const code = character.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return code === 0x7f ? "\u2421" : point(character);
}

function point(character) {
  return `[U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}]`;
}
