// An open socket of the `ws` client, and its messages one after the other.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import WebSocket from 'ws';

/** Opens `url`; `next` waits for a message, `messages` are those that nobody has waited for. */
export async function open(url, protocols = []) {
  const socket = new WebSocket(url, protocols);
  const waiting = [];
  const messages = [];
  socket.on('message', (data, isBinary) => {
    assert.equal(isBinary, false);
    const message = JSON.parse(data.toString());
    const next = waiting.shift();
    if (next) next(message);
    else messages.push(message);
  });
  const next = () =>
    new Promise((resolve) => {
      if (messages.length > 0) resolve(messages.shift());
      else waiting.push(resolve);
    });
  await once(socket, 'open');
  return { socket, messages, next };
}
