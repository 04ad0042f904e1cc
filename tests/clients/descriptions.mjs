// What the server says of itself, through validators that others wrote:
// `node descriptions.mjs http://127.0.0.1:8080`. Exits 0 when both documents are valid and the
// schemas in them say what the server takes; otherwise the failed assertion is on standard error.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { Validator } from '@seriousme/openapi-schema-validator';

const require = createRequire(import.meta.url);
const Ajv = require('ajv');
const Ajv2020 = require('ajv/dist/2020');
const addFormats = require('ajv-formats');

const base = process.argv[2];

// A hang is a failure, too.
setTimeout(() => {
  console.error('not done after 60 s');
  process.exit(1);
}, 60_000).unref();

async function read(path) {
  const answer = await fetch(base + path);
  assert.equal(answer.status, 200, path);
  return answer.json();
}

const openapi = await read('/openapi.json');
const checked = await new Validator().validate(structuredClone(openapi));
assert.ok(checked.valid, JSON.stringify(checked.errors, null, 1));

const asyncapi = await read('/asyncapi.json');
const schema = require('@asyncapi/specs/schemas/3.0.0-without-$id.json');
const ajv = new Ajv({ strict: false, allErrors: true, unicodeRegExp: false });
addFormats(ajv);
const isAsyncapi = ajv.compile(schema);
assert.ok(isAsyncapi(asyncapi), JSON.stringify(isAsyncapi.errors?.slice(0, 5), null, 1));

// Each event as a producer sends it: what the schema says of it, the server says, too.
const issue = { issue_id: 7, project_id: 'p', title: 'Broken', status: 'open' };
const agent = { agent_id: 'a', agent_name: 'Ada', status: 'busy' };
const task = { task_id: 't', board_id: 'b', task: { priority: 'low', labels: ['a'] } };
const flow = { workflow_id: 1, status: 'running', current_step: 'build', total_steps: 3 };
const samples = [
  ['task.created', task, true],
  ['task.created', { ...task, action: 'moved' }, false],
  ['task.updated', { ...task, action: 'moved', project_id: null }, true],
  ['task.created', { ...task, task: { priority: 'asap' } }, false],
  ['task.created', { ...task, task: { assignee: { type: 'human' } } }, false],
  ['board.updated', { board_id: 'b', board: { columns: [{ id: 1, name: 'a' }] } }, true],
  ['board.updated', { board_id: '' }, false],
  ['board.updated', { board_id: 'a b' }, false],
  ['board.updated', { board_id: 'a,b' }, false],
  ['board.updated', { board_id: '!#)+-.[]~' }, true],
  ['board.updated', { board_id: -1 }, false],
  ['board.updated', { board_id: 'b'.repeat(241) }, false],
  ['project.updated', { project_id: 'p', repository_url: 'https://a/b', extra: 1 }, true],
  ['project.updated', { project_name: 'p' }, false],
  ['agent.connected', { ...agent, availability: 100, metadata: {} }, true],
  ['agent.connected', { ...agent, availability: 100.5 }, false],
  ['agent.connected', { ...agent, availability: null }, false],
  ['agent.connected', { ...agent, timestamp: '2026-01-02T03:04:05Z' }, true],
  ['agent.connected', { ...agent, timestamp: 'now' }, false],
  ['workflow.failed', { ...flow, errors: ['a'] }, true],
  ['workflow.failed', { ...flow, errors: [1] }, false],
  ['workflow.failed', { ...flow, total_steps: 1.5 }, false],
  ['issue.closed', issue, true],
  ['issue.closed', { ...issue, status: 'done' }, false],
  ['issue.closed', [issue], false],
];
const ajv2020 = new Ajv2020({ strict: false, allErrors: true });
addFormats(ajv2020);
for (const [type, data, expected] of samples) {
  const isEvent = ajv2020.compile(openapi.components.schemas[type]);
  const what = `${type} ${JSON.stringify(data)}`;
  assert.equal(isEvent(data), expected, `schema: ${what} ${JSON.stringify(isEvent.errors)}`);
  const answer = await fetch(`${base}/api/v1/events`, {
    method: 'POST',
    body: JSON.stringify({ type, data }),
  });
  assert.equal(answer.status, expected ? 200 : 400, `server: ${what} ${await answer.text()}`);
}

// What comes out, with its defaults, is what the schema for those who listen says.
const path = '/api/v1/rooms/agent:a/history?reverse=true&limit=1';
const { publications } = await read(path);
const isHeard = ajv2020.compile(asyncapi.components.schemas[publications[0].type]);
assert.ok(isHeard(publications[0].data), JSON.stringify(isHeard.errors));
assert.equal(publications[0].data.availability, 0);
