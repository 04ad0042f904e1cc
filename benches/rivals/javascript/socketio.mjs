// npm socket.io: the event `bench` is sent back at /echo/, and to everybody else in a room at /hub/.
// Prints its URL; ends on SIGTERM.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const options = { serveClient: false, perMessageDeflate: false, destroyUpgrade: false };

new Server(http, { ...options, path: "/echo/" }).on("connection", (socket) => {
  socket.on("bench", (text) => socket.emit("bench", text));
});
new Server(http, { ...options, path: "/hub/" }).on("connection", (socket) => {
  socket.join("hub");
  socket.on("bench", (text) => socket.to("hub").emit("bench", text));
});
http.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => {
  console.log(`ws://127.0.0.1:${http.address().port}`);
});
