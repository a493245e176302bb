#!/usr/bin/env python3
"""The edge against HAProxy as a router of TLS by name: script/bench sni [ROUNDS].

Both relay, with one thread, from loopback to one server of ours: bulk (CPU seconds of the relay for each gigabyte) and new
connections (a second, and CPU microseconds each). Rounds are interleaved and medians compared, because the machine is noisy;
ratios are what counts. HAProxy is tuned: splice both ways, pipes of 1 MiB.
"""

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
NAME = "bench.home.example"
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
BULK_STREAMS, BULK_BYTES = 4, 1 << 30
RATE_THREADS, RATE_SECONDS = 16, 3


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_port(port, process):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None:
                sys.exit(f"{process.args[0]} ended with {process.returncode}")
            time.sleep(0.05)
    sys.exit(f"{process.args[0]} does not listen")


def cpu_seconds(pid):
    """Of all threads, in nanosecond steps where the kernel tells (schedstat), else in clock ticks."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        except (FileNotFoundError, IndexError):
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total / 1e9


class Relay:
    def __init__(self, name, command, port):
        self.name, self.port = name, port
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.bulk, self.rate, self.each, self.speed = [], [], [], []
        wait_port(port, self.process)

    def run_bulk(self):
        before = cpu_seconds(self.process.pid)
        done = subprocess.run([LOAD, "bulk", str(self.port), NAME, str(BULK_STREAMS), str(BULK_BYTES)], capture_output=True, text=True,
                              timeout=300, check=True)
        self.bulk.append((cpu_seconds(self.process.pid) - before) / (BULK_STREAMS * BULK_BYTES / 1e9))
        self.speed.append(BULK_STREAMS * BULK_BYTES * 8 / 1e9 / float(done.stdout))

    def run_rate(self):
        before = cpu_seconds(self.process.pid)
        done = subprocess.run([LOAD, "rate", str(self.port), NAME, str(RATE_THREADS), str(RATE_SECONDS)], capture_output=True, text=True,
                              timeout=300, check=True)
        good, bad = map(int, done.stdout.split())
        if bad:
            print(f"{self.name}: {bad} of {good + bad} connections failed", file=sys.stderr)
        self.rate.append(good / RATE_SECONDS)
        self.each.append((cpu_seconds(self.process.pid) - before) / good * 1e6)


def main():
    for tool in (LOAD, EDGE):
        if not os.path.exists(tool):
            sys.exit(f"{tool} is not there: run script/build release first")
    if not shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin"):
        sys.exit("haproxy is not there: apt install haproxy")
    processes = []
    with tempfile.TemporaryDirectory() as directory:
        try:
            server_port = free_port()
            server = subprocess.Popen([LOAD, "server", str(server_port)])
            processes.append(server)
            wait_port(server_port, server)

            port = free_port()
            with open(f"{directory}/haproxy.cfg", "w", encoding="utf-8") as file:
                file.write(f"""
global
    nbthread 1
    maxconn 4000
    tune.pipesize 1048576
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    option splice-request
    option splice-response
frontend tls
    bind 127.0.0.1:{port}
    tcp-request inspect-delay 5s
    tcp-request content accept if {{ req_ssl_hello_type 1 }}
    use_backend home if {{ req_ssl_sni -i {NAME} }}
backend home
    server one 127.0.0.1:{server_port}
""")
            haproxy = Relay("haproxy", ["/usr/sbin/haproxy", "-db", "-f", f"{directory}/haproxy.cfg"], port)
            processes.append(haproxy.process)

            port = free_port()
            with open(f"{directory}/routes.toml", "w", encoding="utf-8") as file:
                file.write(f'[[route]]\ndomain = "{NAME}"\nto = "127.0.0.1:{server_port}"\n')
            edge = Relay("p2prc-edge", [EDGE, "--routes", f"{directory}/routes.toml", "--listen-tls", f"127.0.0.1:{port}"], port)
            processes.append(edge.process)

            relays = [haproxy, edge]
            for turn in range(ROUNDS):
                for relay in relays if turn % 2 == 0 else reversed(relays):
                    relay.run_bulk()
                    relay.run_rate()
        finally:
            for process in processes:
                process.terminate()
                process.wait()

    version = subprocess.run(["/usr/sbin/haproxy", "-v"], capture_output=True, text=True, check=True).stdout.split()[2]
    print(f"{ROUNDS} rounds, medians; Linux {platform.release()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, HAProxy {version}; "
          f"bulk {BULK_STREAMS} x {BULK_BYTES >> 20} MiB, {RATE_THREADS} clients for {RATE_SECONDS} s")
    median = statistics.median
    print(f"{'relay':<12} {'CPU s/GB':>9} {'Gbit/s':>7} {'connections/s':>14} {'CPU us each':>12}")
    for relay in relays:
        print(f"{relay.name:<12} {median(relay.bulk):>9.3f} {median(relay.speed):>7.1f} {median(relay.rate):>14.0f} {median(relay.each):>12.1f}")
    ratios = [median(edge.bulk) / median(haproxy.bulk), median(edge.rate) / median(haproxy.rate), median(edge.each) / median(haproxy.each)]
    print(f"ratio        {ratios[0]:>9.2f} {'':>7} {ratios[1]:>14.2f} {ratios[2]:>12.2f}")
    print(f"aims: CPU s/GB at most 1.10 ({'held' if ratios[0] <= 1.1 else 'missed'}), connections/s at least 1.00 "
          f"({'held' if ratios[1] >= 1 else 'missed'})")


if __name__ == "__main__":
    main()
