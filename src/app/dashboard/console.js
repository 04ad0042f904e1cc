// Console: listen to rooms, and publish.

import { field, foreign, hold, make, outcome, section } from "./dom.js";
import { form, json, NAME } from "./form.js";
import { Output, publication } from "./output.js";

const ROOMS_MAX = 100;

/** What was followed and heard stays while other views are looked at. */
const state = { rooms: new Map(), output: undefined, draft: { room: "", event: "", data: "" } };

export function converse(scope, panel, [named]) {
  state.output ??= new Output("What was heard", "Subscribe to a room, and see here what happens.");
  const { output, rooms } = state;
  const followed = make("ul", { class: "chips", "aria-label": "Rooms that are followed" });
  const told = outcome();
  const input = make("input", { ...NAME, required: true, maxlength: "9999",
    placeholder: "chat:1 global" });
  const subscribing = make("form", { class: "line" }, field("Rooms", input),
    make("button", { class: "primary" }, "Subscribe"));
  const listening = section("Subscribe", subscribing, told, followed);
  panel.append(
    make("div", { class: "columns" }, listening.element, publishing(scope, named)),
    section("Heard", output.element).element,
  );

  const stops = new Map();
  const show = () => hold(followed, ...[...rooms.keys()].map((room) => {
    const leave = make("button", { type: "button", "data-room": room,
      "aria-label": `Unsubscribe from ${room}` }, "Leave");
    return make("li", {}, foreign(room, 255), leave);
  }));
  followed.addEventListener("click", ({ target }) => {
    const { room } = target.dataset;
    if (room === undefined) return;
    stops.get(room)?.();
    rooms.delete(room);
    output.note("mark", "Left ", foreign(room, 255));
    show();
  });
  const follow = (room) => {
    const place = rooms.get(room) ?? {};
    rooms.set(room, place);
    stops.set(room, scope.follow(room, {
      since: place.position,
      onEvent: (event) => {
        place.position = { epoch: place.position?.epoch, offset: event.offset };
        if (!event.isCopy) output.add("", ...publication(event, true));
      },
      onJoined: ({ epoch, offset, recovered }) => {
        // What was missed follows, and moves the position on to this one.
        if (place.position === undefined) output.note("mark", "Listening to ", foreign(room, 255));
        if (recovered === false) {
          output.note("mark", foreign(room, 255), " began anew, or too much was missed.");
        }
        place.position = { epoch, offset };
      },
      onRefused: ({ message }) => {
        rooms.delete(room);
        hold(told, foreign(`${room}: ${message}`));
        show();
      },
    }));
  };
  subscribing.addEventListener("submit", (event) => {
    event.preventDefault();
    hold(told);
    const asked = input.value.split(/[\s,]+/).filter((room) => room !== "" && !rooms.has(room));
    if (rooms.size + asked.length > ROOMS_MAX) {
      hold(told, `The console follows at most ${ROOMS_MAX} rooms.`);
      return;
    }
    asked.forEach(follow);
    input.value = "";
    show();
  });
  [...rooms.keys()].forEach(follow);
  if (named !== undefined && !rooms.has(named)) follow(named);
  show();
}

function publishing(scope, named) {
  const { draft } = state;
  if (named !== undefined) draft.room = named;
  const room = make("input", { ...NAME, required: true, placeholder: "chat:1" });
  const event = make("input", { ...NAME, required: true, placeholder: "message.posted" });
  const data = json("Data, as JSON", '{"text": "hello"}');
  for (const [name, input] of Object.entries({ room, event, data: data.input })) {
    input.value = draft[name];
    input.addEventListener("input", () => (draft[name] = input.value));
  }
  data.check();
  const parts = [field("Room", room), field("Event", event), data.element];
  return section("Publish", form(scope, "Publish", parts, async () => {
    const body = { room: room.value, event: event.value, data: data.value() ?? null };
    const { results: [place] } = await scope.post("api/v1/publish", body);
    return ["Published to ", foreign(place.room, 255), `, offset ${place.offset}.`];
  })).element;
}
