// A real EventSource against a running server: `node events.mjs http://127.0.0.1:8080 ROOM`. Prints
// one line for each event and each connection, and goes on until it is killed.

import { EventSource } from 'eventsource';

const [base, ...rooms] = process.argv.slice(2);
const query = rooms.map((room) => `room=${encodeURIComponent(room)}`).join('&');
const source = new EventSource(`${base}/api/v1/events?${query}`);

const say = (line) => console.log(JSON.stringify(line));
source.onopen = () => say({ open: true });
source.onerror = () => say({ error: true, gone: source.readyState === EventSource.CLOSED });
source.onmessage = ({ data, lastEventId }) => {
  const { type, room, offset, recovered, data: said } = JSON.parse(data);
  say({ type, room, offset, recovered, said, id: lastEventId });
};
