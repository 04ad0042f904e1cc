// What the clients of Socket.IO stand on: which version, which transports, and how to wait.

import { io as io3 } from 'socket.io-client-3';
import { io as io4 } from 'socket.io-client';

/** How long anything may take on a machine under load. */
export const PATIENCE_MS = 30_000;

const TRANSPORTS = { polling: ['polling'], websocket: ['websocket'], upgrade: undefined };

/** A hang is a failure, too. */
export function limitTime() {
  setTimeout(() => {
    console.error(`not done after ${2 * PATIENCE_MS} ms`);
    process.exit(1);
  }, 2 * PATIENCE_MS).unref();
}

/** Makes clients of `version` that speak over `transport`: polling, websocket, or upgrade. */
export function clients(version, transport) {
  const make = { 3: io3, 4: io4 }[version];
  const transports = TRANSPORTS[transport];
  const sockets = [];
  const connect = (url, options = {}) => {
    const given = { forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 200, ...options };
    if (transports !== undefined) given.transports = transports;
    const socket = make(url, given);
    socket.heard = [];
    // `onAny` is there from version 3 on, and misses what comes before a listener.
    socket.onAny((name, ...words) => socket.heard.push([name, ...words]));
    sockets.push(socket);
    return socket;
  };
  const end = () => {
    for (const socket of sockets) socket.io.engine?.close();
    for (const socket of sockets.splice(0)) socket.disconnect();
  };
  return { connect, end };
}

/** The arguments with which `emitter` next tells of `event`. */
export function told(emitter, event) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no ${event} came`)), PATIENCE_MS);
    emitter.once(event, (...words) => {
      clearTimeout(late);
      resolve(words);
    });
  });
}

/** Waits until a socket is connected. */
export async function connected(socket) {
  if (!socket.connected) await told(socket, 'connect');
  return socket;
}

/** Emits, and waits for what is acknowledged. */
export function ask(socket, event, ...words) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${event} was not acknowledged`)), PATIENCE_MS);
    socket.emit(event, ...words, (...answer) => {
      clearTimeout(late);
      resolve(answer);
    });
  });
}

/** Waits until `condition` holds. */
export async function until(what, condition) {
  const end = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Runs all subjects one after the other and exits. */
export async function run(subjects, end = () => {}) {
  for (const [name, subject] of Object.entries(subjects)) {
    try {
      await subject();
    } catch (error) {
      console.error(`${name}: ${error.stack}`);
      process.exit(1);
    }
    end();
  }
  console.log(`${Object.keys(subjects).length} subjects`);
  process.exit(0);
}
