#!/usr/bin/env python3
"""Edge and connector against rathole, home behind a NAT: script/bench tunnel [ROUNDS].

Three network namespaces: public side, router with NAT, home. A server of ours at home is reached from the public side through each
tunnel: bulk (CPU seconds of both ends for each gigabyte), new connections (a second, and CPU microseconds each), and idle
connections (resident KiB of both ends, each). Rounds are interleaved and medians compared, because the machine is noisy;
ratios are what counts. Needs root, for the namespaces; RATHOLE names rathole 0.5; without it, it is built into
build/rathole with cargo.
"""

import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
BUILD = os.environ.get("P2PRC_BUILD", f"{ROOT}/build/release")
LOAD = f"{BUILD}/bench/sni_load"
EDGE = f"{BUILD}/edge/p2prc-edge"
CONNECTOR = f"{BUILD}/connector/p2prc-connector"
RATHOLE = os.environ.get("RATHOLE") or shutil.which("rathole") or f"{ROOT}/build/rathole/bin/rathole"
NAME = "bench.home.example"
INSIDE = "--inside"
BULK_STREAMS, BULK_BYTES = 4, 256 << 20
RATE_THREADS, RATE_SECONDS = 16, 3
IDLE = 500
SERVER_PORT, EDGE_PORT, RATHOLE_PORT, RATHOLE_CONTROL = 9443, 8443, 8444, 2333


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def network(prefix):
    """Public 203.0.113.1 -- 203.0.113.2 router, masquerading, 192.168.77.1 -- 192.168.77.2 home."""
    public, router, home = (f"{prefix}{name}" for name in ("pub", "nat", "home"))
    for space in (public, router, home):
        run("ip", "netns", "add", space)
        run("ip", "-n", space, "link", "set", "lo", "up")
    for left, right, left_address, right_address in ((public, router, "203.0.113.1/24", "203.0.113.2/24"),
                                                     (router, home, "192.168.77.1/24", "192.168.77.2/24")):
        near, far = ("in", "eth0") if left == router else ("eth0", "out")
        run("ip", "-n", left, "link", "add", near, "type", "veth", "peer", "name", far, "netns", right)
        for space, link, address in ((left, near, left_address), (right, far, right_address)):
            run("ip", "-n", space, "address", "add", address, "dev", link)
            run("ip", "-n", space, "link", "set", link, "up")
    run("ip", "-n", home, "route", "add", "default", "via", "192.168.77.1")
    # Without these what is measured after some 14,000 connections is the kernel's search for a free port among those in TIME_WAIT:
    # milliseconds a connect, for whichever tunnel comes later.
    for space in (public, home):
        run("ip", "netns", "exec", space, "sysctl", "-q", "net.ipv4.ip_local_port_range=10000 65000", "net.ipv4.tcp_max_tw_buckets=1000")
    run("ip", "netns", "exec", router, "sysctl", "-q", "net.ipv4.ip_forward=1")
    rules = "table ip nat { chain out { type nat hook postrouting priority 100; oifname \"out\" masquerade; }; }"
    subprocess.run(["ip", "netns", "exec", router, "nft", "-f", "-"], input=rules, text=True, check=True)
    # Only known once the rule is in.
    run("ip", "netns", "exec", router, "sysctl", "-q", "net.netfilter.nf_conntrack_tcp_timeout_time_wait=1")
    return public, router, home


def cpu_seconds(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        except FileNotFoundError:
            continue
    return total / 1e9


def resident_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


def hello():
    """What sni_load asks with: a ClientHello for NAME, then how many bytes to send."""
    def vector(content, width):
        return len(content).to_bytes(width, "big") + content
    name = vector(vector(b"\0" + vector(NAME.encode(), 2), 2), 2)
    body = b"\x03\x03" + b"r" * 32 + vector(b"s" * 32, 1) + vector(b"\x13\x01", 2) + vector(b"\0", 1) + vector(b"\0\0" + name, 2)
    return b"\x16\x03\x01" + vector(b"\x01" + vector(body, 3), 2)


class Tunnel:
    def __init__(self, name, port, processes):
        self.name, self.port, self.processes = name, port, processes
        self.bulk, self.rate, self.each, self.idle = [], [], [], []

    def cpu(self):
        return sum(cpu_seconds(process.pid) for process in self.processes)

    def wait(self):
        for _ in range(200):
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as probe:
                    probe.sendall(hello() + (1).to_bytes(8, "big"))
                    if probe.recv(1) in (b"x", b"y"):  # and not the first byte of an alert: the server is not there yet
                        return
            except OSError:
                pass
            for process in self.processes:
                if process.poll() is not None:
                    sys.exit(f"{process.args} ended with {process.returncode}")
            time.sleep(0.1)
        sys.exit(f"{self.name} carries nothing")

    def load(self, mode, *arguments):
        return subprocess.run([LOAD, mode, str(self.port), NAME, *map(str, arguments)], capture_output=True, text=True, timeout=300,
                              check=True).stdout

    def run_bulk(self):
        before = self.cpu()
        self.load("bulk", BULK_STREAMS, BULK_BYTES)
        self.bulk.append((self.cpu() - before) / (BULK_STREAMS * BULK_BYTES / 1e9))

    def run_rate(self):
        before = self.cpu()
        good, bad = map(int, self.load("rate", RATE_THREADS, RATE_SECONDS).split())
        if bad:
            print(f"{self.name}: {bad} of {good + bad} connections failed", file=sys.stderr)
        self.rate.append(good / RATE_SECONDS)
        self.each.append((self.cpu() - before) / max(good, 1) * 1e6)

    def run_idle(self):
        """After the first byte each connection lies idle. The server is asked for one byte of many, so that it holds on."""
        before = sum(resident_kib(process.pid) for process in self.processes)
        idle = []
        for _ in range(IDLE):
            connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
            connection.sendall(hello())  # the server waits for how many bytes to send
            idle.append(connection)
        time.sleep(3)
        self.idle.append((sum(resident_kib(process.pid) for process in self.processes) - before) / IDLE)
        for connection in idle:
            connection.close()
        time.sleep(2)


class Programs:
    """What runs on the public side, where this is called, and at home."""
    def __init__(self, home):
        self.home, self.processes = home, []

    def start(self, *command):
        quiet = None if os.environ.get("VERBOSE") else subprocess.DEVNULL
        process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
        self.processes.append(process)
        return process

    def at_home(self, *command):
        return self.start("ip", "netns", "exec", self.home, *command)

    def stop(self):
        for process in self.processes:
            process.terminate()
            process.wait()


def start_ours(programs, directory):
    keys = {}
    for end in ("edge", "connector"):
        os.mkdir(f"{directory}/{end}", 0o700)
        keys[end] = subprocess.run([CONNECTOR, "--state", f"{directory}/{end}", "--fingerprint"], capture_output=True, text=True,
                                   check=True).stdout.strip()
    with open(f"{directory}/edge/routes.json", "w", encoding="utf-8") as file:
        json.dump({"revision": 1, "zones": [], "connector_keys": [keys["connector"]],
                   "routes": [{"domain": NAME, "to": "", "node_key": keys["connector"], "mapping_id": 1, "tls": "passthrough"}]}, file)
    with open(f"{directory}/edge.toml", "w", encoding="utf-8") as file:
        file.write(f'[listen]\ntls = ["127.0.0.1:{EDGE_PORT}", "203.0.113.1:{EDGE_PORT}"]\ndns = ["127.0.0.1:5399"]\n'
                   f'[state]\ndirectory = "{directory}/edge"\n')
    with open(f"{directory}/mappings.toml", "w", encoding="utf-8") as file:
        file.write(f'[[edge]]\naddress = "203.0.113.1:{EDGE_PORT}"\nkey = "{keys["edge"]}"\n'
                   f'[[mapping]]\nid = 1\ndomain = "{NAME}"\nport = {SERVER_PORT}\ntls = "passthrough"\n')
    return Tunnel("p2prc", EDGE_PORT, [programs.start(EDGE, "--config", f"{directory}/edge.toml"),
                                      programs.at_home(CONNECTOR, "--state", f"{directory}/connector", "--mappings",
                                                       f"{directory}/mappings.toml")])


def inside(home, rounds):
    programs = Programs(home)
    with tempfile.TemporaryDirectory() as directory:
        try:
            programs.at_home(LOAD, "server", str(SERVER_PORT))
            ours = start_ours(programs, directory)
            with open(f"{directory}/server.toml", "w", encoding="utf-8") as file:
                file.write(f'[server]\nbind_addr = "203.0.113.1:{RATHOLE_CONTROL}"\ndefault_token = "x"\n'
                           f'[server.services.one]\nbind_addr = "127.0.0.1:{RATHOLE_PORT}"\n')
            with open(f"{directory}/client.toml", "w", encoding="utf-8") as file:
                file.write(f'[client]\nremote_addr = "203.0.113.1:{RATHOLE_CONTROL}"\ndefault_token = "x"\n'
                           f'[client.services.one]\nlocal_addr = "127.0.0.1:{SERVER_PORT}"\n')
            peer = Tunnel("rathole", RATHOLE_PORT, [programs.start(RATHOLE, "--server", f"{directory}/server.toml"),
                                                   programs.at_home(RATHOLE, "--client", f"{directory}/client.toml")])
            tunnels = [peer, ours]
            for tunnel in tunnels:
                tunnel.wait()
                tunnel.run_idle()  # first: what later load leaves in the allocator would hide it
            for turn in range(rounds):
                for tunnel in tunnels if turn % 2 == 0 else reversed(tunnels):
                    tunnel.run_bulk()
                    tunnel.run_rate()
        finally:
            programs.stop()
    report(peer, ours, rounds)


def report(peer, ours, rounds):
    median = statistics.median
    print(f"{rounds} rounds, medians; Linux {platform.release()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
          f"bulk {BULK_STREAMS} x {BULK_BYTES >> 20} MiB, {RATE_THREADS} clients for {RATE_SECONDS} s, {IDLE} idle; both ends together")
    print(f"{'tunnel':<10} {'CPU s/GB':>9} {'connections/s':>14} {'CPU us each':>12} {'KiB idle':>9}")
    for tunnel in (peer, ours):
        print(f"{tunnel.name:<10} {median(tunnel.bulk):>9.3f} {median(tunnel.rate):>14.0f} {median(tunnel.each):>12.1f} "
              f"{median(tunnel.idle):>9.1f}")
    pairs = [(tunnel.bulk, tunnel.rate, tunnel.each, tunnel.idle) for tunnel in (ours, peer)]
    bulk, rate, each, idle = (median(a) / median(b) for a, b in zip(*pairs))
    print(f"{'ratio':<10} {bulk:>9.2f} {rate:>14.2f} {each:>12.2f} {idle:>9.2f}")
    held = {True: "held", False: "missed"}
    print(f"aims: CPU s/GB at most 0.50 ({held[bulk <= 0.5]}), CPU each at most 0.80 ({held[each <= 0.8]}), "
          f"KiB idle at most 0.60 ({held[idle <= 0.6]})")


def main():
    if len(sys.argv) > 3 and sys.argv[1] == INSIDE:
        inside(sys.argv[2], int(sys.argv[3]))
        return
    for tool in (LOAD, EDGE, CONNECTOR):
        if not os.path.exists(tool):
            sys.exit(f"{tool} is not there: run script/build release first")
    if not os.path.exists(RATHOLE):
        if not shutil.which("cargo"):
            sys.exit("rathole 0.5 is not there, nor cargo to build it: apt install cargo, or name a built one in RATHOLE")
        print("building rathole 0.5.0 for the comparison, once", file=sys.stderr)
        subprocess.run(["cargo", "install", "rathole", "--version", "0.5.0", "--root", f"{ROOT}/build/rathole"], stdout=sys.stderr, check=True)
    sys.exit(in_network(__file__, sys.argv[1] if len(sys.argv) > 1 else "5"))


def in_network(script, *arguments):
    """Runs `script --inside HOME ARGUMENTS` on the public side of a fresh network; its exit status."""
    if os.geteuid() != 0:
        sys.exit("network namespaces need root")
    prefix = f"b{os.getpid()}"
    try:
        public, _, home = network(prefix)
        return subprocess.run(["ip", "netns", "exec", public, sys.executable, os.path.abspath(script), INSIDE, home, *arguments],
                              check=False).returncode
    finally:
        for name in ("pub", "nat", "home"):
            subprocess.run(["ip", "netns", "delete", f"{prefix}{name}"], stderr=subprocess.DEVNULL, check=False)


if __name__ == "__main__":
    main()
