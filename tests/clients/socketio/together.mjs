// One publication heard at once by clients of every kind: `node together.mjs http://127.0.0.1:8080`,
// a server in open mode. Exits 0 when each heard all of it, in its own words.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { EventSource } from 'eventsource';

import { open as openNative } from '../socket.mjs';
import { ask, clients, connected, limitTime, run, until } from './common.mjs';

const base = process.argv[2];
const native = base.replace(/^http/, 'ws');
limitTime();

async function publish(body) {
  const answer = await fetch(`${base}/api/v1/publish`, {
    method: 'POST',
    body: JSON.stringify(body),
  });
  assert.equal(answer.status, 200, await answer.clone().text());
}

/** A client of Socket.IO in a room, and how it says what it heard. */
async function socketIo(version, transport, namespace, room) {
  const socket = clients(version, transport).connect(base + namespace);
  await connected(socket);
  const [answer] = await ask(socket, 'subscribe', { room });
  assert.equal(answer.status, 'success', JSON.stringify(answer));
  const data = namespace === '/ws' ? ([, { data }]) => data : ([, data]) => data;
  const said = () => socket.heard.filter(([name]) => name === 'said').map(data);
  return [`socket.io-client ${version} over ${transport} in ${namespace}`, said];
}

async function everybody(room) {
  const clients = [];
  for (const version of ['4', '3']) {
    for (const transport of ['polling', 'websocket', 'upgrade']) {
      for (const namespace of ['/', '/ws']) {
        clients.push(await socketIo(version, transport, namespace, room));
      }
    }
  }

  const { messages, next } = await openNative(`${native}/ws?room=${encodeURIComponent(room)}`);
  const inRoom = () => messages.filter(({ type }) => type === 'said').map(({ data }) => data);
  clients.push(['ws on the native dialect', inRoom]);
  void next;

  const events = [];
  const source = new EventSource(`${base}/api/v1/events?room=${encodeURIComponent(room)}`);
  source.onmessage = ({ data }) => {
    const { type, data: said } = JSON.parse(data);
    if (type === 'said') events.push(said);
  };
  await new Promise((resolve) => (source.onopen = resolve));
  clients.push(['EventSource', () => events]);

  // A device hears the rooms of the machine only.
  if (room === 'metrics') {
    const device = await openNative(`${native}/ws/metrics`);
    const said = () => device.messages.filter(({ type }) => type === 'said').map(({ data }) => data);
    clients.push(['a device', said]);
  }
  return clients;
}

await run({
  async 'each hears each publication once, in the same order'() {
    for (const room of ['project:all', 'metrics']) {
      const clients = await everybody(room);
      const expected = [0, 1, 2, 3, 4].map((number) => ({ number, text: 'grüße ✓' }));
      for (const data of expected) await publish({ room, event: 'said', data });
      for (const [who, said] of clients) {
        await until(`${who} hears all in ${room}`, () => said().length >= expected.length);
        assert.deepEqual(said(), expected, `${who} in ${room}`);
      }
    }
  },
});
void once;
