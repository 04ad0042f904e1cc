// The `ws` client against a running server as the replaced agent server's clients use it, message for
// message: `node projects.mjs ws://127.0.0.1:8080 DIRECTORY`, where the Claude CLI is the stand-in and
// projects may be in DIRECTORY, which is empty. Exits 0 when all is as it should be; otherwise the
// failed assertion is on standard error.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { open } from './socket.mjs';

const [base, directory] = process.argv.slice(2);

// A hang is a failure, too.
setTimeout(() => {
  console.error('not done after 60 s');
  process.exit(1);
}, 60_000).unref();

async function connect(path = '/ws') {
  const { socket, messages, next } = await open(base + path);
  const send = (message) => socket.send(JSON.stringify(message));
  // The next messages, which must be of these types.
  const hear = async (...types) => {
    const heard = [];
    for (const type of types) {
      const message = await next();
      assert.equal(message.type, type, JSON.stringify(message));
      heard.push(message);
    }
    return heard;
  };
  const ask = (message, ...types) => {
    send(message);
    return hear(...types);
  };
  // Nothing has come that was not asked for: the answer to a ping comes next.
  const isQuiet = async () => {
    const [pong] = await ask({ type: 'ping' }, 'pong');
    assert.equal(messages.length, 0);
    return pong;
  };
  return { socket, send, hear, ask, isQuiet };
}

/** Registers a new directory; returns the project's id and path. */
async function create(client, name) {
  const path = join(directory, name);
  mkdirSync(path);
  const [state] = await client.ask({ type: 'project_create', data: { path } }, 'project_state');
  assert.equal(state.data.state, 'IDLE');
  assert.equal(state.data.path, path);
  assert.equal(state.data.id.length, 36);
  assert.ok(!Number.isNaN(Date.parse(state.data.created_at)));
  return { id: state.data.id, path };
}

async function joinProject(client, project_id) {
  const message = { type: 'project_join', data: { project_id } };
  const [state, joined] = await client.ask(message, 'project_state', 'project_join');
  assert.equal(state.data.id, project_id);
  assert.equal(joined.data.project_id, project_id);
  assert.equal(joined.project_id, project_id);
  return joined.data;
}

async function refused(client, message, code) {
  const [error] = await client.ask(message, 'error');
  assert.equal(error.data.code, code);
  assert.equal(error.error, error.data.message);
  return error;
}

const subjects = {
  async 'a run is seen by all who have joined, and its sender is answered'() {
    const [one, other] = [await connect(), await connect()];
    const { id, path } = await create(one, 'run');
    assert.deepEqual(await joinProject(one, id), { project_id: id, state: 'IDLE', session_id: '' });
    await joinProject(other, id);
    one.send({ type: 'execute', project_id: id, data: { prompt: 'hi' } });
    const run = ['agent_message', 'project_update', 'agent_message', 'agent_message', 'project_state'];
    const [began, started, ...heard] = await one.hear('project_state', 'execute', ...run);
    assert.equal(began.data.state, 'EXECUTING');
    assert.equal(started.data.status, 'started');
    assert.equal(started.data.project_id, id);
    const kinds = heard.filter((it) => it.type === 'agent_message').map((it) => it.data.type);
    assert.deepEqual(kinds, ['system', 'assistant', 'result']);
    const ended = heard.at(-1);
    assert.equal(ended.data.state, 'IDLE');
    assert.equal(ended.data.session_id, heard[1].data.session_id);
    const seen = await other.hear('project_state', ...run);
    assert.deepEqual(seen, [began, ...heard]);
    const [page] = await one.ask(
      { type: 'get_messages', project_id: id, data: { limit: 2, offset: 0 } },
      'get_messages',
    );
    assert.equal(page.data.metadata.has_more, true);
    assert.deepEqual(page.data.messages.map((it) => it.direction), ['client', 'claude']);
    assert.deepEqual(page.data.messages[0].message, { type: 'user', content: { text: 'hi' } });
    await refused(one, { type: 'get_messages', data: { offset: -1 } }, 'VALIDATION_FAILED');
    const [list] = await one.ask({ type: 'project_list' }, 'project_list');
    const listed = list.data.projects.find((project) => project.id === id);
    assert.equal(listed.path, path);
    assert.equal(listed.metadata.subscriber_count, 2);
    assert.equal(list.data.total, list.data.projects.length);
    for (const client of [one, other]) {
      await client.isQuiet();
      client.socket.terminate();
    }
  },

  async 'a busy project refuses, and a killed run is no error'() {
    const [one, other] = [await connect(), await connect()];
    const { id } = await create(one, 'kill');
    await joinProject(one, id);
    await joinProject(other, id);
    const begins = ['agent_message', 'project_update'];
    await one.ask(
      { type: 'execute', project_id: id, data: { prompt: 'scenario:timeout' } },
      ...['project_state', 'execute', ...begins],
    );
    await other.hear('project_state', ...begins);
    await refused(other, { type: 'execute', data: { prompt: 'x' } }, 'PROCESS_ACTIVE');
    await refused(other, { type: 'project_delete', data: { project_id: id } }, 'PROCESS_ACTIVE');
    await one.isQuiet();
    // Who started it goes; it runs on.
    one.socket.terminate();
    const [state, killed, reply] = await other.ask(
      { type: 'agent_kill', project_id: id },
      ...['project_state', 'process_killed', 'agent_kill'],
    );
    assert.equal(state.data.state, 'IDLE');
    assert.equal(killed.data.reason, 'process_killed');
    assert.equal(reply.data.status, 'killed');
    await refused(other, { type: 'agent_kill', project_id: id }, 'PROCESS_NOT_FOUND');
    await other.isQuiet();
    other.socket.terminate();
  },

  async 'a run that fails is told to all, and the next one may begin'() {
    const client = await connect();
    const { id } = await create(client, 'fail');
    await joinProject(client, id);
    const [, , error, state] = await client.ask(
      { type: 'execute', project_id: id, data: { prompt: 'scenario:exit:3' } },
      ...['project_state', 'execute', 'error', 'project_state'],
    );
    assert.equal(error.data.code, 'EXECUTION_FAILED');
    assert.equal(error.project_id, id);
    assert.equal(state.data.state, 'ERROR');
    await client.ask(
      { type: 'execute', project_id: id, data: { prompt: 'scenario:empty' } },
      ...['project_state', 'execute', 'project_state'],
    );
    client.socket.terminate();
  },

  async 'a line longer than 64 KiB and a hundred lines arrive'() {
    const client = await connect();
    const { id } = await create(client, 'long');
    await joinProject(client, id);
    client.send({ type: 'execute', project_id: id, data: { prompt: 'scenario:long_response:200000' } });
    const [, , , , long] = await client.hear(
      ...['project_state', 'execute', 'agent_message', 'project_update', 'agent_message'],
    );
    assert.ok(JSON.stringify(long.data).length > 190_000);
    await client.hear('agent_message', 'project_state');
    client.send({ type: 'execute', project_id: id, data: { prompt: 'scenario:multi_message:100' } });
    await client.hear('project_state', 'execute', 'agent_message', 'project_update');
    await client.hear(...Array(201).fill('agent_message'), 'project_state');
    client.socket.terminate();
  },

  async 'a session is reset, and a project deleted'() {
    const client = await connect();
    const { id } = await create(client, 'reset');
    await joinProject(client, id);
    await client.ask(
      { type: 'execute', project_id: id, data: { prompt: 'hi' } },
      ...['project_state', 'execute', 'agent_message', 'project_update'],
      ...['agent_message', 'agent_message', 'project_state'],
    );
    const [state, , reply] = await client.ask(
      { type: 'agent_new_session', project_id: id },
      ...['project_state', 'session_reset', 'agent_new_session'],
    );
    assert.equal(state.data.session_id, undefined);
    assert.equal(reply.data.status, 'reset');
    assert.equal(reply.data.old_session_id.length, 36);
    // With its id at the top, in the data, or as the project that was joined.
    const [told, deleted] = await client.ask(
      { type: 'project_delete', project_id: id },
      ...['project_deleted', 'project_deleted'],
    );
    assert.equal(told.data.reason, 'project_deleted');
    assert.equal(deleted.data.status, 'deleted');
    await refused(client, { type: 'project_join', data: { project_id: id } }, 'PROJECT_NOT_FOUND');
    client.socket.terminate();
  },

  async 'what is wrong is answered, and the connection lives'() {
    const client = await connect();
    const missing = await refused(client, { type: 'project_create', data: {} }, 'VALIDATION_FAILED');
    assert.equal(missing.data.message, 'path is required');
    client.socket.send('{');
    const [malformed] = await client.hear('error');
    assert.equal(malformed.data.code, 'INVALID_MESSAGE');
    await refused(client, { type: 'nope' }, 'VALIDATION_FAILED');
    await refused(client, { type: 'execute', data: { prompt: 'x' } }, 'VALIDATION_FAILED');
    for (const path of ['~/x', '/tmp/../etc', 'relative', '/etc']) {
      await refused(client, { type: 'project_create', data: { path } }, 'INVALID_PATH');
      await client.isQuiet();
    }
    const { path } = await create(client, 'outer');
    await refused(client, { type: 'project_create', data: { path } }, 'PROJECT_EXISTS');
    const inner = join(path, 'inner');
    mkdirSync(inner);
    const data = { path: inner };
    await refused(client, { type: 'project_create', data }, 'PROJECT_NESTING');
    const [health] = await client.ask({ type: 'health_check' }, 'health_check');
    assert.ok(['healthy', 'degraded', 'unhealthy'].includes(health.data.status));
    client.socket.terminate();
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
