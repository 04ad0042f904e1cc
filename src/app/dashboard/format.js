// Numbers, sizes and times as people read them. What is not there is a dash.

const NONE = "–";
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** A whole number with its thousands set off. */
export function count(value) {
  return isNumber(value) ? Math.round(value).toLocaleString("en") : NONE;
}

/** A number with as many digits as it needs. */
export function decimal(value, unit = "") {
  if (!isNumber(value)) return NONE;
  const size = Math.abs(value);
  const digits = size === 0 || size >= 10 ? 0 : size < 0.1 ? 2 : 1;
  const text = value.toLocaleString("en", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  return unit === "" ? text : `${text} ${unit}`;
}

/** So many a second. */
export function rate(value) {
  return decimal(value, "/s");
}

/** A share of a hundred. */
export function percent(value) {
  return decimal(value, "%");
}

/** A size in bytes. */
export function bytes(value) {
  if (!isNumber(value)) return NONE;
  let size = value;
  let unit = 0;
  for (; Math.abs(size) >= 1024 && unit < UNITS.length - 1; unit += 1) size /= 1024;
  return unit === 0 ? `${Math.round(size)} B` : decimal(size, UNITS[unit]);
}

/** So many bytes a second. */
export function byteRate(value) {
  return isNumber(value) ? `${bytes(value)}/s` : NONE;
}

/** Seconds as their two greatest units. */
export function duration(seconds) {
  if (!isNumber(seconds)) return NONE;
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [
    [Math.floor(whole / 86400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  if (first === -1) return seconds > 0 ? `${Math.round(seconds * 1000)} ms` : "0 s";
  const told = parts.slice(first, first + 2).filter(([value]) => value > 0);
  return told.map((part) => part.join(" ")).join(" ");
}

/** The time of day, with the date if it is another day's. */
export function clock(time) {
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return NONE;
  const ofDay = at.toLocaleTimeString("en-GB");
  const isToday = at.toDateString() === new Date().toDateString();
  return isToday ? ofDay : `${at.toLocaleDateString("en-CA")} ${ofDay}`;
}

/** The seconds between two times in RFC 3339. */
export function between(start, end) {
  const millis = Date.parse(end) - Date.parse(start);
  return Number.isNaN(millis) ? undefined : millis / 1000;
}
