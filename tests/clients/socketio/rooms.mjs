// socket.io-client against a server in token mode whose catalogue and rooms are kinglet's:
// `node rooms.mjs http://127.0.0.1:8080 4 upgrade SECRET`. Exits 0 when all is as it should be.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { promisify } from 'node:util';

import { ask, clients, connected, limitTime, run, told, until } from './common.mjs';

const [base, version, transport, secret] = process.argv.slice(2);
const { connect, end } = clients(version, transport);
limitTime();

/** A token of `user`, or one that differs from it in these claims. */
function sign(user, claims = {}, key = secret, alg = 'HS256') {
  const spell = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + 600;
  const signed = `${spell({ alg })}.${spell({ sub: user, exp, ...claims })}`;
  if (alg === 'none') return `${signed}.`;
  return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`;
}

const admin = sign('root', { role: 'admin' });

async function post(path, body) {
  const answer = await fetch(`${base}/api/v1/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${admin}` },
    body: JSON.stringify(body),
  });
  assert.equal(answer.status, 200, await answer.clone().text());
}

const updated = (project_id, more = {}) =>
  post('events', { type: 'project.updated', data: { project_id, status: 'active', ...more } });

async function open(user, namespace = '/ws', claims = {}) {
  const socket = connect(base + namespace, { auth: { token: sign(user, claims) } });
  return connected(socket);
}

/** What is heard beside the hello. */
const heard = (socket) => socket.heard.filter(([name]) => name !== 'connection_established');

async function refused(auth, options = {}) {
  const socket = connect(`${base}/ws`, { auth, ...options });
  const [error] = await told(socket, 'connect_error');
  return error;
}

const subjects = {
  // The example of "Getting started" as it stands, but for where the server is.
  async 'the first example of the replaced server'() {
    const token = sign('ada');
    const said = [];
    const console = { log: (...words) => said.push(words) };
    const io = (url, options) => connect(url.replace('http://localhost:8000', base), options);

    const socket = io("http://localhost:8000/ws", {
      auth: { token: token }
    });

    socket.on("connection_established", (event) => {
      console.log("Connected!");
    });

    socket.emit("subscribe", { room: "project:123" });

    socket.on("project.updated", (event) => {
      console.log("Project updated:", event.data);
    });

    // Commands are handled in their order, so the first one is done with the second.
    assert.deepEqual(await ask(socket, 'subscribe', { room: 'project:123' }), [
      { status: 'success', room: 'project:123' },
    ]);
    const data = { project_id: '123', status: 'active' };
    await promisify(execFile)('curl', [
      '--silent', '--show-error', '--fail', `${base}/api/v1/events`,
      '--header', `Authorization: Bearer ${admin}`,
      '--data', JSON.stringify({ type: 'project.updated', data }),
    ]);
    await until('it is told', () => said.length === 2);
    assert.deepEqual(said, [['Connected!'], ['Project updated:', data]]);
  },

  async 'the hello says who one is'() {
    const socket = await open('ada');
    await until('the hello is there', () => socket.heard.length > 0);
    const [[name, hello, ...more]] = socket.heard;
    assert.equal(name, 'connection_established');
    assert.deepEqual(more, []);
    assert.equal(hello.type, 'connection.established');
    assert.equal(hello.data.user_id, 'ada');
    assert.equal(hello.data.protocol_version, '1.0');
    assert.equal(typeof hello.data.connection_id, 'string');
    assert.ok(!Number.isNaN(Date.parse(hello.timestamp)));
  },

  async 'commands are acknowledged in the words of the replaced server'() {
    const socket = await open('ada');
    const room = 'project:words';
    assert.deepEqual(await ask(socket, 'ping'), [{ status: 'pong' }]);
    assert.deepEqual(await ask(socket, 'ping', { any: 'thing' }), [{ status: 'pong' }]);
    assert.deepEqual(await ask(socket, 'subscribe', { room }), [{ status: 'success', room }]);
    assert.deepEqual(await ask(socket, 'subscribe', { room }), [{ status: 'success', room }]);
    for (const time of [1, 2]) {
      const answer = await ask(socket, 'unsubscribe', { room });
      assert.deepEqual(answer, [{ status: 'success', room }], `time ${time}`);
    }
    const refusals = [[{}, 'Room not specified'], [{ room: 'user:bob' }, 'Access denied']];
    for (const [argument, expected] of refusals) {
      const [{ status, message }] = await ask(socket, 'subscribe', argument);
      assert.deepEqual([status, message], ['error', expected]);
    }
    const own = await ask(socket, 'subscribe', { room: 'user:ada' });
    assert.deepEqual(own, [{ status: 'success', room: 'user:ada' }]);
  },

  async 'everybody is in global and in the room of their own'() {
    const [ada, bob] = [await open('ada'), await open('bob')];
    for (const socket of [ada, bob]) await ask(socket, 'ping');
    await post('publish', { room: 'user:ada', event: 'said', data: 'to ada' });
    await post('publish', { room: 'global', event: 'said', data: 'to all' });
    for (const [socket, expected] of [[ada, ['to ada', 'to all']], [bob, ['to all']]]) {
      await until('all is heard', () => heard(socket).length === expected.length);
      assert.deepEqual(heard(socket).map(([, { data }]) => data), expected);
    }
  },

  async 'an event is one argument: type, timestamp, source and data'() {
    const socket = await open('ada');
    await ask(socket, 'subscribe', { room: 'project:7' });
    await updated('7', { changes: { status: 'active' } });
    const [event, ...more] = await told(socket, 'project.updated').catch(() => heard(socket)[0].slice(1));
    assert.deepEqual(more, []);
    assert.deepEqual(Object.keys(event).sort(), ['data', 'source', 'timestamp', 'type']);
    assert.equal(event.type, 'project.updated');
    assert.equal(event.source, 'project_service');
    assert.equal(event.data.project_id, '7');
  },

  async 'who has left hears nothing, and who is in two rooms hears once'() {
    const socket = await open('ada');
    await ask(socket, 'subscribe', { room: 'project:left' });
    await ask(socket, 'subscribe', { room: 'project:twice' });
    await ask(socket, 'unsubscribe', { room: 'project:left' });
    await updated('left');
    await updated('twice', { updated_by: 'ada' });
    await post('publish', { room: 'global', event: 'last', data: null });
    await until('the last is heard', () => heard(socket).some(([name]) => name === 'last'));
    assert.deepEqual(heard(socket).map(([name, { data }]) => [name, data?.project_id]), [
      ['project.updated', 'twice'],
      ['last', undefined],
    ]);
  },

  async 'publications come in the order of the room'() {
    const sockets = await Promise.all(['ada', 'bob', 'eve'].map((user) => open(user)));
    for (const socket of sockets) await ask(socket, 'subscribe', { room: 'project:order' });
    const numbers = Array.from({ length: 100 }, (_, number) => number);
    // Four at a time, so that the order is the server's to say.
    const rest = [...numbers];
    const publish = async () => {
      for (let number; (number = rest.shift()) !== undefined; ) {
        await post('publish', { room: 'project:order', event: 'tick', data: number });
      }
    };
    await Promise.all([publish(), publish(), publish(), publish()]);
    for (const socket of sockets) {
      await until('all is heard', () => heard(socket).length === numbers.length);
    }
    const orders = sockets.map((socket) => heard(socket).map(([, { data }]) => data));
    assert.deepEqual([...orders[0]].sort((one, other) => one - other), numbers);
    assert.deepEqual(orders[1], orders[0]);
    assert.deepEqual(orders[2], orders[0]);
  },

  async 'who shows no token that is good is told why and may try again'() {
    const past = Math.floor(Date.now() / 1000) - 3600;
    const bad = {
      none: {},
      garbage: { token: 'garbage' },
      expired: { token: sign('ada', { exp: past }) },
      refresh: { token: sign('ada', { token_type: 'refresh' }) },
      forged: { token: sign('ada', {}, 'another secret, which is long enough too') },
      unsigned: { token: sign('ada', {}, secret, 'none') },
      number: { token: 7 },
    };
    for (const [name, auth] of Object.entries(bad)) {
      const error = await refused(auth);
      assert.ok(error instanceof Error, name);
      assert.ok(error.message.length > 0, name);
      assert.equal(error.data?.code, 'UNAUTHORIZED', `${name}: ${JSON.stringify(error.data)}`);
      assert.ok(!error.message.includes('eyJ'), name);
    }
    const auth = { token: 'garbage' };
    const socket = connect(`${base}/ws`, { auth });
    await told(socket, 'connect_error');
    auth.token = sign('ada');
    socket.connect();
    await connected(socket);
  },

  async 'a token may come with the request instead'() {
    const headers = { Authorization: `Bearer ${sign('ada')}` };
    const [byHeader, byQuery] = [
      connect(`${base}/ws`, { extraHeaders: headers }),
      connect(`${base}/ws`, { query: { token: sign('ada') } }),
    ];
    for (const socket of [byHeader, byQuery]) {
      await connected(socket);
      await until('the hello is there', () => socket.heard.length > 0);
      assert.equal(socket.heard[0][1].data.user_id, 'ada');
    }
    // What the client says in CONNECT itself goes before it.
    const socket = connect(`${base}/ws`, { extraHeaders: headers, auth: { token: sign('bob') } });
    await connected(socket);
    await until('the hello is there', () => socket.heard.length > 0);
    assert.equal(socket.heard[0][1].data.user_id, 'bob');
  },

  async 'in the main namespace an event is its name and its data'() {
    const socket = await open('ada', '/');
    const room = 'project:plain';
    assert.deepEqual(await ask(socket, 'subscribe', room), [{ status: 'success', room }]);
    await post('publish', { room, event: 'said', data: { text: 'grüße' } });
    await post('publish', { room, event: 'bytes', data_base64: 'AAEC/w==' });
    await until('both are heard', () => socket.heard.length === 2);
    assert.deepEqual(socket.heard, [
      ['said', { text: 'grüße' }],
      ['bytes', Buffer.from([0, 1, 2, 255])],
    ]);
    assert.deepEqual(await ask(socket, 'unsubscribe', { room }), [{ status: 'success', room }]);
    const [denied] = await ask(socket, 'subscribe', 'user:bob');
    assert.equal(denied.status, 'error');
  },

  async 'a client publishes if it may'() {
    const rooms = [{ pattern: 'chat:*', allow: ['subscribe', 'publish'] }];
    const [ada, bob] = [await open('ada', '/', { rooms }), await open('bob', '/', { rooms })];
    const room = 'chat:1';
    for (const socket of [ada, bob]) await ask(socket, 'subscribe', { room });
    const [published] = await ask(ada, 'publish', { room, event: 'said', data: ['hello'] });
    assert.equal(published.status, 'success', JSON.stringify(published));
    await until('it is heard', () => bob.heard.length > 0);
    assert.deepEqual(bob.heard, [['said', ['hello']]]);
    const [denied] = await ask(await open('eve', '/'), 'publish', { room, event: 'said', data: 1 });
    assert.equal(denied.status, 'error');
  },

  async 'both namespaces on one connection hear the same publication, each in its words'() {
    const token = sign('ada');
    const enveloped = await open('ada');
    const plain = enveloped.io.socket('/', { auth: { token } });
    plain.heard = [];
    plain.onAny((...words) => plain.heard.push(words));
    if (!plain.active) plain.connect();
    await connected(plain);
    for (const socket of [enveloped, plain]) {
      await ask(socket, 'subscribe', { room: 'project:both' });
    }
    await post('publish', { room: 'project:both', event: 'said', data: 1 });
    await until('both hear', () => heard(enveloped).length === 1 && plain.heard.length === 1);
    assert.deepEqual(plain.heard, [['said', 1]]);
    assert.equal(heard(enveloped)[0][1].data, 1);
  },

  async 'an operator sends a client away'() {
    const socket = await open('mallory');
    const gone = told(socket, 'disconnect');
    await post('users/mallory/disconnect', {});
    assert.equal((await gone)[0], 'io server disconnect');
  },
};

await run(subjects, end);
