// Projects and runs: made, started, watched, asked, told, cancelled, and read afterwards.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { browse, check, Server, shows, until, visit } from "./support.js";

const LOG = "[role=log]";

async function start(page, agent, prompt) {
  await page.getByLabel("Agent", { exact: true }).fill(agent);
  await page.getByLabel("Prompt").fill(prompt);
  await page.getByRole("button", { name: "Start run" }).click();
}

/** The state that the project's card shows. */
function state(page, text) {
  return page.locator(".card", { hasText: "State" }).getByText(text, { exact: true }).waitFor();
}

check("a project is made, runs, and its runs can be read afterwards", async () => {
  const server = await Server.start();
  const tab = await browse(server.url);
  const { page } = tab;
  await visit(tab, "#/projects");
  await shows(page, "There is no project yet");
  const place = join(server.work, "shop");
  const create = page.getByRole("button", { name: "Create project" });
  await page.getByLabel("Directory").fill(place);
  await create.click();
  await shows(page, "there is no such file or directory");
  await mkdir(place);
  await page.getByLabel("Name").fill("Our shop");
  await create.click();
  await page.getByRole("cell").getByRole("link", { name: "Our shop" }).click();
  await shows(page, "No run yet");

  await start(page, "nobody", "x");
  await shows(page, "there is no agent of this name", "form .outcome");
  await start(page, "say", "what is printed");
  await shows(page, "what is printed", LOG);
  await shows(page, "The run is over: exited", LOG);
  await state(page, "idle");
  await start(page, "claude", "scenario:multi_message");
  await shows(page, "Result: success, 1 turn, 12 ms, $0.0125", LOG);
  await shows(page, "$0.0125", "table");
  await page.getByRole("table").getByRole("link").last().click();
  await shows(page, "what is printed", LOG);
  assert.deepEqual(tab.faults, []);
});

check("a run's pieces of speech become one line", async () => {
  const server = await Server.start();
  const project = await server.project("shop");
  const tab = await browse(server.url);
  await visit(tab, `#/projects/${project}`);
  await start(tab.page, "claude", "scenario:slow_stream:4");
  await shows(tab.page, "part 1 part 2 part 3 part 4", LOG);
  assert.equal(await tab.page.locator(`${LOG} li.assistant`).count(), 1);
});

for (const [button, heard] of [["Allow", "used with"], ["Deny", "denied"]]) {
  check(`a permission is answered with ${button}`, async () => {
    const server = await Server.start();
    const project = await server.project("shop");
    const tab = await browse(server.url);
    const { page } = tab;
    await visit(tab, `#/projects/${project}`);
    await start(page, "claude", "scenario:permission");
    await shows(page, "May it use Bash?");
    // Whoever comes later is asked, too.
    await page.reload();
    await shows(page, '"command": "ls"');
    await page.getByLabel("If not, why").fill("not here");
    await page.getByRole("button", { name: button }).click();
    await shows(page, heard, LOG);
    await page.locator(".question").waitFor({ state: "detached" });
    assert.deepEqual(tab.faults, []);
  });
}

check("a run is spoken to, and cancelled", async () => {
  const server = await Server.start();
  const project = await server.project("shop");
  const tab = await browse(server.url);
  const { page } = tab;
  await visit(tab, `#/projects/${project}`);
  await start(page, "claude", "scenario:listen");
  await page.getByLabel("Say to the agent").fill("go on");
  await page.getByRole("button", { name: "Send" }).click();
  await shows(page, "heard: go on", LOG);
  await state(page, "executing");
  await page.getByRole("button", { name: "Cancel run" }).click();
  await shows(page, "The run is over: cancelled", LOG);
  await page.getByRole("button", { name: "Cancel run" }).waitFor({ state: "hidden" });
  assert.deepEqual(tab.faults, []);
});

check("a long output is paged through", async () => {
  const server = await Server.start();
  const project = await server.project("shop");
  const run = await server.run(project, "claude", "scenario:many_lines:450");
  await until("the run is over", async () => {
    return (await server.call("GET", `runs/${run}`)).ended_at !== undefined;
  });
  const tab = await browse(server.url);
  const { page } = tab;
  await visit(tab, `#/projects/${project}/runs/${run}`);
  const line = (text) => page.locator(LOG).getByText(text, { exact: true }).waitFor();
  await line("line 1");
  const next = page.getByRole("button", { name: "Next page" });
  await next.click();
  await line("line 201");
  await next.click();
  await line("line 450");
  assert(await next.isDisabled());
  await page.getByRole("button", { name: "Previous page" }).click();
  await line("line 201");
  assert.deepEqual(tab.faults, []);
});
