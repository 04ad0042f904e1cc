// The page: who looks, which view, and how the connection is.

import { Api, Refusal } from "./api.js";
import { converse } from "./console.js";
import { hold, make } from "./dom.js";
import { errors } from "./errors.js";
import { button } from "./form.js";
import { clock } from "./format.js";
import { host } from "./host.js";
import { ask, keep, kept } from "./login.js";
import { overview } from "./overview.js";
import { projects } from "./projects.js";
import { rooms } from "./rooms.js";
import { Scope } from "./scope.js";
import { server } from "./server.js";
import { Socket } from "./socket.js";
import { visible } from "./text.js";

const VIEWS = [
  ["overview", "Overview", overview],
  ["rooms", "Rooms", rooms],
  ["console", "Console", converse],
  ["projects", "Projects", projects],
  ["host", "Host", host],
  ["server", "Server", server],
  ["errors", "Errors", errors],
];

const STATES = {
  connecting: "Connecting",
  live: "Live",
  waiting: "Disconnected, trying again",
  paused: "Paused while nobody looks",
  refused: "Not connected",
  off: "No live events",
};

const RETRY_MS = 3000;

const [panel, tabs, who, connection] = ["panel", "tabs", "who", "connection"].map((id) =>
  document.getElementById(id));
const api = new Api();
const socket = new Socket();
let scope;
let identity;
let isEntering = false;

/** Finds out who we are, asking for a token if there must be one; then shows the view. */
async function enter(reason = "") {
  if (isEntering) return;
  isEntering = true;
  scope?.close();
  socket.stop();
  for (let why = reason; ; ) {
    try {
      identity = await api.post("api/v1/tokens/check", {});
      break;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.status === 401) {
        why = api.token === "" ? why || "This server wants to know who looks." : error.message;
        keep("");
        api.token = "";
        hold(panel);
        tell("off");
        api.token = await ask(why);
      } else {
        tell("waiting", error.explanation);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }
  isEntering = false;
  introduce();
  // API keys are for HTTP only (docs/access.md).
  if (identity.key === undefined) socket.start(api.token);
  else tell("off", "An API key opens the HTTP API only; live events need a token.");
  open();
}

function introduce() {
  const { mode, user, key, role, expires } = identity;
  if (mode === "open") return hold(who, "open mode");
  const until = expires === undefined ? "" : `, until ${clock(expires)}`;
  const told = `${visible(user ?? key, 80)} (${visible(role, 40)})${until} `;
  return hold(who, told, button("Forget the token", forget));
}

function forget() {
  keep("");
  api.token = "";
  enter("The token is forgotten.");
}

function tell(state, why = "") {
  connection.dataset.state = state;
  connection.textContent = STATES[state];
  connection.title = why;
  const isStuck = state === "refused";
  if (why !== "" && (isStuck || state === "off")) connection.append(`: ${visible(why, 200)} `);
  if (isStuck) connection.append(button("Connect again", () => enter()));
}

/** Shows the view that the address names. */
function open() {
  if (isEntering) return;
  const [, name, ...rest] = location.hash.split("/");
  const index = Math.max(0, VIEWS.findIndex((view) => view[0] === name));
  const [id, title, view] = VIEWS[index];
  const isWithin = tabs.contains(document.activeElement);
  scope?.close();
  scope = new Scope(api, socket, identity);
  for (const [place, tab] of [...tabs.children].entries()) {
    tab.setAttribute("aria-selected", String(place === index));
    tab.tabIndex = place === index ? 0 : -1;
  }
  panel.setAttribute("aria-labelledby", `tab-${id}`);
  panel.dataset.view = id;
  panel.replaceChildren();
  document.title = `${title} · kinglet`;
  window.scrollTo(0, 0);
  view(scope, panel, rest.filter((part) => part !== "").map(decode));
  // Whoever followed a link inside a view goes on reading there.
  if (!isWithin && rest.length > 0) panel.querySelector("h2[tabindex]")?.focus();
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function build() {
  for (const [id, title] of VIEWS) {
    const names = { href: `#/${id}`, id: `tab-${id}`, role: "tab", "aria-controls": "panel" };
    tabs.append(make("a", names, title));
  }
  tabs.addEventListener("keydown", (event) => {
    const all = [...tabs.children];
    const at = all.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (at === -1 || to === undefined) return;
    event.preventDefault();
    const tab = all[(to + all.length) % all.length];
    tab.focus();
    location.hash = tab.hash;
  });
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    panel.focus();
  });
}

api.onUnauthorized = (message) => {
  if (!isEntering) enter(message);
};
socket.onState = (state, why) => {
  if (!isEntering) tell(state, why);
  if (state === "live") scope?.refresh();
};
// A browser does not say why an upgrade was refused, but the API does.
socket.onDoubt = async () => {
  if (isEntering) return;
  try {
    await api.post("api/v1/tokens/check", {});
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
  }
};
addEventListener("hashchange", open);
addEventListener("online", () => socket.resume());
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return socket.pause();
  scope?.refresh();
  return socket.resume();
});
build();
api.token = kept();
enter();
