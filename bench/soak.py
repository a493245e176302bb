#!/usr/bin/env python3
"""What edge and connector hold and do over time: script/bench soak [CONNECTIONS].

In the network of the tunnel's benchmark: how often each program wakes up with nothing to do, how much memory 10,000 idle
connections take and whether each still carries a byte, and whether memory grows over CONNECTIONS (100,000) short ones. Fails
when an aim is missed. Needs root, for the namespaces.
"""

import asyncio
import os
import platform
import resource
import socket
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import tunnel  # noqa: E402

IDLE = 10_000
STEPS = 5
QUIET_SECONDS = 30
PATIENT = "--patient-server"
RESERVED = 1000  # descriptors that are not connections


def wakeups(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))


def raise_descriptors():
    """As the units do (LimitNOFILE=), where the machine lets us; how many there are now."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (max(most, 65536), most):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return limit
        except (OSError, ValueError):
            continue
    return most


def patient_server(port):
    """Says one byte for each hello, and one for each byte after it, to any number of clients at once."""
    hello = len(tunnel.hello())

    async def serve(reader, writer):
        try:
            await reader.readexactly(hello)
            while True:
                writer.write(b"y")
                if not await reader.read(1):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    async def run():
        server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=4096)
        await server.serve_forever()

    raise_descriptors()
    asyncio.run(run())


def quiet(ours):
    time.sleep(15)  # what the start has left to do
    before = [wakeups(process) for process in ours.processes]
    time.sleep(QUIET_SECONDS)
    return [(wakeups(process) - start) / QUIET_SECONDS for process, start in zip(ours.processes, before)]


def idle(ours, count):
    before = [tunnel.resident_kib(process.pid) for process in ours.processes]
    connections = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", ours.port), timeout=30)
        connection.sendall(tunnel.hello())
        connections.append(connection)
        if connection.recv(1) != b"y":
            sys.exit(f"connection {len(connections)} was not carried")
    time.sleep(3)
    after = [tunnel.resident_kib(process.pid) for process in ours.processes]
    alive = 0
    for connection in connections:
        connection.sendall(b"x")
        alive += connection.recv(1) == b"y"
        connection.close()
    time.sleep(3)
    return [(end - start) / count for start, end in zip(before, after)], alive


def soak(ours, connections):
    """Memory of both, in KiB, after each step; how many connections there were, and how many more failed."""
    memory, total, failed = [], 0, 0
    while len(memory) < STEPS:
        step = 0
        while step < connections / STEPS:
            good, bad = map(int, ours.load("rate", tunnel.RATE_THREADS, tunnel.RATE_SECONDS).split())
            failed += bad
            step += good
        total += step
        time.sleep(2)
        memory.append([tunnel.resident_kib(process.pid) for process in ours.processes])
    return memory, total, failed


def inside(home, connections):
    # The connector has two descriptors for each connection; a machine that gives fewer shows as much as it can.
    count = min(IDLE, (raise_descriptors() - RESERVED) // 2)
    programs = tunnel.Programs(home)
    with tempfile.TemporaryDirectory() as directory:
        try:
            server = programs.at_home(sys.executable, os.path.abspath(__file__), PATIENT, str(tunnel.SERVER_PORT))
            ours = tunnel.start_ours(programs, directory)
            ours.wait()
            rest = quiet(ours)
            each, alive = idle(ours, count)
            server.terminate()
            server.wait()
            programs.at_home(tunnel.LOAD, "server", str(tunnel.SERVER_PORT))
            ours.wait()
            memory, total, failed = soak(ours, connections)
        finally:
            programs.stop()
    print(f"Linux {platform.release()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; edge and connector, each by itself")
    print("wake-ups a second with an idle tunnel: " + ", ".join(f"{value:.2f}" for value in rest))
    print(f"{count} idle connections: {alive} carried a byte at the end; KiB each: " + ", ".join(f"{value:.2f}" for value in each))
    print(f"resident KiB over {total} connections, {failed} more failed: " + "; ".join(", ".join(str(value) for value in step) for step in memory))
    # From the second step on: the first fills caches and pools.
    growth = [(end - start) * 1024 / (total * (STEPS - 2) / STEPS) for start, end in zip(memory[1], memory[-1])]
    held = {"wake-ups at most 1.2": max(rest) <= 1.2, "all idle ones carried": alive == count, "KiB idle on the edge at most 4": each[0] <= 4,
            "no short one failed": failed == 0, "growth at most 8 bytes a connection": max(growth) <= 8}
    print("aims: " + ", ".join(f"{aim} ({'held' if good else 'missed'})" for aim, good in held.items()))
    return 0 if all(held.values()) else 1


def main():
    if len(sys.argv) > 2 and sys.argv[1] == PATIENT:
        return patient_server(int(sys.argv[2]))
    if len(sys.argv) > 3 and sys.argv[1] == tunnel.INSIDE:
        return inside(sys.argv[2], int(sys.argv[3]))
    for tool in (tunnel.LOAD, tunnel.EDGE, tunnel.CONNECTOR):
        if not os.path.exists(tool):
            sys.exit(f"{tool} is not there: run script/build release first")
    return tunnel.in_network(__file__, sys.argv[1] if len(sys.argv) > 1 else "100000")


if __name__ == "__main__":
    sys.exit(main())
