"""python-socketio's manager that only writes: `python emitters.py REDIS SESSION [FOLDER]`.

With FOLDER, the version of python-socketio that is installed there. What it emits is expected by
`tests/sockets/emitters.rs`.
"""

import sys

REDIS, SESSION = sys.argv[1:3]
sys.path[0:1] = sys.argv[3:]

import socketio  # noqa: E402

manager = socketio.RedisManager(REDIS, write_only=True)

manager.emit("everybody", {"n": [1, -2, 300, 70000, 2**40, 1.5, True, None], "text": "zwei ✓"})
manager.emit("nothing", None, room="back")
manager.emit("several", ("one", {"two": 2}), room="back")
manager.emit("list", [1, 2], room="back")
manager.emit("bytes", b"\x00\xff", room="back")
manager.emit("nested", {"inside": [b"\x00\xff"]}, room="back")
manager.emit("rooms", 1, room=["back", "other"])
manager.emit("kept", 1, room="kept:1")
envelope = {
    "type": "project.updated",
    "timestamp": "2026-01-01T00:00:00",
    "source": "project_service",
    "data": {"project_id": "1", "status": "active"},
}
manager.emit("project.updated", envelope, room="back", namespace="/ws")
# Each of these is refused.
manager.emit("elsewhere", 1, room="back", namespace="/admin")
manager.emit("connect", 1, room="back")
manager.emit("large", "x" * (1024 * 1024), room="back")
manager.emit("left out", 1, room="back", skip_sid=SESSION)
manager.enter_room(SESSION, "/", "entered")
manager.emit("inside", 1, room="entered")
manager.leave_room(SESSION, "/", "entered")
manager.emit("outside", 1, room="entered")
# This asks for nothing that kinglet does.
manager._publish({"method": "close_room", "room": "back", "namespace": "/"})
manager.emit("last", 1, room="back")
