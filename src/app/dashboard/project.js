// One project: the run that is active, what it says and asks, how to start one, and earlier ones.

import { path } from "./api.js";
import { badge, card, cards, field, foreign, hold, make, outcome, section } from "./dom.js";
import { button, form, json, link, NAME } from "./form.js";
import { clock } from "./format.js";
import { Output } from "./output.js";
import { earlier, mood, Spoken } from "./runs.js";
import { notice, noticeboard } from "./scope.js";
import { pretty } from "./text.js";

/** How much of the room is read when the view opens. */
const TAIL = 300;

const OVER = ["exited", "failed", "cancelled", "timeout", "lost"];

export function project(scope, panel, id) {
  new Project(scope, panel, id);
}

class Project {
  #run;
  /** Question to its card. */
  #questions = new Map();
  #state = card("State");
  #active = card("Last active");
  #title = make("h2", { tabindex: "-1" }, "Project");
  #place = make("p", { class: "muted" });
  #told = outcome();
  #about = make("p", { class: "about" });
  #asked = make("div", { class: "questions" });
  #stop = button("Cancel run", () => this.#cancel(), "danger");
  #input;
  #output = new Output("What the run says", "Nothing has been said yet.");
  #spoken = new Spoken(this.#output);
  #runs;

  constructor(scope, panel, id) {
    this.scope = scope;
    this.id = id;
    this.room = `project:${id}`;
    const notices = noticeboard();
    this.#input = this.#speaking();
    this.#runs = earlier(scope, id);
    const run = section("Run", this.#about, this.#asked, this.#output.element, this.#input,
      make("div", { class: "tools" }, this.#stop), this.#told);
    panel.append(
      make("p", {}, link("All projects", "projects")),
      this.#title, this.#place, notices,
      cards(this.#state, this.#active),
      run.element, this.#starting(), this.#runs.element,
    );
    this.#show(undefined);
    scope.keep(notices, () => this.#load());
  }

  /** Reads how things stand, then what has been said lately, and follows from there. */
  async #load() {
    const told = await this.scope.get(path("projects", this.id));
    this.#tell(told);
    const { runs } = await this.scope.get(`${path("projects", this.id, "runs")}?limit=1`);
    const tail = await this.#tail();
    if (!this.scope.isOpen) return;
    this.#stopFollowing?.();
    this.#output.clear();
    this.#questions.clear();
    this.#show(runs[0]);
    for (const event of tail.publications.reverse()) this.#hear(event);
    // What was read may be older than what was told of the run.
    if (runs[0] !== undefined && this.#run?.id === runs[0].id) this.#show(runs[0]);
    this.#stopFollowing = this.scope.follow(this.room, {
      since: tail.epoch === undefined ? 0 : { epoch: tail.epoch, offset: tail.offset },
      onEvent: (event) => this.#hear(event),
      onJoined: (reply) => {
        if (reply.recovered === false) this.scope.refresh();
        this.#ask(reply.pending ?? []);
      },
      onRefused: ({ message }) => hold(this.#told, `You may not listen here: ${message}.`),
    });
  }

  #stopFollowing;

  async #tail() {
    let tail = { publications: [] };
    const query = new URLSearchParams({ reverse: "true", limit: TAIL });
    const refusal = await this.scope.attempt(async () => {
      tail = await this.scope.get(`${path("rooms", this.room, "history")}?${query}`);
    });
    // A room in which nothing has happened yet is none; who may not read it may still listen.
    if (refusal !== undefined && ![403, 404].includes(refusal.status)) throw refusal;
    return tail;
  }

  #tell({ name, path: place, state, error, last_active: time }) {
    hold(this.#title, foreign(name ?? place.split("/").at(-1), 255));
    hold(this.#place, make("code", {}, foreign(place)));
    this.#state.set(state.toLowerCase(), error ?? "", mood(state));
    this.#active.set(clock(time));
  }

  #hear(event) {
    const { type, data } = event;
    if (data?.project?.state !== undefined) this.#tell(data.project);
    switch (type) {
      case "run.queued":
      case "run.started":
        if (data.run.id !== this.#run?.id) this.#output.clear();
        this.#show(data.run);
        this.#runs.put(data.run);
        break;
      case "run.output":
        if (data.run === this.#run?.id) this.#spoken.say(data);
        break;
      case "run.stalled":
        if (data.run === this.#run?.id) this.#show({ ...this.#run, state: "stalled" });
        break;
      case "run.exited":
        this.#runs.put(data.run);
        if (data.run.id !== this.#run?.id) break;
        this.#show(data.run);
        this.#output.note(data.error ? "error" : "mark", `The run is over: ${data.run.state}`,
          data.error ? foreign(`, ${data.error.message}`, 500) : "");
        break;
      case "permission.requested":
        if (data.run === this.#run?.id) this.#question(data);
        break;
      case "permission.resolved":
      case "permission.expired":
        this.#questions.delete(data.request);
        this.#output.note("mark", foreign(data.tool, 80), `: ${data.decision ?? "no answer came"}`,
          data.by === undefined ? "" : foreign(` by ${data.by}`, 80));
        this.#showQuestions();
        break;
      case "project_deleted":
        this.#state.set("deleted", "", "bad");
        break;
      default:
        break;
    }
  }

  #show(run) {
    this.#run = run;
    const isActive = run !== undefined && !OVER.includes(run.state);
    this.#stop.hidden = !isActive;
    this.#input.hidden = !isActive || run.state === "queued";
    if (!isActive) this.#questions.clear();
    this.#showQuestions();
    if (run === undefined) {
      hold(this.#about, "No run yet: start one below.");
      return;
    }
    hold(this.#about, badge(run.state, mood(run.state)), " ", foreign(run.agent, 80),
      run.position === undefined ? "" : `, place ${run.position} of those that wait`, ": ",
      foreign(run.prompt ?? "", 300), " ", link("all of it", "projects", this.id, "runs", run.id));
  }

  /** Shows exactly these questions. */
  #ask(pending) {
    this.#questions.clear();
    for (const question of pending) this.#question(question);
    this.#showQuestions();
  }

  #question({ run, request, tool, input }) {
    const reason = make("input", { maxlength: "1000" });
    const told = outcome();
    const answer = (allow) => async () => {
      const body = { allow, ...(reason.value === "" || allow ? {} : { message: reason.value }) };
      const refusal = await this.scope.attempt(() =>
        this.scope.post(path("runs", run, "permissions", request), body));
      if (refusal?.status === 409) hold(told, "Somebody else has answered.");
      else if (refusal !== undefined) hold(told, notice(refusal));
    };
    const element = make(
      "section",
      { class: "question", "aria-label": "Permission" },
      make("h3", {}, "May it use ", foreign(tool, 80), "?"),
      make("pre", { dir: "ltr", tabindex: "0" }, pretty(input)),
      field("If not, why", reason),
      make("div", { class: "tools" }, button("Allow", answer(true), "primary"),
        button("Deny", answer(false), "danger")),
      told,
    );
    this.#questions.set(request, element);
    this.#showQuestions();
  }

  #showQuestions() {
    const wanted = [...this.#questions.values()];
    for (const child of [...this.#asked.children]) if (!wanted.includes(child)) child.remove();
    for (const element of wanted) if (!element.isConnected) this.#asked.append(element);
  }

  async #cancel() {
    const refusal = await this.scope.attempt(() =>
      this.scope.call("DELETE", path("runs", this.#run.id)));
    hold(this.#told, notice(refusal) ?? "It is being ended.");
  }

  #speaking() {
    const input = make("input", { maxlength: "100000", required: true });
    const speech = make("form", { class: "line" }, field("Say to the agent", input),
      make("button", {}, "Send"), button("Interrupt", () => send({ interrupt: true })));
    const send = async (body) => {
      const refusal = await this.scope.attempt(() =>
        this.scope.post(path("runs", this.#run.id, "input"), body));
      if (refusal === undefined) speech.reset();
      hold(this.#told, refusal?.code === "NOT_INTERACTIVE"
        ? "This agent takes no input: agents.<name>.interactive is off." : notice(refusal));
    };
    speech.addEventListener("submit", (event) => {
      event.preventDefault();
      send({ text: input.value });
    });
    return speech;
  }

  #starting() {
    const agent = make("input", { ...NAME, value: "claude", required: true });
    const prompt = make("textarea", { rows: "3", placeholder: "Fix the test that fails" });
    const more = json("As JSON", '{"options": {"model": "opus"}, "params": {"target": "docs"}}');
    const title = make("summary", {}, "Options and parameters");
    const parts = [field("Agent", agent), field("Prompt", prompt),
      make("details", {}, title, more.element)];
    return section("Start a run", form(this.scope, "Start run", parts, async () => {
      const { options, params } = more.value() ?? {};
      const body = { agent: agent.value, prompt: prompt.value, options, params };
      const { run } = await this.scope.post(path("projects", this.id, "runs"), body);
      this.#runs.put(run);
      return [run.state === "queued" ? "It waits for its turn." : "Started."];
    })).element;
  }
}
