// The rows of docs/migration.md that no other client tries, against a server in token mode with the
// configuration that they name: `node migration.mjs http://127.0.0.1:8080 SECRET`. Exits 0 when all is
// as it should be.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import WebSocket from 'ws';

import { ask, clients, connected, limitTime, run, told, until } from './common.mjs';

const [base, secret] = process.argv.slice(2);
const { connect, end: endClients } = clients('4', 'upgrade');
limitTime();

const exp = Math.floor(Date.now() / 1000) + 600;
const grants = [
  { pattern: 'chat:*', allow: ['subscribe', 'history', 'presence'] },
  { pattern: 'state:*', allow: ['subscribe', 'history'] },
  { pattern: 'socket:*', allow: ['subscribe'] },
  { pattern: 'inbox:{sub}', allow: ['subscribe'] },
];

/** A token of `sub`, with these claims besides. */
function sign(sub, claims = {}) {
  const spell = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${spell({ alg: 'HS256' })}.${spell({ sub, exp, rooms: grants, ...claims })}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

const admin = sign('root', { role: 'admin' });

async function call(method, path, body, credential = admin) {
  const answer = await fetch(base + path, {
    method,
    headers: { authorization: `Bearer ${credential}` },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  return { status: answer.status, json: text.startsWith('{') ? JSON.parse(text) : text };
}

async function publish(body) {
  const { status, json } = await call('POST', '/api/v1/publish', body);
  assert.equal(status, 200, JSON.stringify(json));
  return json;
}

const open = (user, namespace = '') =>
  connected(connect(base + namespace, { auth: { token: sign(user) } }));

const sockets = [];

/** A socket of the native dialect, and `next`, which waits for a message of a type. */
async function native(user, query = '', claims = {}) {
  const url = `${base.replace(/^http/, 'ws')}/ws${query}`;
  const socket = new WebSocket(url, ['kinglet.v1', `bearer.${sign(user, claims)}`]);
  sockets.push(socket);
  const messages = [];
  socket.on('message', (data) => messages.push(JSON.parse(data.toString())));
  const next = async (type) => {
    const isIt = (message) => message.type === type;
    await until(type, () => messages.some(isIt));
    return messages.splice(messages.findIndex(isIt), 1)[0];
  };
  const send = (message) => socket.send(JSON.stringify(message));
  await once(socket, 'open');
  await next('connected');
  return { socket, messages, next, send };
}

function end() {
  endClients();
  for (const socket of sockets.splice(0)) socket.terminate();
}

/** What of `name` a socket has heard, once it has heard `last`. */
async function heardUntil(socket, name, last) {
  const data = () => socket.heard.filter(([event]) => event === name).map(([, word]) => word);
  await until(`${name} ${last}`, () => data().includes(last));
  return data();
}

const subjects = {
  async 'what a server of Socket.IO sent to rooms is sent over HTTP'() {
    const [ada, bob] = [await open('ada'), await open('bob', '/admin')];
    for (const socket of [ada, bob]) await ask(socket, 'subscribe', 'chat:1');
    await publish({ room: 'chat:1', event: 'm', data: 'to(room)' });
    await publish({ rooms: ['chat:1', 'global'], event: 'm', data: 'to([a, b])' });
    await publish({ room: 'user:ada', event: 'm', data: 'to a user' });
    await publish({ room: 'chat:1', event: 'm', data: 'broadcast', except: ada.id });
    await publish({ room: 'global', event: 'm', data: 'emit' });
    const all = ['to(room)', 'to([a, b])'];
    assert.deepEqual(await heardUntil(ada, 'm', 'emit'), [...all, 'to a user', 'emit']);
    assert.deepEqual(await heardUntil(bob, 'm', 'emit'), [...all, 'broadcast', 'emit']);
    await ask(ada, 'subscribe', `socket:${ada.id}`);
    const alone = told(ada, 'only');
    await publish({ room: `socket:${ada.id}`, event: 'only', data: ['one', 'argument'] });
    assert.deepEqual(await alone, [['one', 'argument']]);
  },

  async 'clients join by what they always emitted, and publish where the room lets them'() {
    const [ada, bob] = [await open('ada'), await open('bob')];
    const done = { status: 'success', room: 'chat:2' };
    assert.deepEqual(await ask(ada, 'join', 'chat:2'), [done]);
    assert.deepEqual(await ask(bob, 'join', { room: 'chat:2' }), [done]);
    const heard = told(bob, 'message');
    const [published] = await ask(ada, 'publish', {
      room: 'chat:2',
      event: 'message',
      data: { text: 'hello' },
      except: ada.id,
    });
    assert.equal(published.status, 'success');
    assert.deepEqual(await heard, [{ text: 'hello' }]);
    assert.deepEqual(await ask(bob, 'leave', 'chat:2'), [done]);
    const [refused] = await ask(bob, 'publish', { room: 'chat:2', event: 'message' });
    assert.equal(refused.message, 'Access denied');
  },

  async 'what a server of Socket.IO knew of its sockets is asked over HTTP'() {
    const system = await native('root', '?room=system', { role: 'admin' });
    const ada = await open('ada');
    await ask(ada, 'subscribe', 'chat:3');
    const { json: listed } = await call('GET', '/api/v1/connections');
    const mine = listed.connections.find((session) => session.id === ada.id);
    assert.deepEqual([mine.dialect, mine.user], ['socket.io', 'ada']);
    const { json: present } = await call('GET', '/api/v1/rooms/chat:3/presence');
    assert.deepEqual(present.members.map((member) => member.session), [ada.id]);
    while ((await system.next('occupied')).data.room !== 'chat:3');
    const put = told(ada, 'subscribed');
    await call('POST', '/api/v1/users/ada/subscribe', { room: 'vip:1' });
    assert.deepEqual(await put, [{ room: 'vip:1' }]);
    const gone = told(ada, 'disconnect');
    assert.equal((await call('DELETE', `/api/v1/connections/${ada.id}`)).status, 204);
    assert.equal((await gone)[0], 'io server disconnect');
    while ((await system.next('vacated')).data.room !== 'chat:3');
  },

  async 'what a hub broadcast reaches those whose board or project it is'() {
    const all = await native('ada', '?room=global');
    const board = await native('ada', '?board_id=b1');
    const project = await native('ada', '?project_id=p1');
    const data = { task_id: 't1', board_id: 'b1', task: { title: 'x' } };
    await call('POST', '/api/v1/events', { type: 'task.created', data });
    await call('POST', '/api/v1/events', { type: 'board.updated', data: { board_id: 'b2' } });
    await call('POST', '/api/v1/events', {
      type: 'project.updated',
      data: { project_id: 'p1', action: 'updated', changes: { name: 'P' } },
    });
    assert.deepEqual((await board.next('task.created')).data, { ...data, action: 'created' });
    await project.next('project.updated');
    for (const type of ['task.created', 'board.updated', 'project.updated']) await all.next(type);
    assert.deepEqual([board.messages, project.messages, all.messages], [[], [], []]);
  },

  async 'every call of Centrifugo has its counterpart'() {
    const ada = await native('ada', '?room=chat:4', { info: { name: 'Ada' } });
    const joined = await ada.next('presence.joined');
    assert.deepEqual(joined.data, { user: 'ada', sessions: 1, info: { name: 'Ada' } });
    const once = { rooms: ['chat:4', 'chat:5'], event: 'message', data: { v: 1 }, id: 'k1' };
    assert.deepEqual(await publish(once), await publish(once));
    assert.deepEqual((await ada.next('message')).data, { v: 1 });
    const rooms = await call('GET', '/api/v1/rooms?prefix=chat:5');
    assert.deepEqual(rooms.json.rooms.map((room) => room.room), ['chat:5']);
    const history = await call('GET', '/api/v1/rooms/chat:5/history?reverse=true&limit=1');
    assert.deepEqual(history.json.publications.map((it) => it.data), [{ v: 1 }]);
    assert.equal((await call('DELETE', '/api/v1/rooms/chat:5/history')).status, 200);
    const present = await call('GET', '/api/v1/rooms/chat:4/presence');
    assert.deepEqual([present.json.users, present.json.sessions], [1, 1]);
    const commands = [{ publish: { room: 'chat:4', event: 'a' } }];
    assert.equal((await call('POST', '/api/v1/batch', { commands })).status, 200);
    assert.equal((await call('GET', '/api/v1/server')).status, 200);
    await call('POST', '/api/v1/users/ada/subscribe', { room: 'chat:6' });
    assert.equal((await ada.next('subscribed')).room, 'chat:6');
    await call('POST', '/api/v1/users/ada/unsubscribe', { room: 'chat:6' });
    assert.equal((await ada.next('unsubscribed')).room, 'chat:6');
    ada.send({ type: 'auth', token: sign('ada') });
    assert.equal((await ada.next('authenticated')).user, 'ada');
    const closed = closeCode(ada.socket);
    await call('POST', '/api/v1/users/ada/disconnect');
    assert.equal(await closed, 4501);
    const checked = await call('POST', '/api/v1/tokens/check', undefined, sign('', { exp }));
    assert.equal(checked.status, 401);
  },

  async 'who comes back goes on from its offset and epoch, or is told that it cannot'() {
    const ada = await native('ada', '?room=chat:7');
    ada.send({ type: 'subscribe', room: 'chat:7' });
    const { epoch, offset } = await ada.next('subscribed');
    await publish({ room: 'chat:7', event: 'm', data: 1 });
    const again = await native('ada', '?room=inbox:ada');
    again.send({ type: 'subscribe', room: 'chat:7', since: { epoch, offset } });
    const { recovered, publications } = await again.next('subscribed');
    assert.ok(recovered);
    // Members are told of each other there, too.
    const missed = publications.filter((it) => it.type === 'm');
    assert.deepEqual(missed.map((it) => it.data), [1]);
    again.send({ type: 'subscribe', room: 'chat:7', since: { epoch: 'another', offset } });
    const lost = await again.next('subscribed');
    assert.deepEqual([lost.recovered, lost.publications], [false, []]);
    for (const data of [1, 2]) await publish({ room: 'state:1', event: 'm', data });
    again.send({ type: 'subscribe', room: 'state:1', since: 0 });
    const state = await again.next('subscribed');
    assert.deepEqual(state.publications.map((it) => it.data), [2]);
  },

  async 'what is not there says where to look'() {
    const theirs = ['/api/tasks', '/api/v1/state', '/api/v1/auth/login', '/connection/websocket'];
    for (const path of [...theirs, '/socket.io/socket.io.js']) {
      const { status, json } = await call('GET', path);
      assert.equal(status, 404, path);
      assert.match(json.error.message, /README/);
    }
    const old = await call('GET', '/socket.io/?EIO=3&transport=polling');
    assert.deepEqual(old, { status: 400, json: { code: 5, message: 'Unsupported protocol version' } });
  },
};

/** The code that a socket is closed with. */
async function closeCode(socket) {
  const [code] = await once(socket, 'close');
  return code;
}

await run(subjects, end);
