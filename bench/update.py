#!/usr/bin/env python3
"""What visitors notice of an update that starts the next revision first: script/bench update [UPDATES].

In the lab's machines, with the packages of dist/ (or $P2PRC_PACKAGES): two equal web servers run at home behind NAT, and a client on the
public side asks both in turn over the edge, each time by a new TLS connection. One is updated UPDATES times (5) with update.order =
"start-first", the other is left alone. Fails if a visitor of the one was refused, or if it was slower more often than the other by more
than 50 ms over the median. Needs root, for the machines.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.dont_write_bytecode = True
sys.path.insert(0, f"{ROOT}/tests/lab")

from lab import Lab  # noqa: E402
from lab.household import make_fleet, process_file, trust_fleet, wait_https, web  # noqa: E402

SLOWER_MS = 50  # over the median
UPDATED, ALONE = "updated", "alone"

# Prints a line for each request: whose, milliseconds, what it was told. Both are asked equally often, so what else this machine does
# meets both.
VISITOR = r"""
import http.client, json, socket, ssl, sys, time
ca, address, *names = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
while True:
    for name in names:
        begin = time.monotonic()
        try:
            with socket.create_connection((address, 443), 20) as plain, context.wrap_socket(plain, server_hostname=name) as tls:
                tls.sendall(f"GET / HTTP/1.0\r\nHost: {name}\r\n\r\n".encode())
                answer = http.client.HTTPResponse(tls)
                answer.begin()
                said = f"{answer.status} {answer.read().decode()}"
        except (OSError, http.client.HTTPException) as problem:
            said = f"failed: {problem}"
        print(json.dumps([name, (time.monotonic() - begin) * 1000, said]), flush=True)
        time.sleep(0.005)
"""


def name_of(which):
    return f"{which}.home.example"


def spin(home, which, text):
    file = process_file(which, web(text), port=0, domain=name_of(which), update={"order": "start-first", "hold": "0s"})
    home.write(f"/root/{which}.toml", file.replace("[run]", "[run]\ndata = false"))
    home.p2prc("spin", f"/root/{which}.toml", timeout=300)


def main():
    updates = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with Lab(["root", "acme", "home1", "client"]) as lab:
        lab.install()
        make_fleet(lab, "home1")
        trust_fleet(lab, lab.client)
        for which in (UPDATED, ALONE):
            spin(lab.home1, which, "0")
            wait_https(lab.client, name_of(which), "0", timeout=60)
        lab.client.write("/root/visitor.py", VISITOR)
        visitor = lab.client.popen(["python3", "/root/visitor.py", "/etc/ssl/certs/ca-certificates.crt", lab.root.address, name_of(UPDATED), name_of(ALONE)],
                                   stdout=subprocess.PIPE, text=True)
        time.sleep(2)
        for number in range(1, updates + 1):
            spin(lab.home1, UPDATED, str(number))
        time.sleep(2)
        os.killpg(visitor.pid, signal.SIGKILL)
        seen = [json.loads(line) for line in visitor.communicate()[0].splitlines() if line.endswith("]")]
        wait_https(lab.client, name_of(UPDATED), str(updates))
    slow, refused = {}, {}
    for which in (UPDATED, ALONE):
        times = [ms for name, ms, _ in seen if name == name_of(which)]
        median = statistics.median(times)
        slow[which] = sum(ms > median + SLOWER_MS for ms in times)
        refused[which] = [said for name, _, said in seen if name == name_of(which) and not said.startswith("200 ")]
        print(f"{which}: {len(times)} requests, median {median:.1f} ms, slowest {max(times):.1f} ms, {slow[which]} more than {SLOWER_MS} ms over the median, "
              f"{len(refused[which])} not served {refused[which][:3] or ''}")
    held = not refused[UPDATED] and slow[UPDATED] <= slow[ALONE]
    print(f"{updates} updates, next revision first (aim: nobody refused, and none slower than beside it): {'held' if held else 'missed'}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
