// npm ws: /echo sends back, /hub sends to everybody else. Prints its URL; ends on SIGTERM.
import { WebSocket, WebSocketServer } from "ws";

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: 0,
  backlog: 4096,
  perMessageDeflate: false,
});
const hub = new Set();

server.on("connection", (socket, request) => {
  socket.on("error", () => {}); // Whoever resets a connection has left.
  if (request.url === "/echo") {
    socket.on("message", (data, binary) => socket.send(data, { binary }));
    return;
  }
  hub.add(socket);
  socket.on("close", () => hub.delete(socket));
  socket.on("message", (data, binary) => {
    for (const other of hub) {
      if (other !== socket && other.readyState === WebSocket.OPEN) other.send(data, { binary });
    }
  });
});
server.on("listening", () => console.log(`ws://127.0.0.1:${server.address().port}`));
