// socket.io-client 4 before a relay that is cut, and a server that is restarted behind it:
// `node recovery.mjs RELAY SERVER TRANSPORT`. It says on standard output what shall be done, and
// waits for a line on standard input that says it is. Exits 0 when nothing was missed.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { ask, clients, connected, limitTime, run, told, until } from './common.mjs';

const [relay, first, transport] = process.argv.slice(2);
const { connect } = clients('4', transport);
let server = first;
limitTime();

const lines = createInterface(process.stdin);

/** Has something done, and returns what is said of it. */
async function please(what) {
  const done = once(lines, 'line');
  console.log(what);
  return (await done)[0];
}

async function publish(room, data) {
  const answer = await fetch(`${server}/api/v1/publish`, {
    method: 'POST',
    body: JSON.stringify({ room, event: 'said', data }),
  });
  assert.equal(answer.status, 200, await answer.clone().text());
}

const socket = connect(relay);
// The offset is one more argument.
const said = () => socket.heard.filter(([name]) => name === 'said').map(([, data]) => data);

/** Has the connections cut until that is noticed: between two polls there is none to miss. */
async function cut() {
  const gone = told(socket, 'disconnect');
  for (let isGone = false; !isGone; ) {
    await please('cut');
    const soon = new Promise((resolve) => setTimeout(resolve, 100));
    isGone = await Promise.race([gone.then(() => true), soon.then(() => false)]);
  }
}

await run({
  async 'a client is recovered before it has heard anything'() {
    await connected(socket);
    assert.equal(socket.recovered, false);
    for (const room of ['a', 'b']) {
      const [answer] = await ask(socket, 'subscribe', { room });
      assert.equal(answer.status, 'success', JSON.stringify(answer));
    }
    const id = socket.id;
    await cut();
    await publish('a', 1);
    await publish('b', 2);
    await connected(socket);
    assert.equal(socket.recovered, true);
    assert.equal(socket.id, id);
    await until('both are heard', () => said().length === 2);
    assert.deepEqual(said(), [1, 2]);
  },

  async 'nothing is missed and nothing comes twice, over many cuts'() {
    const id = socket.id;
    let last = 2;
    for (let time = 0; time < 10; time += 1) {
      const publishing = (async () => {
        for (let count = 0; count < 20; count += 1) await publish('ab'[count % 2], (last += 1));
      })();
      if (time % 2 === 1) await publishing;
      await cut();
      await publishing;
      await publish('a', (last += 1));
      await connected(socket);
      assert.equal(socket.recovered, true, `cut ${time}`);
      assert.equal(socket.id, id);
      await until(`all is heard after cut ${time}`, () => said().length >= last);
    }
    assert.deepEqual(said(), Array.from({ length: last }, (_, number) => number + 1));
    const offset = socket.heard.at(-1).at(-1);
    assert.equal(typeof offset, 'string');
  },

  async 'a client that leaves is not recovered'() {
    const id = socket.id;
    socket.disconnect();
    // Its good-bye may be behind an upgrade, and would come after the next connection.
    await until('it has left', async () => {
      const stats = await fetch(`${server}/api/v1/websocket/stats`);
      return !('a' in (await stats.json()).rooms);
    });
    socket.connect();
    await connected(socket);
    assert.equal(socket.recovered, false);
    assert.notEqual(socket.id, id);
    // It is in no room any more.
    const before = said().length;
    await publish('a', 'nobody hears it');
    await ask(socket, 'ping');
    assert.equal(said().length, before);
  },

  async 'after a restart nobody is recovered, and all is new'() {
    await ask(socket, 'subscribe', { room: 'a' });
    await publish('a', 'before');
    await until('it is heard', () => said().at(-1) === 'before');
    const id = socket.id;
    const gone = told(socket, 'disconnect');
    server = await please('restart');
    await gone;
    await connected(socket);
    assert.equal(socket.recovered, false);
    assert.notEqual(socket.id, id);
    await ask(socket, 'subscribe', { room: 'a' });
    await publish('a', 'after');
    await until('it is heard', () => said().at(-1) === 'after');
  },
});
