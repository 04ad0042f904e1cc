// Clients of P4 on the `ws` library against a running server that samples the machine every
// 200 ms: `node devices.mjs ws://127.0.0.1:8080`. Exits 0 when all is as it should be; otherwise
// the failed assertion is on standard error.
//
// With `drain` behind the address it connects, says so on standard output, and waits to be told
// that the server shuts down.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import os from 'node:os';
import WebSocket from 'ws';

const base = process.argv[2];
const http = base.replace(/^ws/, 'http');
const url = `${base}/ws/metrics`;

// A hang is a failure, too.
setTimeout(() => {
  console.error('not done after 30 s');
  process.exit(1);
}, 30_000).unref();

const get = async (path) => (await fetch(http + path)).json();

/** A socket, and `next`, which waits for a message of a type and drops those before it. */
async function open() {
  const socket = new WebSocket(url);
  const messages = [];
  let wake = () => {};
  socket.on('message', (data, isBinary) => {
    assert.equal(isBinary, false);
    const message = JSON.parse(data.toString());
    assert.ok(!Number.isNaN(Date.parse(message.timestamp)), data.toString());
    messages.push({ ...message, at: performance.now() });
    wake();
  });
  const any = async () => {
    while (messages.length === 0) await new Promise((resolve) => (wake = resolve));
    return messages.shift();
  };
  const next = async (type) => {
    for (;;) {
      const message = await any();
      if (message.type === type) return message;
    }
  };
  const send = (message) => socket.send(JSON.stringify(message));
  await once(socket, 'open');
  return { socket, messages, any, next, send };
}

/** Resolves after this many milliseconds, in which something may come. */
const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until `is` holds of what `look` finds. */
async function until(look, is) {
  for (let last; ; await after(50)) {
    last = await look();
    if (is(last)) return last;
  }
}

const subjects = {
  async 'the hello comes first, metrics within a second, then each interval'() {
    const began = performance.now();
    const { socket, any, next } = await open();
    const hello = await any();
    assert.equal(hello.type, 'connected');
    assert.deepEqual(hello.data.subscribedChannels, ['metrics']);
    assert.equal(typeof hello.data.clientId, 'string');
    const first = await any();
    assert.equal(first.type, 'metrics');
    assert.ok(first.at - began < 1500, `${first.at - began} ms`);
    const times = [];
    for (let count = 0; count < 6; count += 1) times.push((await next('metrics')).at);
    // A late one does not make the next one late.
    const mean = (times.at(-1) - times[0]) / (times.length - 1);
    assert.ok(mean > 100 && mean < 1000, `every ${mean} ms`);
    socket.close();
    await once(socket, 'close');
  },

  async 'after unsubscribe there is silence until a nested subscribe'() {
    const { socket, messages, next, send } = await open();
    await next('metrics');
    send({ type: 'unsubscribe', channel: 'metrics' });
    send({ type: 'ping' });
    // The answer shows that what was said before it is done.
    let pong;
    do pong = await next('connected'); while (!pong.data.pong);
    messages.length = 0;
    await after(700);
    assert.deepEqual(messages, []);
    send({ type: 'subscribe', data: { channel: 'metrics' }, timestamp: new Date().toISOString() });
    await next('metrics');
    await next('metrics');
    socket.terminate();
  },

  async 'a ping is answered with connected'() {
    const { socket, next, send } = await open();
    await next('connected');
    send({ type: 'ping' });
    const { data } = await next('connected');
    assert.deepEqual(data, { pong: true });
    socket.terminate();
  },

  async 'what is no JSON is told and the connection stays'() {
    const { socket, next, send } = await open();
    socket.send('no JSON');
    const error = await next('error');
    assert.deepEqual(Object.keys(error).sort(), ['at', 'message', 'timestamp', 'type']);
    assert.equal(error.message, 'Invalid message format');
    send({ type: 'something', else: true });
    send({ type: 'subscribe' });
    await next('metrics');
    assert.equal(socket.readyState, WebSocket.OPEN);
    socket.terminate();
  },

  async 'several clients all receive, each its own channels'() {
    const clients = await Promise.all([open(), open(), open()]);
    clients[0].send({ type: 'subscribe', channel: 'system-info' });
    clients[1].send({ type: 'subscribe', channel: 'logs' });
    for (const { next } of clients) await next('metrics');
    for (const { socket } of clients) socket.terminate();
  },

  async 'the statistics show who comes and goes'() {
    const counted = async () => (await get('/api/v1/ws/stats')).connectedClients;
    await until(counted, (count) => count === 0);
    const { socket, any, send } = await open();
    const { data } = await any();
    send({ type: 'subscribe', channel: 'processes' });
    const stats = await until(
      () => get('/api/v1/ws/stats'),
      ({ clients }) => clients[0]?.subscribedChannels.length === 2,
    );
    assert.equal(stats.connectedClients, 1);
    const [client] = stats.clients;
    assert.equal(client.id, data.clientId);
    assert.equal(client.dialect, 'device');
    assert.deepEqual(client.subscribedChannels.toSorted(), ['metrics', 'processes']);
    assert.ok(!Number.isNaN(Date.parse(client.connectedAt)));
    socket.close(1000);
    await once(socket, 'close');
    await until(counted, (count) => count === 0);
  },

  async 'the test page connects, shows the metrics and the processes, and leaves'() {
    const { socket, next } = await open();
    const log = [];
    log.push(`connected as ${(await next('connected')).data.clientId}`);
    const { data } = await next('metrics');
    // What the page shows of it, as it formats it.
    log.push(`CPU ${data.cpu_usage.toFixed(1)} % of ${data.cpu_cores}, ${data.cpu_temp ?? 'N/A'}`);
    log.push(`memory ${data.memory_usage} of ${data.memory_total} MB, ${data.memory_percent} %`);
    log.push(`storage ${data.storage_percent ?? 'N/A'} %, up ${Math.floor(data.uptime / 3600)} h`);
    const rows = data.top_processes.map(
      ({ pid, name, cpu, mem }) => `${pid} ${name} ${cpu.toFixed(1)} ${mem.toFixed(1)}`,
    );
    assert.ok(rows.length > 0 && rows.length <= 10, rows.join('\n'));
    assert.equal(data.hostname, os.hostname());
    assert.ok(!Number.isNaN(Date.parse(data.timestamp)));
    assert.ok(data.network_interfaces.every(({ name }) => name.length > 0));
    assert.equal(typeof data.is_undervolted, 'boolean');
    assert.ok(![...log, ...rows].some((line) => /undefined|NaN/.test(line)), log.join('\n'));
    socket.close();
    const [code] = await once(socket, 'close');
    assert.equal(code, 1000);
  },
};

if (process.argv[3] === 'drain') {
  const { socket, next } = await open();
  await next('connected');
  console.log('connected');
  const [code, reason] = await once(socket, 'close');
  assert.deepEqual([code, reason.toString()], [1000, 'Server shutting down']);
  process.exit(0);
}
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
