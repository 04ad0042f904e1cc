// One connection, from the attempt to its end:
//
//   socket ─▶ open ─▶ (auth) ─▶ hello ─▶ messages, watched by a heartbeat ─▶ end
//
// It knows nothing of rooms, and is not used again. Its end is told once, and nothing after it.

import { ABNORMAL } from "./comeback.js";
import { asError } from "./commands.js";
import type { Cancel, Environment, SocketClass, SocketLike } from "./environment.js";
import { Heartbeat } from "./heartbeat.js";
import { parseMessage, type Hello, type Message } from "./message.js";

/** Switches on the hello. */
const SUBPROTOCOL = "kinglet.v1";

/** Longer than the server's own patience (10 s), so that it can say why it ends a handshake. */
const HELLO_TIMEOUT_MS = 20_000;

/** The id of an `auth` before the hello; commands begin at 1. */
const AUTH_ID = 0;

/** What may stand in a subprotocol (RFC 9110 section 5.6.2, token). */
const SUBPROTOCOL_TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;

/** Where to and as whom. */
export interface Attempt {
  readonly url: string;
  readonly WebSocket: SocketClass;
  readonly token: string | undefined;
  /** Show the token by a command and not at the upgrade: then a refusal comes with its reason. */
  readonly byCommand: boolean;
}

/** Why a connection is over. */
export interface End {
  readonly code: number;
  readonly reason: string;
  /** Whether the server accepted the upgrade. */
  readonly wasOpen: boolean;
}

/** Who is told. */
export interface Listener {
  greeted(hello: Hello): void;
  received(message: Message): void;
  ended(end: End): void;
}

/** A connection that is being made, or is there. */
export class Connection {
  readonly #socket: SocketLike;
  #heartbeat: Heartbeat | undefined;
  #cancelTimer: Cancel;
  #wasOpen = false;
  #isOver = false;
  /** What the server said against the token; its close frame says less. */
  #refusal = "";

  /** Throws if the platform refuses the address. */
  constructor(
    private readonly attempt: Attempt,
    private readonly environment: Environment,
    private readonly listener: Listener,
  ) {
    const { url, token, WebSocket } = attempt;
    const isShown = token !== undefined && this.#showsAtUpgrade(token);
    const socket = new WebSocket(url, isShown ? [SUBPROTOCOL, `bearer.${token}`] : [SUBPROTOCOL]);
    this.#socket = socket;
    this.#cancelTimer = environment.after(HELLO_TIMEOUT_MS, () => {
      this.#abandon(`no hello within ${HELLO_TIMEOUT_MS} ms`);
    });
    socket.onopen = () => {
      this.#wasOpen = true;
      if (token !== undefined && !isShown) {
        this.send(JSON.stringify({ type: "auth", token, id: AUTH_ID }));
      }
    };
    socket.onmessage = (event: { data?: unknown }) => this.#receive(event.data);
    socket.onerror = () => {}; // The close event follows and says the same.
    socket.onclose = (event: { code?: number; reason?: string }) => {
      this.#end(event.code ?? ABNORMAL, this.#refusal || (event.reason ?? ""));
    };
  }

  /** Sends one message; a connection that is ending drops it, and its end is told. */
  send(text: string): void {
    try {
      this.#socket.send(text);
    } catch {
      this.#abandon("nothing can be sent any more");
    }
  }

  /** Looks whether the server is still there. */
  probe(): void {
    this.#heartbeat?.probe();
  }

  /** Ends it from our side, without telling. */
  close(): void {
    this.#release();
    this.#socket.close(1000);
  }

  #showsAtUpgrade(token: string): boolean {
    return !this.attempt.byCommand && SUBPROTOCOL_TOKEN.test(token);
  }

  #receive(data: unknown): void {
    if (this.#isOver) return;
    this.#heartbeat?.heard();
    const message = parseMessage(data);
    if (message === undefined) return;
    if (message.kind === "answer" && message.id === AUTH_ID) {
      if (message.body["type"] === "error") this.#refusal = asError(message.body).message;
    } else if (message.kind === "hello") {
      this.#greet(message);
    } else {
      this.listener.received(message);
    }
  }

  #greet(hello: Hello): void {
    if (this.#heartbeat !== undefined) return;
    this.#cancelTimer();
    const ping = () => this.send('{"type":"ping"}');
    const silent = () => this.#abandon("the server fell silent");
    this.#heartbeat = new Heartbeat(hello.pingIntervalMs, this.environment, ping, silent);
    this.listener.greeted(hello);
  }

  /** Gives it up without waiting for the other side, which may be long gone. */
  #abandon(reason: string): void {
    if (this.#isOver) return;
    this.#end(ABNORMAL, reason);
    this.#socket.close();
  }

  #end(code: number, reason: string): void {
    if (this.#isOver) return;
    this.#release();
    this.listener.ended({ code, reason, wasOpen: this.#wasOpen });
  }

  #release(): void {
    this.#isOver = true;
    this.#cancelTimer();
    this.#heartbeat?.stop();
  }
}
