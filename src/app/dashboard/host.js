// Host: the machine that the server runs on, from the room `metrics`.

import { Chart, Series } from "./chart.js";
import { bar, card, cards, code, foreign, hold, level, make, section } from "./dom.js";
import { byteRate, bytes, count, decimal, duration, percent } from "./format.js";
import { noticeboard, POLL_MS } from "./scope.js";
import { Table } from "./table.js";

const MIB = 1 << 20;

const degrees = (value) => decimal(value, "°C");

/** Charts with the values of a sample that they show; they go on when the view is opened again. */
const CHARTS = [
  ["Processors", ["all cores"], percent, 100, (told) => [told.cpu_usage]],
  ["Memory", ["used", "swap"], percent, 100, (told) => [told.memory_percent, told.swap_percent]],
  ["Network", ["received", "sent"], byteRate, 1024,
    ({ network_rates: rates }) => [rates?.received, rates?.sent]],
  ["Disks", ["read", "written"], byteRate, 1024,
    ({ disk_rates: rates }) => [rates?.read, rates?.written]],
  ["Temperature", ["processor"], degrees, 100, (told) => [told.cpu_temp ?? undefined]],
  ["Pressure: time spent waiting", ["processors", "memory", "disks"], percent, 1,
    ({ pressure }) => ["cpu", "memory", "io"].map((name) => pressure?.[name]?.some?.[0])],
].map((parts) => ({ parts, series: new Series() }));

export function host(scope, panel) {
  const figures = ["Processors", "Memory", "Disk", "Temperature", "Network", "Disk traffic",
    "Processes", "Uptime"].map(card);
  const [cpu, memory, disk, temperature, network, disks, processes, uptime] = figures;
  const notices = noticeboard();
  const about = make("p", { class: "muted" });
  const charts = CHARTS.map(({ parts: [title, lines, format, ceiling], series }) => {
    const chart = new Chart(title, lines, format, ceiling);
    chart.show(series);
    return chart;
  });
  const bars = make("div", { class: "bars" });
  const cores = section("Cores", bars);
  const top = new Table("Top processes", [
    { label: "Process", cell: ({ name }) => foreign(name, 80) },
    { label: "Number", kind: "number", cell: ({ pid }) => String(pid) },
    { label: "Processor", kind: "number", cell: ({ cpu: share }) => percent(share) },
    { label: "Memory", kind: "number", cell: ({ mem }) => percent(mem) },
    { label: "Command", kind: "prose", cell: ({ command }) => code(command) },
  ], ({ pid }) => pid);
  const links = new Table("Network interfaces", [
    { label: "Interface", cell: ({ name }) => foreign(name, 40) },
    { label: "State", cell: ({ operstate, default: isDefault, type }) =>
      foreign([operstate, type, isDefault && "default"].filter(Boolean).join(", "), 80) },
    { label: "Addresses", cell: ({ ip4, ip6 }) =>
      foreign([ip4, ip6].filter(Boolean).join(" ") || "–") },
    { label: "Received", kind: "number", cell: ({ rates }) => byteRate(rates?.received) },
    { label: "Sent", kind: "number", cell: ({ rates }) => byteRate(rates?.sent) },
  ], ({ name }) => name);
  panel.append(notices, about,
    cards(...figures),
    make("div", { class: "charts" }, ...charts.map(({ element }) => element)),
    cores.element,
    section("Top processes", top.element).element,
    section("Network interfaces", links.element).element);

  const take = (told) => {
    const { network_rates: traffic, disk_rates: io, load_average: load } = told;
    const means = load?.map((mean) => mean.toFixed(2)).join(", ");
    cpu.set(percent(told.cpu_usage), means && `load ${means}`, level(told.cpu_usage));
    memory.set(percent(told.memory_percent), of(told.memory_usage, told.memory_total),
      level(told.memory_percent));
    disk.set(percent(told.storage_percent), of(told.storage_usage, told.storage_total),
      level(told.storage_percent));
    temperature.set(degrees(told.cpu_temp), told.is_undervolted ? "its supply is too weak" : "",
      told.is_undervolted ? "bad" : told.cpu_temp >= 80 ? "warn" : "");
    network.set(byteRate(traffic?.received), `${byteRate(traffic?.sent)} sent`);
    disks.set(byteRate(io?.read), `${byteRate(io?.written)} written`);
    processes.set(count(told.processes_total));
    uptime.set(duration(told.uptime));
    CHARTS.forEach(({ parts, series }, index) => {
      series.push(Date.parse(told.timestamp), parts[4](told));
      const isKnown = series.points.some(({ values }) => values.some(Number.isFinite));
      charts[index].element.hidden = !isKnown;
      charts[index].show(series);
    });
    const each = told.cpu_per_core ?? [];
    hold(bars, ...each.map((share, core) => bar(`core ${core}`, share, percent(share))));
    cores.element.hidden = each.length === 0;
    top.show(told.top_processes ?? []);
    links.show(told.network_interfaces ?? []);
    if (about.textContent === "") about.textContent = told.hostname;
  };
  const ask = async () => take(await scope.get("api/v1/metrics"));
  scope.keep(notices, ask);
  scope.follow("metrics", {
    since: 0,
    onEvent: ({ data }) => take(data),
    // Whoever may not listen, or has no socket, asks.
    onRefused: () => scope.keep(notices, ask, POLL_MS),
  });
  const stop = scope.follow("metrics:system-info", {
    since: 0,
    onEvent: ({ data }) => {
      const facts = [data.hostname, data.model, data.os, data.kernel, data.cpu_model, data.arch];
      hold(about, foreign(facts.filter(Boolean).join(" · "), 500));
      stop();
    },
  });
}

function of(used, total) {
  return Number.isFinite(total) ? `${bytes(used * MIB)} of ${bytes(total * MIB)}` : "";
}
