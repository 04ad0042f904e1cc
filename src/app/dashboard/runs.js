// Runs: those of a project, and what an earlier one said, page by page.

import { path } from "./api.js";
import { badge, card, cards, foreign, hold, make, section } from "./dom.js";
import { button, link } from "./form.js";
import { between, clock, duration } from "./format.js";
import { Output, text } from "./output.js";
import { notice, noticeboard } from "./scope.js";
import { dollars, lines } from "./speech.js";
import { Table } from "./table.js";

const RUNS = 20;
const PAGE = 200;

/** Writes what a run says into an output. Pieces of one speech become one line. */
export class Spoken {
  #part;
  #parts = "";

  constructor(output) {
    this.output = output;
  }

  say(data) {
    for (const { kind, who, text: said, isPart } of lines(data)) {
      if (isPart) {
        this.#parts = (this.#parts + said).slice(-20000);
        if (this.#part === undefined) {
          this.#part = text("");
          this.output.add("assistant", this.#part);
        }
        this.#part.textContent = text(this.#parts).textContent;
        continue;
      }
      // The whole of what came in pieces follows them.
      const isWhole = kind === "assistant" && this.#part !== undefined;
      const [part, parts] = [this.#part, this.#parts];
      this.#part = undefined;
      this.#parts = "";
      if (isWhole && said.startsWith(parts)) part.textContent = text(said).textContent;
      else this.output.add(kind, ...(who === undefined ? [] : [label(who)]), text(said));
    }
  }
}

function label(who) {
  return make("strong", {}, foreign(who, 80), " ");
}

/** How good the state of a run, or of a project, is. */
export function mood(state) {
  const moods = { EXECUTING: "busy", running: "busy", queued: "busy", stalled: "warn", ERROR: "bad",
    failed: "bad", timeout: "bad", lost: "bad", exited: "ok" };
  return moods[state] ?? "idle";
}

/** The newest runs of a project: the element, and `put` for one that is new or has changed. */
export function earlier(scope, project) {
  const notices = noticeboard();
  let runs = [];
  const table = new Table("Runs", [
    { label: "Run", cell: ({ id, created_at: time }) => 
      link(clock(time), "projects", project, "runs", id) },
    { label: "State", cell: ({ state }) => badge(state, mood(state)) },
    { label: "Agent", cell: ({ agent }) => foreign(agent, 80) },
    { label: "Prompt", kind: "prose", cell: ({ prompt }) => foreign(prompt ?? "", 120) },
    { label: "Took", kind: "number", cell: took },
    { label: "Cost", kind: "number", cell: ({ result }) => dollars(result?.cost_usd) ?? "–" },
  ], ({ id }) => id);
  const more = button("Earlier runs", async () => {
    hold(notices, notice(await scope.attempt(() => page(runs.at(-1)?.id))));
  });
  const { element } = section("Runs", notices, table.element,
    make("div", { class: "tools" }, more));
  const page = async (after) => {
    const query = new URLSearchParams({ limit: RUNS });
    if (after !== undefined) query.set("after", after);
    const told = await scope.get(`${path("projects", project, "runs")}?${query}`);
    runs = after === undefined ? told.runs : [...runs, ...told.runs];
    more.hidden = !told.more;
    table.show(runs);
  };
  more.hidden = true;
  scope.keep(notices, () => page());
  const put = (run) => {
    const index = runs.findIndex(({ id }) => id === run.id);
    if (index === -1) runs.unshift(run);
    // What was told of the beginning must not undo what was told of the end.
    else if (runs[index].ended_at === undefined || run.ended_at !== undefined) runs[index] = run;
    table.show(runs);
  };
  return { element, put };
}

function took({ started_at: start, ended_at: end }) {
  if (start === undefined) return "–";
  return end === undefined ? "…" : duration(between(start, end));
}

/** The view of one run: what is known of it, and its output. */
export function past(scope, panel, project, id) {
  const notices = noticeboard();
  const [state, time, cost] = ["State", "Took", "Cost"].map(card);
  const about = make("p", {});
  const previous = button("Previous page", () => turn(() => starts.pop()));
  const next = button("Next page", () => turn(() => starts.push(last)));
  previous.disabled = next.disabled = true;
  const output = new Output("What the run said", "It said nothing that is still kept.",
    [previous, next]);
  const spoken = new Spoken(output);
  /** Behind which offsets the pages up to this one begin. */
  const starts = [];
  const said = section("Output", output.element);
  panel.append(
    make("p", {}, link("The project", "projects", project)),
    make("h2", { tabindex: "-1" }, "Run ", make("code", {}, foreign(id, 80))),
    notices, cards(state, time, cost), about, said.element,
  );
  let run;
  /** The last offset of the page that is shown. */
  let last = 0;
  const show = async () => {
    const query = new URLSearchParams({ since: starts.at(-1), limit: PAGE });
    const page = await scope.get(`${path("rooms", `project:${project}`, "history")}?${query}`);
    output.clear();
    for (const { type, data } of page.publications) {
      if (type === "run.output" && data.run === id) spoken.say(data);
    }
    last = page.publications.at(-1)?.offset ?? 0;
    previous.disabled = starts.length < 2;
    next.disabled = !page.more || last >= (run.last_offset ?? Infinity);
  };
  const turn = async (move) => {
    move();
    hold(notices, notice(await scope.attempt(show)));
  };
  scope.keep(notices, async () => {
    run = await scope.get(path("runs", id));
    state.set(run.state, run.reason ?? "", mood(run.state));
    time.set(took(run), `begun ${clock(run.started_at)}`);
    cost.set(dollars(run.result?.cost_usd) ?? "–");
    hold(about, make("strong", {}, foreign(run.agent, 80)), ": ", foreign(run.prompt ?? "", 2000));
    if (run.first_offset === undefined) return;
    if (starts.length === 0) starts.push(run.first_offset - 1);
    await show();
  });
}
