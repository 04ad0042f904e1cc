#!/usr/bin/env node
// npm's socket.io with the application that `debug.echo` plays: what is asked of kinglet is asked of
// it, too, so that the tests know the protocol and not just us. Takes the settings that a kinglet
// would; its first line says where it listens.

import { createServer } from 'node:http';
import { Server } from 'socket.io';

/** The duration of a setting in milliseconds; the library's own if there is none. */
function duration(name) {
  const setting = process.env[`KINGLET_SOCKETIO__${name}`];
  if (setting === undefined) return undefined;
  const [, count, unit] = /^(\d+)(ms|s)$/.exec(setting);
  return Number(count) * { ms: 1, s: 1000 }[unit];
}

function given(options) {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function serve(socket) {
  socket.emit('auth', socket.handshake.auth);
  socket.on('message', (...words) => {
    const ack = typeof words.at(-1) === 'function' ? words.pop() : () => {};
    socket.emit('message-back', ...words);
    ack(...words);
  });
  socket.on('message-with-ack', (...words) => {
    const ack = words.pop();
    ack(...words);
  });
}

const http = createServer();
const io = new Server(http, given({
  serveClient: false,
  cors: { origin: false },
  maxHttpBufferSize: 1_000_000,
  pingInterval: duration('PING_INTERVAL'),
  pingTimeout: duration('PING_TIMEOUT'),
  upgradeTimeout: duration('UPGRADE_TIMEOUT'),
  connectTimeout: duration('CONNECT_TIMEOUT'),
}));
for (const namespace of ['/', '/custom']) io.of(namespace).on('connection', serve);
http.listen({ host: '127.0.0.1', port: 0 }, () => {
  console.log(`npm's socket.io listens on http://127.0.0.1:${http.address().port}`);
});
