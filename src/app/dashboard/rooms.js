// Rooms: which there are, and what happens in one of them.

import { path } from "./api.js";
import { card, cards, code, command, empty, field, foreign, hold, make, outcome, section }
  from "./dom.js";
import { button, link, NAME } from "./form.js";
import { clock, count, rate } from "./format.js";
import { Output, publication } from "./output.js";
import { notice, noticeboard, POLL_MS } from "./scope.js";
import { Table } from "./table.js";

const PAGE = 100;

export function rooms(scope, panel, [name]) {
  if (name === undefined) list(scope, panel);
  else one(scope, panel, name);
}

function list(scope, panel) {
  const notices = noticeboard();
  const input = make("input", { ...NAME, type: "search", placeholder: "project:" });
  /** The last name of each page before this one. */
  const before = [];
  let last = "";
  /** Room and epoch to the offset when it was last told. */
  let known = new Map();
  const nothing = empty(
    "No room is in use here. One begins when somebody subscribes or publishes:",
    command(`curl ${location.origin}/api/v1/publish -d '{"room":"chat:1","event":"hello"}'`),
  );
  const table = new Table("Rooms", [
    { label: "Room", cell: ({ room }) => link(foreign(room, 255), "rooms", room) },
    { label: "Members", kind: "number", cell: ({ members }) => count(members) },
    { label: "Publications", kind: "number", cell: ({ growth }) => rate(growth) },
    { label: "Offset", kind: "number", cell: ({ offset }) => count(offset) },
  ], ({ room }) => room, nothing);
  const previous = button("Previous page", () => {
    before.pop();
    load();
  });
  const next = button("Next page", () => {
    before.push(last);
    load();
  });
  previous.disabled = next.disabled = true;
  panel.append(section("Rooms", field("Begins with", input), notices, ...table.parts,
    make("div", { class: "tools" }, previous, next)).element);

  const load = scope.keep(notices, async () => {
    const query = new URLSearchParams({ limit: PAGE });
    if (input.value !== "") query.set("prefix", input.value);
    if (before.length > 0) query.set("after", before.at(-1));
    const answer = await scope.get(`api/v1/rooms?${query}`);
    const at = Date.now();
    const now = new Map();
    for (const room of answer.rooms) {
      const key = `${room.room} ${room.epoch}`;
      const earlier = known.get(key);
      room.growth = earlier && ((room.offset - earlier.offset) * 1000) / (at - earlier.at);
      now.set(key, { offset: room.offset, at });
    }
    known = now;
    table.show(answer.rooms);
    last = answer.rooms.at(-1)?.room ?? "";
    previous.disabled = before.length === 0;
    next.disabled = !answer.more;
  }, POLL_MS);
  input.addEventListener("input", () => {
    before.length = 0;
    load();
  });
}

function one(scope, panel, room) {
  const [members, offset, epoch] = ["Members", "Offset", "Epoch"].map(card);
  const notices = noticeboard();
  const stream = new Output(`Events in ${room}`, "Listening. Nothing has been published since.");
  const liveNotices = noticeboard();
  panel.append(
    make("p", {}, link("All rooms", "rooms"), " · ",
      link("Open in the console", "console", room)),
    make("h2", { tabindex: "-1" }, foreign(room, 255)),
    notices,
    cards(members, offset, epoch),
    section("Live events", liveNotices, stream.element).element,
    past(scope, room),
    presence(scope, room),
  );
  scope.keep(notices, async () => {
    const told = await scope.get(path("rooms", room));
    members.set(count(told.members));
    offset.set(count(told.offset));
    epoch.set(told.epoch);
  }, POLL_MS);
  scope.follow(room, {
    onEvent: (event) => stream.add("", ...publication(event, false)),
    onJoined: ({ recovered }) => {
      if (recovered === false) stream.note("mark", "It began anew, or too much was missed.");
      hold(liveNotices);
    },
    onRefused: ({ message }) => {
      stream.hint.hidden = true;
      hold(liveNotices, make("p", { class: "notice" }, `You may not listen here: ${message}.`));
    },
  });
}

/** What a room retains, newest first. */
function past(scope, room) {
  const told = outcome();
  let since;
  const again = button("Newest", () => {
    output.clear();
    since = undefined;
    load();
  });
  const older = button("Earlier", () => load());
  older.disabled = true;
  const output = new Output(`History of ${room}`, "Nothing is retained.", [again, older]);
  const load = async () => {
    const query = new URLSearchParams({ reverse: "true", limit: "50" });
    if (since !== undefined) query.set("since", since);
    const refusal = await scope.attempt(async () => {
      const page = await scope.get(`${path("rooms", room, "history")}?${query}`);
      for (const event of page.publications) output.add("", ...publication(event, false));
      since = page.publications.at(-1)?.offset ?? since;
      older.disabled = !page.more;
    });
    if (!scope.isOpen) return;
    hold(told, refusal?.status === 404 ? undefined : notice(refusal));
  };
  load();
  return section("History", told, output.element).element;
}

/** Who is in a room. */
function presence(scope, room) {
  const notices = noticeboard();
  const sum = make("p", { class: "muted" });
  const table = new Table("Members", [
    { label: "User", cell: ({ user }) => (user === undefined ? "nobody" : foreign(user, 255)) },
    { label: "Session", kind: "prose", cell: ({ session }) => code(session) },
    { label: "Since", cell: ({ since }) => clock(since) },
  ], ({ session }) => session);
  scope.keep(notices, async () => {
    const told = await scope.get(path("rooms", room, "presence"));
    sum.textContent = `${count(told.sessions)} sessions of ${count(told.users)} users` +
      (told.truncated ? "; too many to list" : "");
    table.show(told.members);
  }, 2 * POLL_MS);
  return section("Presence", notices, sum, table.element).element;
}
