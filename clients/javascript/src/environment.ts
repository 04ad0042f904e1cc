// What surrounds the client: time, chance, timers, storage and the network's own news. It is the
// only file that touches globals of the platform, so that everything else can be tested with a
// clock of its own.

/** Undoes what returned it; doing so twice does nothing. */
export type Cancel = () => void;

/** The part of a WebSocket that is used: that of browsers, of Node.js and of `ws` alike. */
export interface SocketLike {
  // `any`, because each platform has event types of its own, of which only `data`, `code` and
  // `reason` are read, after a check.
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

/** A class of WebSockets. */
export type SocketClass = new (url: string, protocols: string[]) => SocketLike;

/** Where positions outlive a page: `sessionStorage`, `localStorage`, or anything like them. */
export interface PositionStorage {
  getItem(name: string): string | null;
  setItem(name: string, value: string): void;
  removeItem(name: string): void;
}

/** Everything that the client knows of the world. */
export interface Environment {
  /** Milliseconds since 1970 by this machine's clock. */
  now(): number;
  /** From 0 to below 1. */
  random(): number;
  /** Calls `action` once after so many milliseconds. */
  after(milliseconds: number, action: () => void): Cancel;
  /** Calls `action` whenever the machine says that it has a network again. */
  whenOnline(action: () => void): Cancel;
  /** Throws what a handler of the application threw, where the client is not in the way. */
  rethrow(error: unknown): void;
  /** The platform's own WebSocket; Node.js has one from version 22 on. */
  readonly WebSocket: SocketClass | undefined;
  /** Fails where the page may not use it; `undefined` where there is none. */
  storage(): PositionStorage | undefined;
}

/** The longest delay that timers take: they fire at once beyond 31 bits. */
const DELAY_MAX_MS = 2 ** 31 - 1;

/** The browser, worker or Node.js that this runs in. */
export const platform: Environment = {
  now: () => Date.now(),
  random: () => Math.random(),
  after(milliseconds, action) {
    const timer = setTimeout(action, Math.min(milliseconds, DELAY_MAX_MS));
    return () => clearTimeout(timer);
  },
  whenOnline(action) {
    if (typeof globalThis.addEventListener !== "function") return () => {};
    globalThis.addEventListener("online", action);
    return () => globalThis.removeEventListener("online", action);
  },
  rethrow(error) {
    queueMicrotask(() => {
      throw error;
    });
  },
  get WebSocket() {
    return globalThis.WebSocket as SocketClass | undefined;
  },
  storage: () => globalThis.sessionStorage as PositionStorage | undefined,
};

/** The address of the socket: relative ones are the page's, and `/` stands for `/ws`. */
export function socketUrl(url: string): string {
  const page = typeof location === "undefined" ? undefined : location.href;
  const resolved = new URL(url, page);
  resolved.protocol = resolved.protocol.replace(/^http/, "ws");
  resolved.hash = "";
  if (resolved.pathname === "/") resolved.pathname = "/ws";
  return resolved.href;
}
