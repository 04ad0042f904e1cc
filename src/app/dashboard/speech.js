// What an agent says, as lines for people. Lines of the Claude CLI are told by what they mean;
// everything else is shown as it was printed, or as JSON.

import { compact } from "./text.js";
import { decimal, duration } from "./format.js";

/** The most characters of what a tool is given, or answers. */
const TOOL_MAX = 1000;

/** The lines `{kind, who, text}` of a `run.output`; `isPart` says that more of the same follows. */
export function lines({ stream, line, json, truncated }) {
  const cut = truncated ? [{ kind: "mark", text: "The line above was cut." }] : [];
  if (json === undefined) return [{ kind: stream, text: line ?? "" }, ...cut];
  return [...(spoken(json) ?? [{ kind: "json", text: compact(json) }]), ...cut];
}

function spoken(json) {
  switch (json?.type) {
    case "system":
      return json.subtype === "init"
        ? [{ kind: "mark", text: `Session ${text(json.session_id)}, model ${text(json.model)}` }]
        : undefined;
    case "assistant":
    case "user":
      return content(json.message?.content, json.type);
    case "stream_event":
      return part(json.event);
    case "result":
      return [{ kind: json.is_error ? "error" : "mark", text: result(json) }];
    case "control_request":
    case "control_response":
      return []; // Questions are shown where they are answered.
    default:
      return undefined;
  }
}

function content(blocks, who) {
  if (typeof blocks === "string") return [{ kind: who, who, text: blocks }];
  if (!Array.isArray(blocks)) return undefined;
  return blocks.map((block) => {
    switch (block?.type) {
      case "text":
        return { kind: who, who, text: text(block.text) };
      case "thinking":
        return { kind: "thinking", who: "thinks", text: text(block.thinking) };
      case "tool_use":
        return { kind: "tool", who: text(block.name), text: compact(block.input, TOOL_MAX) };
      case "tool_result":
        return { kind: block.is_error ? "error" : "tool", who: "result",
          text: answer(block.content) };
      default:
        return { kind: "json", text: compact(block, TOOL_MAX) };
    }
  });
}

/** A piece of what is being said; other events of the stream say nothing. */
function part(event) {
  const said = event?.delta?.text;
  return typeof said === "string" ? [{ kind: "assistant", text: said, isPart: true }] : [];
}

function answer(content) {
  if (typeof content === "string") return content.slice(0, TOOL_MAX);
  const texts = Array.isArray(content) ? content.map((block) => block?.text) : [];
  return texts.length > 0 && texts.every((each) => typeof each === "string")
    ? texts.join("\n").slice(0, TOOL_MAX)
    : compact(content, TOOL_MAX);
}

function result({ subtype, num_turns: turns, total_cost_usd: cost, duration_ms: millis }) {
  const parts = [
    `Result: ${text(subtype)}`,
    Number.isFinite(turns) && `${turns} ${turns === 1 ? "turn" : "turns"}`,
    Number.isFinite(millis) && duration(millis / 1000),
    dollars(cost),
  ];
  return parts.filter(Boolean).join(", ");
}

/** An amount of US dollars. */
export function dollars(cost) {
  return Number.isFinite(cost) ? `$${cost < 1 ? cost.toFixed(4) : decimal(cost)}` : undefined;
}

function text(value) {
  return typeof value === "string" ? value : compact(value, TOOL_MAX);
}
