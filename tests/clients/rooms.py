"""The `websockets` client against a running server: `python rooms.py ws://127.0.0.1:8080 SUBJECT`.

Exits 0 when all is as it should be; otherwise the failure is on standard error. Each subject is a
coroutine of that name, and a test in `tests/sockets/clients.rs`.
"""

import asyncio
import json
import sys

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode

BASE = sys.argv[1]


def client(path="/ws", **options):
    """A connection to `path`. The default limit of `websockets` is ours, so envelopes pass it."""
    return connect(BASE + path, **{"max_size": 4 * 1024 * 1024, "proxy": None, **options})


async def hear(socket):
    message = await socket.recv()
    assert isinstance(message, str), "the server sends text only"
    return json.loads(message)


async def ask(socket, command):
    await socket.send(json.dumps(command))
    return await hear(socket)


async def publish(socket, room, data):
    """Publishes as one who is not in the room."""
    command = {"type": "publish", "room": room, "event": "said", "data": data}
    reply = await ask(socket, command)
    assert reply["type"] == "published", reply
    return reply


async def closed(socket):
    """The code that the server closes with."""
    try:
        while True:
            await socket.recv()
    except ConnectionClosed as end:
        assert end.rcvd is not None, "closed without a close frame"
        return end.rcvd.code


async def hello():
    async with client("/ws?room=py", subprotocols=["other", "kinglet.v1"]) as socket:
        assert socket.subprotocol == "kinglet.v1"
        message = await hear(socket)
        assert message["type"] == "connected", message
        assert [room["room"] for room in message["rooms"]] == ["py"]
    assert (socket.close_code, socket.close_reason) == (1000, "")


async def subscribe_and_publish():
    async with client("/ws?room=else") as member, client("/ws?room=else") as other:
        reply = await ask(member, {"type": "subscribe", "room": "py", "id": "s"})
        assert (reply["type"], reply["id"], reply["offset"]) == ("subscribed", "s", 0)
        for data in [1, {"text": "zwei ✓"}, None]:
            await publish(other, "py", data)
            message = await hear(member)
            assert (message["type"], message["data"]) == ("said", data)
        reply = await ask(member, {"type": "unsubscribe", "room": "py"})
        assert reply["type"] == "unsubscribed"
        await publish(other, "py", 4)
        assert (await ask(member, {"type": "ping"}))["type"] == "pong"


async def history():
    async with client("/ws?room=else") as socket:
        for data in [1, 2, 3]:
            await publish(socket, "py", data)
        page = await ask(socket, {"type": "history", "room": "py", "since": 1, "limit": 1})
        assert [entry["data"] for entry in page["publications"]] == [2]
        assert page["more"] is True
        page = await ask(socket, {"type": "history", "room": "py", "reverse": True})
        assert [entry["data"] for entry in page["publications"]] == [3, 2, 1]


async def recovery():
    async with client("/ws?room=else") as other:
        await publish(other, "py", 0)
        async with client("/ws?room=else") as first:
            reply = await ask(first, {"type": "subscribe", "room": "py"})
            seen = {"epoch": reply["epoch"], "offset": reply["offset"]}
        for data in [1, 2]:
            await publish(other, "py", data)
        async with client("/ws?room=else") as back:
            reply = await ask(back, {"type": "subscribe", "room": "py", "since": seen})
            assert reply["recovered"] is True
            assert [entry["data"] for entry in reply["publications"]] == [1, 2]
            await publish(other, "py", 3)
            assert (await hear(back))["offset"] == reply["offset"] + 1
            lost = {"epoch": "another", "offset": 0}
            reply = await ask(back, {"type": "subscribe", "room": "py", "since": lost})
            assert (reply["recovered"], reply["publications"]) == (False, [])


async def keepalive_of_the_client():
    async with client(ping_interval=0.05, ping_timeout=5) as socket:
        while socket.latency == 0:
            await asyncio.sleep(0.01)
        answered = await socket.ping(b"hello")
        await answered
        assert (await ask(socket, {"type": "ping"}))["type"] == "pong"


async def pings_of_the_server():
    pings = asyncio.Queue()

    class Watching(ClientConnection):
        def process_event(self, event):
            # The first event is the answer to the handshake.
            if getattr(event, "opcode", None) is Opcode.PING:
                pings.put_nowait(event)
            super().process_event(event)

    async with client(create_connection=Watching, ping_interval=None) as socket:
        # Three seconds of them; who answered none would be closed after two.
        for _ in range(15):
            await pings.get()
        assert (await ask(socket, {"type": "ping"}))["type"] == "pong"


async def a_mebibyte():
    async with client("/ws?room=py") as socket:
        command = {"type": "publish", "room": "py", "event": "said", "data": ""}
        command["data"] = "x" * (1024 * 1024 - len(json.dumps(command)))
        assert len(json.dumps(command)) == 1024 * 1024
        await socket.send(json.dumps(command))
        received = [await hear(socket), await hear(socket)]
        assert [message["type"] for message in received] == ["published", "said"]
        assert received[1]["data"] == command["data"]


async def fragments():
    text = json.dumps({"type": "publish", "room": "py", "event": "said", "data": "ü✓" * 500})

    async def pieces():
        for start in range(0, len(text), 7):
            yield text[start : start + 7]

    async with client("/ws?room=py") as socket:
        await socket.send(pieces())
        received = [await hear(socket), await hear(socket)]
        assert received[1]["data"] == "ü✓" * 500
        await socket.send([b'{"type":', b'"ping","id":7}'])
        assert (await hear(socket))["id"] == 7


async def a_message_over_the_limit():
    async with client() as socket:
        await socket.send("x" * (1024 * 1024 + 1))
        assert await closed(socket) == 1009


async def ten_errors():
    async with client() as socket:
        for _ in range(10):
            await socket.send('{"type":"nope"}')
        assert await closed(socket) == 4503


async def compression():
    async with client(compression="deflate") as socket:
        offered = socket.request.headers["Sec-WebSocket-Extensions"]
        assert "permessage-deflate" in offered
        assert socket.response.headers["Sec-WebSocket-Extensions"] == (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        )
        assert len(socket.protocol.extensions) == 1
        assert (await ask(socket, {"type": "ping"}))["type"] == "pong"
        data = "kinglet and compression, " * 4000
        for number in range(3):
            sent = {"type": "publish", "room": "global", "event": "e", "data": data, "id": number}
            await socket.send(json.dumps(sent))
        received = [json.loads(await socket.recv()) for _ in range(6)]
        events = [message["data"] for message in received if message["type"] == "e"]
        assert events == [data] * 3
        # In fragments, each of which is a part of one compressed message.
        sent = json.dumps({"type": "publish", "room": "global", "event": "e", "data": data})
        await socket.send(sent[at : at + 1000] for at in range(0, len(sent), 1000))
        received = [json.loads(await socket.recv()) for _ in range(2)]
        assert data in [message.get("data") for message in received]


async def another_site():
    try:
        async with client(origin="https://evil.example"):
            raise AssertionError("it was let in")
    except InvalidStatus as refusal:
        assert refusal.response.status_code == 403


async def drain():
    async with client() as socket:
        assert (await ask(socket, {"type": "ping"}))["type"] == "pong"
        # Whoever started us may end the server now.
        print("connected", flush=True)
        assert await closed(socket) == 1001


# A hang is a failure, too.
asyncio.run(asyncio.wait_for(globals()[sys.argv[2]](), 20))
