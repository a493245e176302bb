#!/usr/bin/env python3
"""From `p2prc map-domain` to a name that works, and from a restored cable to one that works again: script/bench map-domain.

In the lab's machines, with the installed packages and --acme none: a process runs at home behind NAT; a client on the public side
asks the root's DNS and opens verified TLS connections all the time. Milliseconds from the start of the command (and from its return)
to the first right answer of each kind, and from the cable's return to the first connection. Needs root, for the machines.
"""

import json
import os
import select
import signal
import statistics
import subprocess
import sys
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.dont_write_bytecode = True
sys.path.insert(0, f"{ROOT}/tests/lab")

AIM_MAP_MS, AIM_RECONNECT_MS = 200, 5000
CABLE_OUT_SECONDS = (2, 20)

# All machines have one monotonic clock: that of this box.
WATCH = r"""
import json, socket, ssl, struct, sys, threading, time
name, server, ca = sys.argv[1:4]
first, lock = {}, threading.Lock()
def note(what):
    with lock:
        first[what] = time.monotonic()
        if len(first) == 2:
            print(json.dumps(first), flush=True)
def dns():
    labels = b"".join(bytes([len(label)]) + label for label in name.encode().split(b".")) + b"\0"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(0.5)
        udp.connect((server, 53))
        while True:
            udp.send(struct.pack(">6H", 7, 0, 1, 0, 0, 0) + labels + struct.pack(">2H", 1, 1))
            try:
                answer = udp.recv(512)
            except OSError:
                continue
            if answer[3] & 15 == 0 and answer[7] == 1 and socket.inet_aton(server) in answer:
                return note("dns")
            time.sleep(0.002)
def tls():
    context = ssl.create_default_context(cafile=ca)
    while True:
        try:
            with socket.create_connection((server, 443), 1) as plain, context.wrap_socket(plain, server_hostname=name):
                return note("tls")
        except OSError:
            time.sleep(0.005)
for part in (dns, tls):
    threading.Thread(target=part).start()
print("ready", flush=True)
"""
COMMAND = r"""
import subprocess, sys, time
begin = time.monotonic()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(begin, time.monotonic())
"""


def watch(lab, name):
    """Starts watching for `name` on the client; wait(...) gives the instants of its first answers."""
    process = lab.client.popen(["python3", "-c", WATCH, name, lab.root.address, "/root/ca.pem"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"

    def wait(seconds=90):
        try:
            if not select.select([process.stdout], [], [], seconds)[0]:
                raise TimeoutError(f"{name} is not served after {seconds} s")
            return json.loads(process.stdout.readline())
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return wait


def map_once(lab, number):
    name = f"bench{number}.home.example"
    wait = watch(lab, name)
    begin, end = map(float, lab.home1.run(["python3", "-c", COMMAND, "p2prc", "map-domain", name, "app"]).out.split())
    first = wait()
    lab.home1.p2prc("unmap-domain", name)
    return {"command": end - begin, "dns": first["dns"] - begin, "tls": first["tls"] - begin}


def reconnect_once(lab, name, seconds):
    lab.home1.link_down()
    time.sleep(seconds)
    wait = watch(lab, name)
    begin = time.monotonic()
    lab.home1.link_up()
    return wait()["tls"] - begin


def show(what, seconds, aim=None):
    values = sorted(1000 * value for value in seconds)
    verdict = "" if aim is None else f"   aim {aim} ms: {'met' if statistics.median(values) <= aim else 'MISSED'}"
    print(f"{what:<44} median {statistics.median(values):7.1f} ms   min {values[0]:7.1f}   max {values[-1]:7.1f}{verdict}", flush=True)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    from lab import Lab
    from lab.household import make_fleet, spin, trust_fleet, wait_https, web
    with Lab(["root", "client", "acme", "home1"]) as lab:
        lab.install("root", "home1")
        make_fleet(lab, "home1")
        trust_fleet(lab, lab.client)
        lab.client.write("/root/ca.pem", lab.root.p2prc("fleet", "ca").out)
        spin(lab.home1, "app", web("here is app"), port=0, domain="app.home.example")
        wait_https(lab.client, "app.home.example", "here is app")
        print(f"{rounds} names mapped at home, one NAT away from the root")
        taken = [map_once(lab, number) for number in range(rounds)]
        show("p2prc map-domain itself", [each["command"] for each in taken])
        show("its start to the first right DNS answer", [each["dns"] for each in taken], AIM_MAP_MS)
        show("its start to the first TLS connection", [each["tls"] for each in taken], AIM_MAP_MS)
        for seconds in CABLE_OUT_SECONDS:
            again = [reconnect_once(lab, "app.home.example", seconds) for _ in range(3)]
            show(f"cable out for {seconds} s, to the first TLS connection", again, AIM_RECONNECT_MS)


if __name__ == "__main__":
    main()
