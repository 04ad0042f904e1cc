// What the server counts, over time. Views share the points, so that no chart begins anew with a
// change of the view.

import { Series } from "./chart.js";

const MESSAGES = ["kinglet_messages_received_total", "kinglet_messages_sent_total"];

class Statistics {
  /** Messages a second: received, sent. */
  messages = new Series();
  /** Sessions. */
  sessions = new Series();
  /** What was told last. */
  latest;
  /** Counter to what it grew by, a second. */
  rates = new Map();
  #at = 0;

  /** Takes an answer of /api/v1/websocket/stats. */
  take(answer, at = Date.now()) {
    const seconds = (at - this.#at) / 1000;
    const before = this.latest;
    // Another process counts from zero.
    const isSame = before !== undefined && answer.uptime_seconds >= before.uptime_seconds;
    if (before !== undefined && seconds < 1) return;
    this.rates = new Map();
    for (const [name, value] of Object.entries(answer.counters ?? {})) {
      const growth = isSame ? value - before.counters[name] : NaN;
      if (growth >= 0) this.rates.set(name, growth / seconds);
    }
    this.messages.push(at, MESSAGES.map((name) => this.rates.get(name)));
    this.sessions.push(at, [answer.connections]);
    this.latest = answer;
    this.#at = at;
  }
}

/** Those of this page. */
export const statistics = new Statistics();
