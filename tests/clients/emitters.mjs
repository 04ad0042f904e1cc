// Node's emitters: `node emitters.mjs REDIS SESSION new|old`. What they emit is expected by
// tests/sockets/emitters.rs.

import { Emitter } from "@socket.io/redis-emitter";
import { createClient } from "redis";
import old from "socket.io-emitter";

const [redis, session, version] = process.argv.slice(2);
const data = {
  n: [1, -2, 300, 70000, 2 ** 40, 1.5, true, null],
  text: "zwei ✓",
  at: new Date(1700000000123),
};

if (version === "new") {
  const client = createClient({ url: redis });
  await client.connect();
  const published = [];
  const emitter = new Emitter({
    publish: (channel, message) => published.push(client.publish(channel, message)),
  });
  emitter.emit("everybody", data);
  emitter.to("back").emit("nothing");
  emitter.in("back").volatile.emit("several", "one", { two: 2 });
  emitter.to("back").emit("list", [1, 2]);
  emitter.to("back").emit("bytes", Buffer.from([0, 255]));
  emitter.to("back").emit("nested", { inside: [new Uint8Array([0, 255])] });
  emitter.to("back").to("other").emit("rooms", 1);
  emitter.to("kept:1").emit("kept", 1);
  emitter.of("/ws").to("back").emit("project.updated", {
    type: "project.updated",
    timestamp: "2026-01-01T00:00:00",
    source: "project_service",
    data: { project_id: "1", status: "active" },
  });
  // Each of these is refused.
  emitter.of("admin").to("back").emit("elsewhere", 1);
  emitter.to("back").emit("a\nb", 1);
  emitter.to("back").emit("large", "x".repeat(1024 * 1024));
  emitter.to("back").except("some room").emit("excepted", 1);
  emitter.to("back").except(session).emit("left out", 1);
  emitter.to("back").emit("last", 1);
  await Promise.all(published);
  await client.close();
} else {
  const { hostname, port } = new URL(redis);
  const emitter = old({ host: hostname, port });
  emitter.emit("everybody", data);
  emitter.to("back").emit("several", "one", undefined);
  emitter.to("back").emit("bytes", Buffer.from([0, 255]));
  emitter.of("/ws").to("back").to("other").emit("rooms", 1);
  emitter.to("back").emit("last", 1);
  emitter.redis.quit();
}
