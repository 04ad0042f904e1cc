// Errors: what the server warned of lately.

import { badge, empty, foreign, section } from "./dom.js";
import { clock } from "./format.js";
import { noticeboard, POLL_MS } from "./scope.js";
import { Table } from "./table.js";

export function errors(scope, panel) {
  const notices = noticeboard();
  const table = new Table("Recent errors", [
    { label: "Time", cell: ({ at }) => clock(at) },
    { label: "Level", cell: ({ level }) => badge(level, /^err/i.test(level) ? "bad" : "warn") },
    { label: "Message", kind: "prose", cell: ({ message }) => foreign(message, 2000) },
  ], ({ number }) => number, empty("The server has warned of nothing since it started."));
  panel.append(section("Recent errors", notices, ...table.parts).element);
  scope.keep(notices, async () => {
    const told = await scope.get("api/v1/errors");
    const newest = [...told.errors].sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
    table.show(newest.map((error, number) => ({ ...error, number })));
  }, POLL_MS);
}
