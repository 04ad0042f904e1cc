// Server: what the process uses, and everything it counts.

import { Chart, Series } from "./chart.js";
import { card, cards, code, make, section } from "./dom.js";
import { bytes, count, duration, percent, rate } from "./format.js";
import { noticeboard, POLL_MS } from "./scope.js";
import { statistics } from "./statistics.js";
import { Table } from "./table.js";

/** What counters' names are like behind `kinglet_`, and what they are about; the first counts. */
const GROUPS = [
  [/^tls/, "TLS"],
  [/compress|flate|context/, "Compression"],
  [/^(store|durable|ack)/, "Store"],
  [/^(run|permission|project)/, "Projects and runs"],
  [/^(http|head|bodies|handshake)/, "HTTP and handshakes"],
  [/^(connect|reserved|accept|events|write)/, "Connections"],
  [/^(publication|room|session_room|history|presence|recover|idempot)/, "Rooms"],
  [/^rate/, "Rates"],
  [/^(handler|host|job|log|mailbox|monitor|reload|statsd)/, "Inside"],
  [/^/, "Sessions"],
];

const MIB = 1 << 20;

const memory = new Series();

export function server(scope, panel) {
  const figures = ["Uptime", "Sessions", "Rooms", "Resident memory", "Processor", "Threads",
    "Open descriptors", "Runs, median"].map(card);
  const [uptime, sessions, rooms, resident, cpu, threads, files, runs] = figures;
  const processNotices = noticeboard();
  const counterNotices = noticeboard();
  const messages = new Chart("Messages a second", ["received", "sent"], rate);
  const used = new Chart("Resident memory", ["resident"], bytes, 1 << 20);
  const zeros = make("input", { type: "checkbox" });
  const counters = section("Counters", make("label", { class: "choice" }, zeros,
    "Show those that are zero"));
  const groups = make("div", { class: "groups" });
  counters.body.append(counterNotices, groups);
  used.element.hidden = true;
  panel.append(
    cards(...figures),
    make("div", { class: "charts" }, messages.element, used.element),
    processNotices, counters.element,
  );
  const tables = new Map();
  const show = () => {
    messages.show(statistics.messages);
    const { latest } = statistics;
    if (latest === undefined) return;
    uptime.set(duration(latest.uptime_seconds));
    sessions.set(count(latest.connections));
    rooms.set(count(latest.rooms_total));
    const shown = grouped(latest.counters, zeros.checked);
    for (const [name, rows] of shown) {
      if (!tables.has(name)) tables.set(name, table(name));
      tables.get(name).show(rows);
    }
    groups.replaceChildren(...[...shown.keys()].map((name) =>
      make("div", {}, make("h3", {}, name), tables.get(name).element)));
  };
  zeros.addEventListener("change", show);
  show();
  used.show(memory);
  scope.keep(counterNotices, async () => {
    statistics.take(await scope.get("api/v1/websocket/stats"));
    show();
  }, POLL_MS);
  scope.keep(processNotices, async () => {
    const { resources = {}, performance = {} } = await scope.get("api/v1/server");
    const size = resources.memory_mb * MIB;
    resident.set(bytes(size), limit(resources.memory_limit_mb * MIB, bytes));
    cpu.set(percent(resources.cpu_percent), `of one of ${count(resources.cpu_count)} cores`);
    threads.set(count(resources.threads), limit(resources.thread_limit, count));
    files.set(count(resources.open_files));
    runs.set(duration(performance.execution_p50_ms / 1000),
      `99 % within ${duration(performance.execution_p99_ms / 1000)}`);
    memory.push(Date.now(), [size]);
    used.element.hidden = false;
    used.show(memory);
  }, POLL_MS);
}

function table(name) {
  return new Table(name, [
    { label: "Counter", cell: ({ name }) => code(name.replace(/^kinglet_|_total$/g, "")) },
    { label: "Total", kind: "number", cell: ({ value }) => count(value) },
    { label: "Now", kind: "number", cell: ({ name }) => rate(statistics.rates.get(name)) },
  ], ({ name }) => name);
}

function grouped(counters, withZeros) {
  const groups = new Map();
  for (const [name, value] of Object.entries(counters)) {
    if (value === 0 && !withZeros) continue;
    const bare = name.replace(/^kinglet_/, "");
    const group = GROUPS.find(([pattern]) => pattern.test(bare))[1];
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push({ name, value });
  }
  return groups;
}

/** What may be used at most; 0 is no limit. */
function limit(value, format) {
  return value > 0 ? `${format(value)} at most` : "";
}
