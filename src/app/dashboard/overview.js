// Overview: how the server is, and how much goes on.

import { Chart } from "./chart.js";
import { card, cards, hold, make, section } from "./dom.js";
import { count, duration, rate } from "./format.js";
import { noticeboard, POLL_MS } from "./scope.js";
import { statistics } from "./statistics.js";
import { visible } from "./text.js";

export function overview(scope, panel) {
  const figures = ["Status", "Uptime", "Connections", "Sessions", "Rooms", "Active runs",
    "Messages received", "Messages sent"].map(card);
  const [status, uptime, connections, sessions, rooms, runs, received, sent] = figures;
  const healthNotices = noticeboard();
  const rateNotices = noticeboard();
  const runNotices = noticeboard();
  const messages = new Chart("Messages a second", ["received", "sent"], rate);
  const people = new Chart("Sessions", ["sessions"], count, 5);
  const checks = make("ul", { class: "checks" });
  panel.append(
    healthNotices,
    cards(...figures),
    rateNotices,
    make("div", { class: "charts" }, messages.element, people.element),
    runNotices,
    section("Health checks", checks).element,
  );
  messages.show(statistics.messages);
  people.show(statistics.sessions);

  scope.keep(healthNotices, async () => {
    const answer = await scope.get("health/ready");
    const { details = {} } = answer;
    const state = { healthy: "ok", degraded: "warn" }[answer.status] ?? "bad";
    status.set(visible(answer.status), `version ${visible(answer.version)}`, state);
    uptime.set(duration(answer.uptime));
    connections.set(count(answer.connections));
    sessions.set(count(details.sessions));
    rooms.set(count(details.rooms));
    const all = { ...answer.checks, runs: details.runs };
    const missing = details.missing_agents;
    if (missing) all.agents = `not installed: ${missing.split(",").join(", ")}`;
    hold(checks, ...Object.entries(all).map(([name, told]) => check(name, told)));
  }, POLL_MS);

  scope.keep(rateNotices, async () => {
    statistics.take(await scope.get("api/v1/websocket/stats"));
    for (const [figure, way] of [[received, "received"], [sent, "sent"]]) {
      const name = `kinglet_messages_${way}_total`;
      const total = count(statistics.latest.counters[name]);
      figure.set(rate(statistics.rates.get(name)), `${total} in all`);
    }
    messages.show(statistics.messages);
    people.show(statistics.sessions);
  }, POLL_MS);

  scope.keep(runNotices, async () => {
    const { projects } = await scope.get("api/v1/projects");
    const active = projects.filter(({ run }) => run !== undefined).length;
    runs.set(count(active), `${count(projects.length)} projects`);
  }, POLL_MS);
}

function check(name, told) {
  const text = typeof told === "object" ? told?.status : told;
  const isFine = ["ok", "healthy"].includes(text);
  return make("li", { "data-state": isFine ? "ok" : "warn" },
    make("span", {}, visible(name)), make("span", {}, visible(text ?? "unknown")));
}
