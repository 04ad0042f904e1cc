"""Measures kinglet and servers of other makes by `kinglet bench`, one after the other, in turns.

`make rivals` calls this once the release binary is built. Each run has a fresh server on core 0 and
the generator on core 1; what counts is the server's own processor time, from /proc. Every server
that is started here is ended here, by its pid. What cannot be installed is left out, with a reason.

    ROUNDS (3)    each server is measured so often; the table has medians
    SECONDS (2)   of each measurement
    MINUTES (6)   no round is begun that would end later
    ONLY          the servers to be measured, as in "kinglet socketio,npm socketio"; all if absent
    NCHAN_MODULE  where ngx_nchan_module.so is, if nginx does not have it in its usual place
"""

import atexit
import contextlib
import datetime
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
KINGLET = ROOT / "target/release/kinglet"
OUTPUT = ROOT / "target/rivals.md"

ROUNDS = int(os.environ.get("ROUNDS", 3))
SECONDS = float(os.environ.get("SECONDS", 2))
MINUTES = float(os.environ.get("MINUTES", 6))
ONLY = os.environ.get("ONLY", "").split(",")

# Enough to show what each one more costs, few enough for every rival to be quick with them.
IDLE = 2000
SUBSCRIBERS = 1000


class LeftOut(Exception):
    """Why a server is not measured."""


class Server:
    """How to start a server, and how to speak to it."""

    def __init__(self, name, command, echo, hub, environment=None):
        self.name = name
        self.command = command
        # Path and further arguments of `kinglet bench`; a text says why there is none.
        self.echo = echo
        self.hub = hub
        self.environment = environment or {}

    def url(self, process):
        line = process.stdout.readline().decode()
        start = line.find("://")
        if start < 0:
            raise RuntimeError(f"{self.name} did not say where it listens: {line!r}")
        return "ws" + line[start:].strip()


class Nchan(Server):
    """nginx, which cannot choose a port by itself."""

    def __init__(self, module):
        self.folder = tempfile.TemporaryDirectory(prefix="kinglet-rivals-")
        super().__init__(
            "nginx nchan",
            ["nginx", "-p", self.folder.name, "-c", "nginx.conf", "-e", "stderr"],
            "it does not echo",
            ("/sub", ["--post", "/pub"]),
        )
        self.module = module

    def prepare(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        folder = Path(self.folder.name)
        (folder / "nginx.conf").write_text(f"""
load_module {self.module};
daemon off; master_process off; pid nginx.pid; error_log stderr error;
events {{ worker_connections 20000; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    keepalive_requests 1000000;
    server {{
        listen 127.0.0.1:{self.port} backlog=4096;
        location = /sub {{ nchan_subscriber websocket; nchan_channel_id bench;
                           nchan_subscriber_first_message newest; }}
        location = /pub {{ nchan_publisher http; nchan_channel_id bench;
                           nchan_message_buffer_length 100; }}
    }}
}}
""")

    def url(self, process):
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return f"ws://127.0.0.1:{self.port}"
            time.sleep(0.02)
        raise RuntimeError("nginx does not listen")


def run(command, **options):
    """Runs what installs a rival; its last words are the reason when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if done.returncode != 0:
        words = done.stdout.decode(errors="replace").strip().splitlines()
        raise LeftOut(f"`{' '.join(map(str, command))}` failed: {words[-1] if words else ''}")


def need(program):
    if not shutil.which(program):
        raise LeftOut(f"{program} is not installed")


def kinglet():
    return own("kinglet", ("/ws/echo", []), ("", []))


def kinglet_socketio():
    echo = "its event that comes back is called otherwise"
    return own("kinglet, Socket.IO", echo, ("", ["--socketio", "--global"]))


def own(name, echo, hub):
    folder = tempfile.mkdtemp(prefix="kinglet-rivals-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Server(
        name,
        [KINGLET, "serve", "--listen", "127.0.0.1:0"],
        echo,
        hub,
        {
            "KINGLET_SERVER__DATA_DIR": folder,
            "KINGLET_DEBUG__ECHO": "true",
            "KINGLET_LIMITS__CONNECTIONS": "0",
            "KINGLET_LIMITS__API_REQUESTS_PER_SECOND": "0",
            "KINGLET_LOG__LEVEL": "error",
        },
    )


def floor():
    compiler = os.environ.get("CC", "cc")
    need(compiler)
    binary = HERE / "floor/floor"
    run([compiler, "-O2", "-o", binary, HERE / "floor/floor.c"])
    return Server("floor", [binary], ("/echo", []), ("/hub", ["--plain"]))


def tokio():
    need("cargo")
    run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=HERE / "tokio")
    binary = HERE / "tokio/target/release/rival-tokio"
    return Server("tokio-tungstenite", [binary], ("/echo", []), ("/hub", ["--plain"]))


def install_javascript():
    need("node")
    need("npm")
    run(["npm", "ci", "--no-audit", "--no-fund"], cwd=HERE / "javascript")


def npm_ws():
    install_javascript()
    command = ["node", HERE / "javascript/ws.mjs"]
    environment = {"NODE_ENV": "production"}
    return Server("npm ws", command, ("/echo", []), ("/hub", ["--plain"]), environment)


def npm_socketio():
    install_javascript()
    query = "?EIO=4&transport=websocket"
    return Server(
        "npm socket.io",
        ["node", HERE / "javascript/socketio.mjs"],
        (f"/echo/{query}", ["--socketio"]),
        (f"/hub/{query}", ["--socketio"]),
        {"NODE_ENV": "production"},
    )


def pypi_websockets():
    need("python3")
    venv = HERE / "python/.venv"
    python = venv / "bin/python"
    if not python.exists():
        run(["python3", "-m", "venv", venv])
    requirements = HERE / "python/requirements.txt"
    pip = ["pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1"]
    run([python, "-m", *pip, "--no-deps", "--require-hashes", "--requirement", requirements])
    command = [python, HERE / "python/hub.py"]
    return Server("PyPI websockets", command, ("/echo", []), ("/hub", ["--plain"]))


def nchan():
    need("nginx")
    usual = "/usr/lib/nginx/modules/ngx_nchan_module.so"
    module = os.environ.get("NCHAN_MODULE", usual)
    if not Path(module).exists():
        raise LeftOut("its module is not installed (apt-get install libnginx-mod-nchan)")
    return Nchan(module)


SERVERS = [kinglet, kinglet_socketio, floor, tokio, npm_ws, npm_socketio, pypi_websockets, nchan]

# Scenario of `kinglet bench`, its arguments, which of a server's places, the rows that come of it:
# what is told, where it is in the report, how it is spelt.
SCENARIOS = [
    (
        "connect",
        ["--connections", "64"],
        "hub",
        [("connect, upgrade, close, 64 at once: CPU each", ["server_cpu_us"], "µs")],
    ),
    (
        "idle",
        ["--connections", str(IDLE)],
        "hub",
        [(f"idle, {IDLE:,} connections: resident bytes each", ["bytes_per_connection"], "")],
    ),
    (
        "echo",
        ["--connections", "100"],
        "echo",
        [
            ("echo of 64 B, 100 connections: CPU each", ["server_cpu_us"], "µs"),
            ("the same, 99th percentile until it is back", ["latency_us", "p99"], "µs"),
        ],
    ),
    (
        "echo",
        ["--connections", "100", "--in-flight", "16"],
        "echo",
        [("echo of 64 B, 100 connections, 16 in flight: CPU each", ["server_cpu_us"], "µs")],
    ),
    (
        "fanout",
        ["--connections", str(SUBSCRIBERS), "--rate", "50"],
        "hub",
        [
            (f"128 B to {SUBSCRIBERS:,} at 50/s: CPU per delivery", ["server_cpu_us"], "µs"),
            ("the same, 99th percentile until it is there", ["latency_us", "p99"], "µs"),
        ],
    ),
]


def pinned(core, command):
    can = shutil.which("taskset") and (os.cpu_count() or 1) > 1
    return ["taskset", "-c", str(core), *command] if can else command


@contextlib.contextmanager
def started(server):
    """The URL and the pid of a fresh server, which is ended whatever happens."""
    if isinstance(server, Nchan):
        server.prepare()
    process = subprocess.Popen(
        pinned(0, server.command),  # taskset becomes the server, so the pid is the server's.
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **server.environment},
    )
    try:
        yield server.url(process), process.pid
    finally:
        process.terminate()
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def measure(server, scenario, arguments, place):
    """The report of one run, or a text that says why there is none."""
    spoken = getattr(server, place)
    if isinstance(spoken, str):
        return spoken
    path, dialect = spoken
    if scenario != "fanout":
        # How to publish is no question where nothing is published.
        dialect = [word for word in dialect if word == "--socketio"]
    seconds = 1 if scenario == "idle" else SECONDS
    with started(server) as (url, pid):
        command = [KINGLET, "bench", scenario, "--url", url + path, "--pid", str(pid), "--json"]
        command += ["--duration", f"{seconds}s", "--warmup", "500ms", *arguments, *dialect]
        timeout = 4 * seconds + 40
        try:
            done = subprocess.run(pinned(1, command), capture_output=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            return f"not done within {timeout:.0f} s"
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        return words[-1] if words else "kinglet bench failed"
    return json.loads(done.stdout)


def measure_all(servers):
    """Reports by server and scenario, and how many rounds there were."""
    reports = {(server.name, index): [] for server in servers for index in range(len(SCENARIOS))}
    began, last = time.monotonic(), 0.0
    for round_number in range(ROUNDS):
        start = time.monotonic()
        if round_number > 0 and start - began + last > MINUTES * 60:
            return reports, round_number
        for index, (scenario, arguments, place, _) in enumerate(SCENARIOS):
            # Nobody always comes first.
            turn = round_number % len(servers)
            for server in servers[turn:] + servers[:turn]:
                print(f"round {round_number + 1}: {scenario} {server.name}", file=sys.stderr)
                report = measure(server, scenario, arguments, place)
                reports[server.name, index].append(report)
        last = time.monotonic() - start
    return reports, ROUNDS


def median(reports, path):
    """The figure at `path`; a text if there is none."""
    figures = []
    for report in reports:
        if isinstance(report, str):
            return report
        figure = report
        for name in path:
            figure = figure.get(name) if isinstance(figure, dict) else None
        if figure is None:
            return "kinglet bench does not tell it"
        figures.append(figure)
    return statistics.median(figures)


def spelt(figure, unit):
    if unit == "":
        return f"{figure:,.0f}"
    if figure >= 10_000:
        return f"{figure / 1000:,.0f} ms"
    return f"{figure:,.0f} {unit}" if figure >= 100 else f"{figure:.2f} {unit}"


def table(servers, reports, rounds, left_out):
    notes = [f"{name} is left out: {reason}." for name, reason in left_out]
    lines = [
        "| What | " + " | ".join(server.name for server in servers) + " |",
        "|---|" + "---|" * len(servers),
    ]
    for index, (_, _, _, rows) in enumerate(SCENARIOS):
        for label, path, unit in rows:
            ours, cells = None, []
            for server in servers:
                figure = median(reports[server.name, index], path)
                if isinstance(figure, str):
                    cells.append("-")
                    note = f"{server.name} has no figure for “{label.split(':')[0]}”: {figure}."
                    if not label.startswith("the same"):
                        notes.append(note)
                elif ours is None:
                    ours = figure
                    cells.append(spelt(figure, unit))
                else:
                    ratio = f" (×{figure / ours:.1f})" if ours else ""
                    cells.append(spelt(figure, unit) + ratio)
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
    for server in servers:
        for index, (scenario, *_) in enumerate(SCENARIOS):
            for report in reports[server.name, index]:
                if isinstance(report, dict) and report.get("lost"):
                    notes.append(f"{server.name} lost {report['lost']:,} deliveries in one run.")
    plural = "s" if rounds > 1 else ""
    where = f"{machine()}, {rounds} round{plural} of {SECONDS:g} s each, medians."
    return "\n".join([where, "", *lines, "", *(f"- {note}" for note in notes)]).rstrip() + "\n"


def machine():
    model = "an unknown processor"
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    today = datetime.datetime.now(datetime.timezone.utc).date()
    load = os.getloadavg()[0]
    return (
        f"On {today}, {os.cpu_count()} cores of {model}, {platform.system()} "
        f"{platform.release()}, load {load:.1f} at the end"
    )


def main():
    # SIGTERM ends like Ctrl-C: through every `finally`.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    servers, left_out = [], []
    for make in SERVERS:
        name = make.__name__.replace("_", " ")
        if ONLY != [""] and name not in ONLY:
            continue
        print(f"preparing {name}", file=sys.stderr)
        try:
            servers.append(make())
        except LeftOut as reason:
            left_out.append((name, reason))
    reports, rounds = measure_all(servers)
    text = table(servers, reports, rounds, left_out)
    OUTPUT.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
