"""PyPI websockets: /echo sends back, /hub sends to everybody else. Prints its URL; ends on SIGTERM."""

import asyncio

from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import ConnectionClosed

hub = set()


async def handle(socket):
    try:
        if socket.request.path == "/echo":
            async for message in socket:
                await socket.send(message)
            return
        hub.add(socket)
        async for message in socket:
            broadcast(hub - {socket}, message)
    except ConnectionClosed:
        pass  # Whoever resets a connection has left.
    finally:
        hub.discard(socket)


async def main():
    async with serve(handle, "127.0.0.1", 0, compression=None, backlog=4096) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"ws://127.0.0.1:{port}", flush=True)
        await server.serve_forever()


asyncio.run(main())
