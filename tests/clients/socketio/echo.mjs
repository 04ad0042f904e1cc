// socket.io-client against a server that echoes: `node echo.mjs http://127.0.0.1:8080 4 upgrade`,
// with version and transport. Exits 0 when all is as it should be; otherwise the failed assertion is
// on standard error.

import assert from 'node:assert/strict';

import { ask, clients, connected, limitTime, run, told, until } from './common.mjs';

const [base, version, transport] = process.argv.slice(2);
const { connect, end } = clients(version, transport);
limitTime();

const open = async (path = '/', options = {}) => connected(connect(base + path, options));

const subjects = {
  async 'what a client shows is heard by the application'() {
    const auth = { token: 'abc', list: [1, { deep: true }] };
    const socket = await open('/', { auth });
    await until('it is told', () => socket.heard.length > 0);
    assert.deepEqual(socket.heard, [['auth', auth]]);
    assert.ok(socket.id.length >= 20);
    assert.notEqual(socket.id, socket.io.engine.id);
  },

  async 'the transport is the one that was asked for'() {
    const socket = await open();
    const name = { polling: 'polling', websocket: 'websocket', upgrade: 'websocket' }[transport];
    await until('the transport is there', () => socket.io.engine.transport.name === name);
    assert.deepEqual(await ask(socket, 'message-with-ack', 1), [1]);
  },

  async 'events come back with their arguments'() {
    const socket = await open();
    for (const words of [[], [1, '2', { 3: [true, null] }], ['grüße ✓ 😀'], [[], {}, '']]) {
      const back = told(socket, 'message-back');
      socket.emit('message', ...words);
      assert.deepEqual(await back, words);
    }
  },

  async 'events are acknowledged with their arguments'() {
    const socket = await open();
    assert.deepEqual(await ask(socket, 'message-with-ack'), []);
    assert.deepEqual(await ask(socket, 'message-with-ack', 1, '2', [3]), [1, '2', [3]]);
    const back = told(socket, 'message-back');
    assert.deepEqual(await ask(socket, 'message', 'both'), ['both']);
    assert.deepEqual(await back, ['both']);
  },

  async 'bytes come back as bytes, wherever they were'() {
    const socket = await open();
    const first = Buffer.from([0, 1, 2, 254, 255]);
    const second = Buffer.alloc(100_000, 7);
    const words = [first, 'between', { deep: [second, { er: Buffer.alloc(0) }] }];
    const back = told(socket, 'message-back');
    socket.emit('message', ...words);
    assert.deepEqual(await back, words);
    assert.deepEqual(await ask(socket, 'message-with-ack', ...words), words);
    const ten = Array.from({ length: 10 }, (_, number) => Buffer.alloc(number, number));
    assert.deepEqual(await ask(socket, 'message-with-ack', ten), [ten]);
  },

  async 'large messages arrive whole'() {
    const socket = await open();
    const text = 'ü'.repeat(300_000);
    assert.deepEqual(await ask(socket, 'message-with-ack', text), [text]);
    const bytes = Buffer.alloc(600_000, 1);
    assert.deepEqual(await ask(socket, 'message-with-ack', bytes), [bytes]);
  },

  async 'a storm of messages comes back in its order, in the middle of an upgrade too'() {
    const socket = connect(base);
    const numbers = Array.from({ length: 500 }, (_, number) => number);
    // Most of them are sent as soon as it is connected, and so while it is upgraded.
    for (const number of numbers) socket.emit('message', number);
    const said = () => socket.heard.filter(([name]) => name === 'message-back');
    await until('all is back', () => said().length === numbers.length);
    assert.deepEqual(said().map(([, number]) => number), numbers);
  },

  async 'two namespaces share a connection and are apart'() {
    const main = await open();
    const custom = main.io.socket('/custom', { auth: { in: 'custom' } });
    custom.heard = [];
    custom.onAny((...words) => custom.heard.push(words));
    if (!custom.active) custom.connect();
    await connected(custom);
    assert.notEqual(main.id, custom.id);
    assert.deepEqual(await ask(custom, 'message-with-ack', 'custom'), ['custom']);
    const back = told(custom, 'message-back');
    custom.emit('message', Buffer.from('custom'));
    assert.deepEqual(await back, [Buffer.from('custom')]);
    assert.ok(main.heard.every(([name]) => name === 'auth'), JSON.stringify(main.heard));
    custom.disconnect();
    assert.deepEqual(await ask(main, 'message-with-ack', 'main'), ['main']);
    // It comes back on the same connection.
    const engine = main.io.engine;
    custom.connect();
    await connected(custom);
    assert.deepEqual(await ask(custom, 'message-with-ack', 'again'), ['again']);
    assert.equal(main.io.engine, engine);
  },

  async 'a namespace that there is not is refused'() {
    const socket = connect(`${base}/random`);
    const [error] = await told(socket, 'connect_error');
    assert.equal(error.message, 'Invalid namespace');
  },

  async 'a client that goes and comes back is another one'() {
    const socket = await open();
    const id = socket.id;
    const gone = told(socket, 'disconnect');
    socket.disconnect();
    assert.deepEqual((await gone)[0], 'io client disconnect');
    socket.connect();
    await connected(socket);
    assert.notEqual(socket.id, id);
    assert.deepEqual(await ask(socket, 'message-with-ack', 1), [1]);
  },

  async 'a client whose transport is gone comes back by itself'() {
    const socket = await open();
    const id = socket.id;
    for (let time = 0; time < 3; time += 1) {
      const gone = told(socket, 'disconnect');
      socket.io.engine.close();
      await gone;
      await connected(socket);
      assert.notEqual(socket.id, id);
      assert.deepEqual(await ask(socket, 'message-with-ack', time), [time]);
    }
    assert.equal(socket.recovered ?? false, false);
  },

  async 'a client lives on through many pings'() {
    const socket = await open();
    let gone = false;
    socket.on('disconnect', () => (gone = true));
    for (let time = 0; time < 5; time += 1) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      assert.deepEqual(await ask(socket, 'message-with-ack', time), [time]);
    }
    assert.equal(gone, false);
  },
};

await run(subjects, end);
