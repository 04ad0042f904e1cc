// Forms, and the buttons and addresses that views are made with.

import { field, hold, make, outcome } from "./dom.js";
import { notice } from "./scope.js";

/** For names that no spelling checker knows. */
export const NAME = { spellcheck: "false", autocapitalize: "none", maxlength: "255" };

/** A button that does something. */
export function button(label, click, kind) {
  return make("button", { type: "button", class: kind, on: { click } }, label);
}

/** A link to a view. */
export function link(text, ...segments) {
  return make("a", { href: `#/${segments.map(encodeURIComponent).join("/")}` }, text);
}

/**
 * A form with these parts and a button. `send` does what it is for, once at a time, and answers
 * with what to tell; a refusal is told, too.
 */
export function form(scope, label, parts, send) {
  const told = outcome();
  const submit = make("button", { class: "primary" }, label);
  const element = make("form", {}, ...parts, make("div", { class: "tools" }, submit), told);
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (submit.disabled) return;
    submit.disabled = true;
    const refusal = await scope.attempt(async () => hold(told, ...(await send(element))));
    submit.disabled = false;
    if (refusal !== undefined) hold(told, notice(refusal));
  });
  return element;
}

/** Several lines of JSON with their label: `value()` is undefined if there are none. */
export function json(label, placeholder) {
  const fault = outcome();
  fault.id = `fault-of-${label.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  const input = make("textarea", { rows: "4", spellcheck: "false", placeholder,
    "aria-describedby": fault.id });
  const value = () => (input.value.trim() === "" ? undefined : JSON.parse(input.value));
  const check = () => {
    let problem = "";
    try {
      value();
    } catch (error) {
      problem = `That is no JSON yet: ${error.message}`;
    }
    // A form with it is not sent.
    input.setCustomValidity(problem);
    input.setAttribute("aria-invalid", String(problem !== ""));
    fault.textContent = problem;
  };
  input.addEventListener("input", check);
  return { element: make("div", {}, field(label, input), fault), input, value, check };
}
