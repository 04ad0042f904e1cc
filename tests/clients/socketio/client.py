"""python-socketio against a running server: `python client.py http://127.0.0.1:8080 SUBJECT TRANSPORT`.

The transport is polling, websocket, or upgrade. Exits 0 when all is as it should be; otherwise the
failure is on standard error. Each subject is a function of that name.
"""

import os
import queue
import sys
import threading
import traceback

import requests
import socketio

BASE, SUBJECT, TRANSPORT, *REST = sys.argv[1:]
TRANSPORTS = {"polling": ["polling"], "websocket": ["websocket"], "upgrade": None}[TRANSPORT]
PATIENCE = 30


def exit_now(code):
    """Ends it whatever threads there are."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def hang():
    print(f"not done after {2 * PATIENCE} s", file=sys.stderr)
    exit_now(1)


# A hang is a failure, too.
watchdog = threading.Timer(2 * PATIENCE, hang)
watchdog.daemon = True
watchdog.start()


class Client:
    """A client that keeps what it hears, namespace by namespace."""

    def __init__(self, *namespaces, auth=None, headers=None):
        self.namespaces = list(namespaces)
        self.heard = {namespace: queue.Queue() for namespace in namespaces}
        self.io = socketio.Client(reconnection_delay=0.05, reconnection_delay_max=0.2)
        self.gone = threading.Event()
        for namespace in namespaces:
            self.io.on("*", self.keeper(namespace), namespace=namespace)
        self.io.on("disconnect", lambda *_: self.gone.set(), namespace=namespaces[0])
        self.io.connect(
            BASE,
            auth=auth,
            headers=headers or {},
            namespaces=self.namespaces,
            transports=TRANSPORTS,
            wait_timeout=PATIENCE,
        )

    def keeper(self, namespace):
        def keep(event, *words):
            self.heard[namespace].put((event, *words))

        return keep

    def hear(self, namespace=None):
        return self.heard[namespace or self.namespaces[0]].get(timeout=PATIENCE)

    def ask(self, event, data=None, namespace=None):
        return self.io.call(
            event, data, namespace=namespace or self.namespaces[0], timeout=PATIENCE
        )

    def emit(self, event, data=None, namespace=None):
        self.io.emit(event, data, namespace=namespace or self.namespaces[0])


def echo():
    client = Client("/", "/custom", auth={"token": "abc"})
    for namespace in client.namespaces:
        assert client.hear(namespace) == ("auth", {"token": "abc"})
        client.emit("message", ("grüße ✓", 2, [None]), namespace)
        assert client.hear(namespace) == ("message-back", "grüße ✓", 2, [None])
        data = {"bytes": b"\x00\x01\xff", "none": b""}
        client.emit("message", data, namespace)
        assert client.hear(namespace) == ("message-back", data)
        assert client.ask("message-with-ack", ("one", b"two"), namespace) == ("one", b"two")
        large = "x" * 500_000
        assert client.ask("message-with-ack", large, namespace) == large
    wanted = "polling" if TRANSPORT == "polling" else "websocket"
    assert client.io.transport() == wanted, client.io.transport()
    # The client has a thread for each event it hears, so their order is not the server's.
    for number in range(200):
        client.emit("message", number)
    assert sorted(client.hear()[1] for _ in range(200)) == list(range(200))
    client.io.disconnect()


def refusal(namespace, auth=None):
    """What a client is told that is not let in."""
    told = queue.Queue()
    client = socketio.Client(reconnection=False)
    client.on("connect_error", told.put, namespace=namespace)
    try:
        client.connect(
            BASE, auth=auth, namespaces=[namespace], transports=TRANSPORTS, wait_timeout=PATIENCE
        )
    except socketio.exceptions.ConnectionError:
        client.disconnect()
        return told.get(timeout=PATIENCE)
    raise AssertionError(f"{namespace} lets everybody in")


def refused():
    assert refusal("/random") == {"message": "Invalid namespace"}


def comes_back():
    client = Client("/")
    assert client.hear() == ("auth", {})
    for number in range(3):
        # Between two polls there is no connection to miss.
        client.gone.clear()
        while not client.gone.wait(0.1):
            print("cut", flush=True)
            assert sys.stdin.readline() != ""
        assert client.hear() == ("auth", {})
        assert client.ask("message-with-ack", number) == number
    client.io.disconnect()


def rooms():
    ada, admin = REST

    def post(path, body):
        headers = {"Authorization": f"Bearer {admin}"}
        answer = requests.post(f"{BASE}/api/v1/{path}", json=body, headers=headers, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text

    told = refusal("/ws", {"token": "garbage"})
    assert told["message"] and told["data"]["code"] == "UNAUTHORIZED", told

    for shown in [{"auth": {"token": ada}}, {"headers": {"Authorization": f"Bearer {ada}"}}]:
        client = Client("/ws", **shown)
        event, hello = client.hear()
        assert event == "connection_established", event
        assert hello["data"]["user_id"] == "ada", hello
        assert client.ask("ping") == {"status": "pong"}
        room = "project:123"
        assert client.ask("subscribe", {"room": room}) == {"status": "success", "room": room}
        denied = client.ask("subscribe", {"room": "user:bob"})
        assert (denied["status"], denied["message"]) == ("error", "Access denied"), denied
        data = {"project_id": "123", "status": "active"}
        post("events", {"type": "project.updated", "data": data})
        event, said = client.hear()
        assert (event, said["type"]) == ("project.updated", "project.updated"), (event, said)
        assert said["data"] == data, said
        assert client.ask("unsubscribe", {"room": room}) == {"status": "success", "room": room}
        post("events", {"type": "project.updated", "data": data})
        post("publish", {"room": "global", "event": "last", "data": 1})
        assert client.hear()[0] == "last"
        client.io.disconnect()


try:
    {"echo": echo, "refused": refused, "comes_back": comes_back, "rooms": rooms}[SUBJECT]()
except BaseException:
    traceback.print_exc()
    exit_now(1)
exit_now(0)
