#!/usr/bin/python3
"""Our DNS server beside NSD: dnsperf asks both the same, in turns, one server process each. Prints rates, CPU per query, ratios.

NSD runs without response-rate limiting (Debian's default of 200 answers a second would make the comparison void). Rates on a
shared machine mean nothing alone; the ratio within a round does. Exit status 1 where an answer was lost or a gate is missed.

  bench/dns.py [--server PROGRAM] [--rounds N] [--seconds S]
"""

import argparse
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
# In place of this directory, where this file hides the package `dns`.
sys.path[0] = os.path.join(ROOT, "tests", "lab")

import dns.message

import dns_peers

ZONE = "home.example"
HOSTS = 1000
RATE_GATE, CPU_GATE, CHANGE_GATE = 1.0, 1.1, 2.0


def zone_text():
    lines = ["$TTL 300", "@ SOA ns1 hostmaster 1 3600 900 1209600 60", "@ NS ns1", "ns1 A 192.0.2.1", "*.wild A 192.0.2.2", "sub NS ns.sub", "ns.sub A 192.0.2.3"]
    lines += [f"host{i} A 192.0.2.{i % 250 + 1}\nhost{i} AAAA 2001:db8::{i:x}" for i in range(HOSTS)]
    lines += [f"alias{i} CNAME host{i}" for i in range(HOSTS // 10)]
    return "\n".join(lines) + "\n"


def questions():
    chance = random.Random(2)
    lines = []
    for _ in range(20000):
        kind = chance.random()
        number = chance.randrange(HOSTS)
        if kind < 0.5:
            lines.append(f"host{number}.{ZONE} A")
        elif kind < 0.65:
            lines.append(f"host{number}.{ZONE} AAAA")
        elif kind < 0.75:
            lines.append(f"alias{number // 10}.{ZONE} A")
        elif kind < 0.8:
            lines.append(f"x{number}.wild.{ZONE} A")
        elif kind < 0.85:
            lines.append(f"x{number}.sub.{ZONE} A")
        elif kind < 0.9:
            lines.append(f"host{number}.{ZONE} HTTPS")
        else:
            lines.append(f"none{number}.{ZONE} A")
    return "\n".join(lines) + "\n"


def processes(pid):
    """The process and all below it."""
    found = [pid]
    for child in open(f"/proc/{pid}/task/{pid}/children", encoding="ascii").read().split():
        found += processes(int(child))
    return found


def cpu_seconds(pid):
    ticks = 0
    for each in processes(pid):
        fields = open(f"/proc/{each}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(peer, queries, seconds):
    begin = cpu_seconds(peer.process.pid)
    output = subprocess.run(["dnsperf", "-s", "127.0.0.1", "-p", str(peer.port), "-d", queries, "-l", str(seconds), "-c", "8", "-T", "1",
                             "-q", "200", "-e"], capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    used = cpu_seconds(peer.process.pid) - begin
    value = lambda pattern: float(re.search(pattern, output).group(1))
    completed = value(r"Queries completed:\s+(\d+)")
    return {"rate": value(r"Queries per second:\s+([\d.]+)"), "lost": value(r"Queries lost:\s+(\d+)"), "cpu": used / completed * 1e6}


def p99(peer, count=3000):
    """Milliseconds, of queries one after another, a few hundred a second."""
    wire = dns.message.make_query(f"host1.{ZONE}", "A").to_wire()
    times = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", peer.port))
        client.settimeout(5)
        for _ in range(count):
            begin = time.perf_counter()
            client.send(wire)
            client.recv(2000)
            times.append((time.perf_counter() - begin) * 1e3)
            time.sleep(0.0005)
    return sorted(times)[count * 99 // 100]


def under_change(server, directory, zone_file, rounds):
    """The median over the rounds of p99 during 100 changes a second divided by p99 without, each pair taken in one go."""
    ratios = []
    with dns_peers.ours(server, directory, ZONE, zone_file) as idle, \
            dns_peers.ours(server, directory, ZONE, zone_file, extra=["--changes", "100"]) as changing:
        for number in range(rounds):
            pair = [(changing, p99(changing)), (idle, p99(idle))] if number % 2 else [(idle, p99(idle)), (changing, p99(changing))]
            value = dict((peer is changing, ms) for peer, ms in pair)
            ratios.append(value[True] / value[False])
            print(f"p99 {value[False]:.3f} ms idle, {value[True]:.3f} ms during 100 changes a second: {ratios[-1]:.2f}x")
    return statistics.median(ratios)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", default=os.path.join(ROOT, "build/release/bench/dns_server"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="p2prc-bench-dns-") as directory:
        zone_file = dns_peers.write(directory, "bench.zone", zone_text())
        queries = dns_peers.write(directory, "queries", questions())
        with dns_peers.ours(options.server, directory, ZONE, zone_file) as ours, dns_peers.nsd(directory, ZONE, zone_file) as nsd:
            version = subprocess.run(["/usr/sbin/nsd", "-v"], capture_output=True, text=True, check=False)
            print(f"{(version.stdout + version.stderr).splitlines()[0]}, rrl-ratelimit 0, one server process; {os.cpu_count()} cores; "
                  f"dnsperf, {options.rounds} rounds of {options.seconds} s each, order changing")
            rounds = []
            for number in range(options.rounds):
                order = [ours, nsd] if number % 2 == 0 else [nsd, ours]
                result = {peer.name: measure(peer, queries, options.seconds) for peer in order}
                mine, other = result["p2prc"], result["nsd"]
                rounds.append((mine["rate"] / other["rate"], mine["cpu"] / other["cpu"], mine["lost"]))
                print(f"round {number + 1}: p2prc {mine['rate']:.0f}/s {mine['cpu']:.2f} us/query lost {mine['lost']:.0f}; "
                      f"nsd {other['rate']:.0f}/s {other['cpu']:.2f} us/query lost {other['lost']:.0f}; "
                      f"rate {rounds[-1][0]:.2f}x cpu {rounds[-1][1]:.2f}x")
        change = under_change(options.server, directory, zone_file, options.rounds)
    rate = statistics.median(each[0] for each in rounds)
    cpu = statistics.median(each[1] for each in rounds)
    lost = sum(each[2] for each in rounds)
    print(f"dns: rate {rate:.2f}x NSD's (gate {RATE_GATE}), CPU per query {cpu:.2f}x (gate {CPU_GATE}), lost {lost:.0f}, "
          f"p99 during changes {change:.2f}x (gate {CHANGE_GATE})")
    return 0 if rate >= RATE_GATE and cpu <= CPU_GATE and lost == 0 and change <= CHANGE_GATE else 1


if __name__ == "__main__":
    sys.exit(main())
