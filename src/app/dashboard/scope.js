// What a view may use while it is open: requests, polling, rooms. When it closes all of that ends,
// so that the server is asked for nothing that nobody looks at.

import { Refusal } from "./api.js";
import { hold, make } from "./dom.js";

/** Lists are asked for at most this often. */
export const POLL_MS = 5000;

export class Scope {
  #controller = new AbortController();
  #endings = [];
  #refreshers = [];

  constructor(api, socket, identity) {
    this.api = api;
    this.socket = socket;
    this.identity = identity;
  }

  get isOpen() {
    return !this.#controller.signal.aborted;
  }

  /** Has `ending` called when the view closes. */
  onClose(ending) {
    this.#endings.push(ending);
  }

  close() {
    this.#controller.abort();
    for (const ending of this.#endings.splice(0)) ending();
  }

  /** Asks for everything again: the server is back, or somebody looks again. */
  refresh() {
    for (const refresher of this.#refreshers) refresher();
  }

  get(path) {
    return this.api.get(path, this.#controller.signal);
  }

  post(path, body) {
    return this.api.post(path, body, this.#controller.signal);
  }

  call(method, path, body) {
    return this.api.call(method, path, body, this.#controller.signal);
  }

  /** Follows a room; returns what ends that. */
  follow(room, follower) {
    const stop = this.socket.follow(room, follower);
    this.onClose(stop);
    return stop;
  }

  /**
   * Does `load` now, whenever everything is asked for again and, with a `period`, that often while
   * somebody looks. What is refused is told in `notices`. Returns what does it at once.
   */
  keep(notices, load, period = 0) {
    let timer;
    let isBusy = false;
    let isAskedAgain = false;
    const turn = async () => {
      clearTimeout(timer);
      if (!this.isOpen || document.hidden) return;
      isAskedAgain = isBusy;
      if (isBusy) return;
      isBusy = true;
      const refusal = await this.attempt(load);
      isBusy = false;
      if (!this.isOpen) return;
      hold(notices, notice(refusal));
      if (isAskedAgain) turn();
      else if (period > 0) timer = setTimeout(turn, Math.max(period, POLL_MS));
    };
    this.onClose(() => clearTimeout(timer));
    this.#refreshers.push(turn);
    turn();
    return turn;
  }

  /** Does `action`; answers with the refusal if there is one. */
  async attempt(action) {
    try {
      await action();
      return undefined;
    } catch (error) {
      if (error instanceof Refusal) return error;
      throw error;
    }
  }
}

/** What is said of a refusal; nothing if there is none. */
export function notice(refusal) {
  if (refusal === undefined) return undefined;
  return make("p", { class: "notice", "data-status": refusal.status }, refusal.explanation);
}

/** Where notices of a section stand. */
export function noticeboard() {
  return make("div", { class: "notices", role: "status" });
}
