// The `ws` client against a running server: `node rooms.mjs ws://127.0.0.1:8080`. Exits 0 when all
// is as it should be; otherwise the failed assertion is on standard error.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import WebSocket from 'ws';

import { open } from './socket.mjs';

const base = process.argv[2];
const http = base.replace(/^ws/, 'http');

// A hang is a failure, too.
setTimeout(() => {
  console.error('not done after 20 s');
  process.exit(1);
}, 20_000).unref();

async function connect(path, protocols = []) {
  const { socket, next } = await open(base + path, protocols);
  const ask = (message) => {
    socket.send(JSON.stringify(message));
    return next();
  };
  return { socket, next, ask };
}

async function publish(body) {
  const answer = await fetch(`${http}/api/v1/publish`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  assert.equal(answer.status, 200);
  return answer.json();
}

async function counters() {
  return (await (await fetch(`${http}/api/v1/websocket/stats`)).json()).counters;
}

const subjects = {
  async 'a subprotocol is selected and the hello follows'() {
    const { socket, next } = await connect('/ws?room=js', ['other', 'kinglet.v1']);
    assert.equal(socket.protocol, 'kinglet.v1');
    const hello = await next();
    assert.equal(hello.type, 'connected');
    assert.equal(hello.rooms[0].room, 'js');
    socket.close(1000, 'done');
    const [code] = await once(socket, 'close');
    assert.equal(code, 1000);
  },

  async 'events come one by one to the rooms they are for'() {
    const viewer = await connect('/ws?project_id=js');
    await publish({ room: 'project:other', event: 'task.created', data: 0 });
    for (const data of [1, 2, 3]) await publish({ room: 'project:js', event: 'task.created', data });
    for (const data of [1, 2, 3]) {
      const message = await viewer.next();
      assert.deepEqual([message.type, message.data], ['task.created', data]);
      assert.ok(!Number.isNaN(Date.parse(message.timestamp)));
    }
    assert.equal((await viewer.ask({ type: 'ping' })).type, 'pong');
    viewer.socket.terminate();
  },

  async 'what was missed is recovered'() {
    await publish({ room: 'away', event: 'e', data: 0 });
    const first = await connect('/ws?room=else');
    const { epoch, offset } = await first.ask({ type: 'subscribe', room: 'away' });
    first.socket.terminate();
    for (const data of [1, 2]) await publish({ room: 'away', event: 'e', data });
    const back = await connect('/ws?room=else');
    const reply = await back.ask({ type: 'subscribe', room: 'away', since: { epoch, offset } });
    assert.equal(reply.recovered, true);
    assert.deepEqual(reply.publications.map((entry) => entry.data), [1, 2]);
    back.socket.terminate();
  },

  async 'large and fragmented messages arrive whole'() {
    const { socket, next } = await connect('/ws?room=big');
    const data = 'ü'.repeat(200_000);
    const text = JSON.stringify({ type: 'publish', room: 'big', event: 'e', data, id: 'big' });
    for (let at = 0; at < text.length; at += 50_001) {
      const fin = at + 50_001 >= text.length;
      socket.send(text.slice(at, at + 50_001), { fin, binary: false });
    }
    const received = [await next(), await next()];
    assert.deepEqual(received.map((message) => message.type).sort(), ['e', 'published']);
    assert.equal(received.find((message) => message.type === 'e').data, data);
    socket.terminate();
  },

  async 'JSON in a binary message is a message'() {
    const { socket, next } = await connect('/ws');
    socket.send(Buffer.from('{"type":"ping","id":1}'));
    assert.equal((await next()).id, 1);
    socket.terminate();
  },

  async 'pings are answered in both directions'() {
    const { socket } = await connect('/ws');
    socket.ping('hello');
    const [payload] = await once(socket, 'pong');
    assert.equal(payload.toString(), 'hello');
    // The server's own ping; `ws` answers it by itself.
    await once(socket, 'ping');
    socket.terminate();
  },

  async 'a message over the limit closes with 1009'() {
    const { socket } = await connect('/ws');
    socket.send('x'.repeat(2 * 1024 * 1024));
    const [code] = await once(socket, 'close');
    assert.equal(code, 1009);
  },

  async 'ten errors in a row close with 4503'() {
    const { socket } = await connect('/ws');
    for (let sent = 0; sent < 10; sent += 1) socket.send('{"type":"nope"}');
    const [code] = await once(socket, 'close');
    assert.equal(code, 4503);
  },

  async 'a page of another site is refused'() {
    const socket = new WebSocket(`${base}/ws`, { origin: 'https://evil.example' });
    const [error] = await once(socket, 'error');
    assert.match(error.message, /403/);
  },

  async 'messages are compressed both ways'() {
    for (const options of [{ threshold: 0 }, { threshold: 0, serverMaxWindowBits: 10 }]) {
      const socket = new WebSocket(`${base}/ws?room=packed`, { perMessageDeflate: options });
      const received = [];
      socket.on('message', (data) => received.push(JSON.parse(data.toString())));
      await once(socket, 'open');
      assert.equal(socket.extensions, 'permessage-deflate');
      const before = await counters();
      const data = 'kinglet and compression, '.repeat(1000);
      for (const id of [1, 2, 3]) {
        socket.send(JSON.stringify({ type: 'publish', room: 'packed', event: 'e', data, id }));
      }
      while (received.length < 6) await once(socket, 'message');
      const events = received.filter((message) => message.type === 'e');
      assert.deepEqual(events.map((message) => message.data), [data, data, data]);
      const after = await counters();
      const grown = (name) => after[`kinglet_${name}_total`] - before[`kinglet_${name}_total`];
      assert.equal(grown('messages_inflated'), 3);
      assert.equal(grown('messages_deflated'), 3);
      assert.ok(grown('deflated_bytes_after') < grown('deflated_bytes_before') / 20);
      socket.terminate();
    }
  },

  async 'an offer that cannot be kept is declined and the connection works'() {
    const socket = new WebSocket(`${base}/ws`, {
      perMessageDeflate: { serverMaxWindowBits: 8 },
    });
    await once(socket, 'open');
    assert.equal(socket.extensions, '');
    socket.send('{"type":"ping"}');
    await once(socket, 'message');
    socket.terminate();
  },
};

for (const [name, subject] of Object.entries(subjects)) {
  try {
    await subject();
  } catch (error) {
    console.error(`${name}: ${error.stack}`);
    process.exit(1);
  }
}
console.log(`${Object.keys(subjects).length} subjects`);
process.exit(0);
