// Projects: which there are, and a new one. What happens in one of them is in project.js.

import { badge, code, command, empty, field, foreign, make, section } from "./dom.js";
import { form, link, NAME } from "./form.js";
import { clock, count } from "./format.js";
import { project } from "./project.js";
import { mood, past } from "./runs.js";
import { noticeboard, POLL_MS } from "./scope.js";
import { Table } from "./table.js";

export function projects(scope, panel, [id, word, run]) {
  if (id === undefined) list(scope, panel);
  else if (word === "runs" && run !== undefined) past(scope, panel, id, run);
  else project(scope, panel, id);
}

function list(scope, panel) {
  const notices = noticeboard();
  const nothing = empty(
    "There is no project yet. One is a directory that agents run in: name one below, or",
    command(`curl ${location.origin}/api/v1/projects -d '{"path":"/home/me/work/shop"}'`),
  );
  const table = new Table("Projects", [
    { label: "Project", cell: name },
    { label: "Path", kind: "prose", cell: ({ path: place }) => code(place) },
    { label: "State", cell: ({ state }) => badge(state, mood(state)) },
    { label: "Watched by", cell: ({ subscribers }) => count(subscribers) },
    { label: "Last active", cell: ({ last_active: time }) => clock(time) },
  ], ({ id }) => id, nothing);
  const load = scope.keep(notices, async () => {
    table.show((await scope.get("api/v1/projects")).projects);
  }, POLL_MS);
  panel.append(section("Projects", notices, ...table.parts).element, creation(scope, load));
}

function name({ id, name: given, path: place }) {
  const short = given ?? place.split("/").filter(Boolean).at(-1) ?? place;
  return link(foreign(short, 120), "projects", id);
}

function creation(scope, load) {
  const place = make("input", { ...NAME, required: true, placeholder: "/home/me/work/shop",
    maxlength: "4096" });
  const given = make("input", { maxlength: "255", placeholder: "shop" });
  const parts = [field("Directory", place), field("Name, if it needs one", given)];
  return section("New project", form(scope, "Create project", parts, async (element) => {
    const body = { path: place.value, ...(given.value === "" ? {} : { name: given.value }) };
    const { id } = await scope.post("api/v1/projects", body);
    element.reset();
    load();
    return ["Created ", link("project", "projects", id), "."];
  })).element;
}
