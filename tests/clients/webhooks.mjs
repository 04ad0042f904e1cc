// Every example of @octokit/webhooks-examples that kinglet understands, delivered as GitHub does:
// `node webhooks.mjs http://127.0.0.1:8080 SECRET`. Exits 0 when each comes out as the event that it
// means, once; otherwise the failed assertion is on standard error.

import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';

// A package of data: its main file is JSON.
const every = createRequire(import.meta.url)('@octokit/webhooks-examples');
const [base, secret] = process.argv.slice(2);
const endpoint = `${base}/api/v1/webhooks/github`;

// A hang is a failure, too.
setTimeout(() => {
  console.error('not done after 60 s');
  process.exit(1);
}, 60_000).unref();

const sign = (body) => `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;

async function deliver(event, body, { id = randomUUID(), signature = sign(body), query = '' } = {}) {
  const headers = {
    'content-type': 'application/json',
    'user-agent': 'GitHub-Hookshot/test',
    'x-github-delivery': id,
    'x-github-event': event,
    'x-hub-signature-256': signature,
  };
  const answer = await fetch(endpoint + query, { method: 'POST', headers, body });
  return { status: answer.status, body: await answer.json(), id };
}

async function newest(room) {
  const path = `/api/v1/rooms/${encodeURIComponent(room)}/history?reverse=true&limit=1`;
  const answer = await fetch(base + path);
  if (answer.status === 404) return undefined;
  assert.equal(answer.status, 200);
  return (await answer.json()).publications[0];
}

// What an example means: the event's type, and members of its data.
const meaning = {
  pull_request: ({ action, pull_request: pr }) => {
    const common = { pr_id: String(pr.id), title: pr.title };
    if (action === 'opened') {
      return ['pr.created', { ...common, author: pr.user.login, branch: pr.head.ref }];
    }
    if (action === 'closed') return ['pr.closed', { ...common, merged: pr.merged ?? false }];
    return ['pr.updated', common];
  },
  issues: ({ action, issue }) => {
    const ends = ['closed', 'deleted', 'transferred'];
    const name = action === 'opened' ? 'created' : ends.includes(action) ? 'closed' : 'updated';
    return [`issue.${name}`, { issue_id: String(issue.id), title: issue.title }];
  },
  push: ({ repository, sender }) => [
    'project.updated',
    { project_name: repository.full_name, updated_by: sender.login },
  ],
  workflow_run: ({ action, workflow_run: run }) => {
    const well = ['success', 'neutral', 'skipped', null].includes(run.conclusion);
    const ended = well ? 'completed' : 'failed';
    return [
      `workflow.${action === 'requested' ? 'started' : ended}`,
      { workflow_id: String(run.id), total_steps: 1 },
    ];
  },
};

let delivered = 0;
for (const { name, examples } of every) {
  if (!(name in meaning)) continue;
  for (const example of examples) {
    const [type, members] = meaning[name](example);
    const room = `project:${example.repository.full_name}`;
    const body = JSON.stringify(example);
    const { status, body: told, id } = await deliver(name, body);
    const what = `${name} ${example.action ?? ''}`;
    assert.equal(status, 200, `${what}: ${JSON.stringify(told)}`);
    assert.deepEqual(told, {
      status: 'ok',
      event_type: name,
      delivery_id: id,
      handlers_executed: 1,
    });
    const publication = await newest(room);
    assert.equal(publication.type, type, what);
    assert.equal(publication.data.project_id, example.repository.full_name);
    for (const [member, value] of Object.entries(members)) {
      assert.equal(publication.data[member], value, `${what} ${member}`);
    }
    // GitHub delivers again what it is asked to; it is published once.
    assert.equal((await deliver(name, body, { id })).status, 200);
    assert.equal((await newest(room)).offset, publication.offset, what);
    delivered += 1;
  }
}
assert.ok(delivered >= 70, `${delivered} examples`);

// The same one elsewhere, where the webhook's URL names a project.
const push = JSON.stringify(every.find(({ name }) => name === 'push').examples[0]);
assert.equal((await deliver('push', push, { query: '?project_id=p1' })).status, 200);
assert.equal((await newest('project:p1')).data.project_id, 'p1');

// What means nothing is taken all the same, whatever it is.
for (const { name, examples } of every) {
  if (name in meaning) continue;
  const { status, body } = await deliver(name, JSON.stringify(examples[0]));
  assert.deepEqual([status, body.status, body.handlers_executed], [200, 'ok', 0], name);
  assert.equal(body.ignored, name === 'ping' ? undefined : true, name);
}

// Whoever cannot sign is refused.
for (const signature of ['', 'sha256=00', sign(`${push} `), sign(push).replace('256', '1')]) {
  const { status, body } = await deliver('push', push, { signature });
  assert.deepEqual([status, body.status, body.event_type], [401, 'error', 'push'], signature);
}
console.log(`${delivered} deliveries`);
