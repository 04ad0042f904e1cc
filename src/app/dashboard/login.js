// Asks for a token. It stays in memory; in the storage of the tab only if somebody wishes so.

import { field, make } from "./dom.js";

const KEY = "kinglet.token";

/** The token that was kept, or "". */
export function kept() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return ""; // It may be forbidden.
  }
}

/** Keeps a token for this tab, or with "" none. */
export function keep(token) {
  try {
    if (token === "") sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, token);
  } catch {
    // Then it is asked for.
  }
}

/** Asks until something is given that can be one; `reason` says why. */
export function ask(reason) {
  const input = make("input", { type: "password", autocomplete: "off", spellcheck: "false",
    required: true, "aria-describedby": "login-reason" });
  const wish = make("input", { type: "checkbox" });
  const why = make("p", { id: "login-reason", role: "alert" }, reason);
  const form = make(
    "form",
    {},
    make("h2", { id: "login-title" }, "Token"),
    why,
    field("Token or API key", input),
    make("label", { class: "choice" }, wish, "Keep it until this tab is closed"),
    make("p", { class: "muted" }, "`kinglet token --user ME --role admin` prints one."),
    make("div", { class: "tools" }, make("button", { class: "primary" }, "Go on")),
  );
  const dialog = make("dialog", { "aria-labelledby": "login-title" }, form);
  document.body.append(dialog);
  // There is nothing to see without one, so it cannot be dismissed.
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.showModal();
  return new Promise((resolve) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const token = input.value.trim();
      if (!/^[\x21-\x7e]+$/.test(token)) {
        why.textContent = "That is no token: it has spaces or letters that none has.";
        return;
      }
      dialog.remove();
      keep(wish.checked ? token : "");
      resolve(token);
    });
  });
}
