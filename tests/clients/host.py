"""The figures of the machine against psutil's and /proc's in the same second:
`python host.py ws://127.0.0.1:8080`, of a server that samples the machine every 200 ms.

Exits 0 when all is as it should be; otherwise the failure is on standard error.
"""

import asyncio
import json
import os
import socket
import sys
import time

import psutil
from websockets.asyncio.client import connect

BASE = sys.argv[1]
MIB = 1024 * 1024
# Memory moves between our look and psutil's; a sample that was unlucky is followed by others.
SAMPLES = 20


def near(name, found, expected, tolerance):
    assert abs(found - expected) <= tolerance, f"{name}: {found} is not near {expected}"


def check_memory(data):
    memory = psutil.virtual_memory()
    total = memory.total // MIB
    near("memory_total", data["memory_total"], total, 1)
    used = (memory.total - memory.available) / MIB
    parts = psutil.virtual_memory()
    if hasattr(parts, "cached"):
        used = (parts.total - parts.free - parts.cached - parts.buffers) / MIB
    near("memory_usage", data["memory_usage"], used, total * 0.05)
    near("memory_percent", data["memory_percent"], 100 * used / total, 5)


def check_storage(data):
    disk = psutil.disk_usage("/data" if os.path.ismount("/data") else "/")
    total = disk.total // MIB
    near("storage_total", data["storage_total"], total, total * 0.01)
    near("storage_usage", data["storage_usage"], disk.used // MIB, total * 0.01)


def check_system(data):
    assert data["cpu_cores"] == psutil.cpu_count(logical=True), data["cpu_cores"]
    assert 0 <= data["cpu_usage"] <= 100, data["cpu_usage"]
    assert data["cpu_temp"] is None or 0 < data["cpu_temp"] < 150, data["cpu_temp"]
    assert data["hostname"] == socket.gethostname(), data["hostname"]
    uptime = time.time() - psutil.boot_time()
    if os.path.exists("/proc/uptime"):
        with open("/proc/uptime", encoding="ascii") as file:
            uptime = float(file.read().split()[0])
    near("uptime", data["uptime"], uptime, 2)


def check_interfaces(data):
    ours = {interface["name"]: interface for interface in data["network_interfaces"]}
    theirs = psutil.net_if_addrs()
    assert set(ours) == set(theirs), (sorted(ours), sorted(theirs))
    for name, addresses in theirs.items():
        for key, family in [("ip4", socket.AF_INET), ("ip6", socket.AF_INET6)]:
            known = [a.address.split("%")[0] for a in addresses if a.family == family]
            found = ours[name][key]
            assert found in known if known else found is None, (name, key, found, known)
        known = [a.address.lower() for a in addresses if a.family == psutil.AF_LINK]
        found = ours[name]["mac"]
        nothing = [[], ["00:00:00:00:00:00"]]
        assert found in known or (found is None and known in nothing), (name, found, known)


def check_processes(data):
    processes = data["top_processes"]
    assert 0 < len(processes) <= 10, len(processes)
    alive = 0
    for process in processes:
        assert process["cpu"] >= 0 and 0 <= process["mem"] <= 100, process
        try:
            name = psutil.Process(process["pid"]).name()
        except psutil.NoSuchProcess:
            continue
        alive += 1
        # The kernel cuts names at 15 bytes, and psutil mends that where it can.
        assert process["name"][:15] == name[:15], (process, name)
    assert alive > 0, processes


CHECKS = [check_system, check_memory, check_storage, check_interfaces, check_processes]


async def main():
    left = dict.fromkeys(CHECKS)
    async with connect(BASE + "/ws/metrics", proxy=None) as client:
        for _ in range(SAMPLES):
            message = json.loads(await client.recv())
            if message["type"] != "metrics":
                continue
            for check in list(left):
                try:
                    check(message["data"])
                    del left[check]
                except AssertionError as fault:
                    left[check] = fault
            if not left:
                return
    sys.exit("\n".join(f"{check.__name__}: {fault}" for check, fault in left.items()))


asyncio.run(asyncio.wait_for(main(), 60))
