"""Strangers at the edge, and what a table in the wrong hands does to it: others go on, and who was removed is gone at once."""

import json
import os
import signal

from lab import wait_until
from lab.conquered import conquered
from lab.household import make_fleet, spin, trust_fleet, wait_https, web

MACHINES = ["root", "acme", "client", "home1", "home2"]

# Each is bounded in number and in time, and says "on" once it is under way. All come from one address, which is the visitors' too.
SLOW_HELLOS = r'''
import socket, time
hello = bytes.fromhex("16030100c2010000be0303") + bytes(180)
held = []
for _ in range(400):
    s = socket.create_connection(("203.0.113.10", 443), 20); s.setblocking(False); held.append(s)
print("on", flush=True)
for at in range(0, 60):
    for s in held:
        try: s.send(hello[at:at + 1])
        except OSError: pass
    time.sleep(0.1)
'''
HALF_OPEN = r'''
import socket, time
held = [socket.create_connection(("203.0.113.10", port), 20) for _ in range(300) for port in (443, 80)]
print("on", flush=True)
time.sleep(6)
'''
HTTP_FLOOD = r'''
import socket
print("on", flush=True)
for i in range(600):
    try:
        with socket.create_connection(("203.0.113.10", 80), 20) as s:
            s.settimeout(5)
            s.sendall(b"GET /" + b"a" * (i * 20 % 9000) + b" HTTP/1.1\r\nHost: x%d.home.example\r\nX: " % i + b"y" * (i * 31 % 9000) + b"\r\n\r\n")
            s.recv(64)
    except OSError: pass
'''
DNS_GARBAGE = r'''
import random, socket
random.seed(11)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print("on", flush=True)
held = []
for i in range(600):
    u.sendto(random.randbytes(random.randrange(600)), ("203.0.113.10", 53))
    try:
        t = socket.create_connection(("203.0.113.10", 53), 20); t.settimeout(1)
        t.sendall(len(bytes(i % 90)).to_bytes(2, "big") + random.randbytes(i % 90) if i % 3 else b"\xff\xff" + random.randbytes(40))
        held.append(t)
        if len(held) > 100: held.pop(0).close()
    except OSError: pass
'''
LABEL = "a" * 63
LONG = f"{LABEL}.{LABEL}.{LABEL}.{'b' * 40}.home.example"  # 245 characters: its challenge's name is longer than a DNS name


def under_way(lab, code):
    process = lab.client.popen(["python3", "-c", code], stdout=-1, text=True)
    assert process.stdout.readline() == "on\n"
    return process


def test_a_fleet_of_two_homes(lab):
    make_fleet(lab, "home1", "home2")
    trust_fleet(lab, lab.client)
    for number, machine in ((1, lab.home1), (2, lab.home2)):
        spin(machine, f"web{number}", web(f"web {number}"), port=8100 + number, domain=f"web{number}.home.example")
        wait_https(lab.client, f"web{number}.home.example", f"web {number}", timeout=90)


def test_floods_of_one_address_keep_no_visitor_of_it_out(lab):
    before = lab.root.unit("p2prc-edge.service")["MainPID"]
    floods = [under_way(lab, code) for code in (SLOW_HELLOS, HALF_OPEN, HTTP_FLOOD, DNS_GARBAGE)]
    try:
        for _ in range(5):
            wait_https(lab.client, "web1.home.example", "web 1", timeout=60)
            wait_until(lambda: "203.0.113.10" in lab.client.run("dig +tries=1 +time=3 @203.0.113.10 web1.home.example A +short", check=False).out,
                       60, "DNS to answer")
        for flood in floods:
            flood.wait(240)
    finally:
        for flood in floods:
            if flood.poll() is None:
                os.killpg(flood.pid, signal.SIGKILL)
                flood.wait()
    assert lab.root.unit("p2prc-edge.service")["MainPID"] == before
    assert lab.home1.ok("p2prc ps")


def test_only_mapped_hosts_are_redirected(lab):
    def answer(port, host):
        return lab.client.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"Host: {host}", f"http://203.0.113.10:{port}/a"]).out
    for port in (80, 443):
        assert answer(port, "web1.home.example") == "308"
        assert answer(port, "elsewhere.example") == "421", port


def test_a_member_s_overlong_challenge_holds_up_nothing(lab):
    with conquered(lab.root) as registry:
        mapping = registry.get("/domains/web1.home.example")
        registry.put(f"/domains/{LONG}", {**mapping, "domain": LONG, "mapping_id": 900})
        for number, name in enumerate((LONG, "x..home.example", "not in the zone.example")):
            registry.put(f"/challenges/{name}/{number:016x}", {"schema": 1, "domain": name, "value": "A" * 43, "node": "home1", "expires": 4102444800000000})
    wait_until(lambda: lab.home1.json("status")["reachable"], 60, "the root to be back")
    spin(lab.home1, "third", web("third"), port=8103, domain="third.home.example")
    wait_https(lab.client, "third.home.example", "third", timeout=90)
    # And it is said, to whoever asks what is wrong.
    wait_until(lambda: "/challenges/x..home.example/" in lab.root.p2prc("doctor", check=False, timeout=90).out, 60,
               "doctor to name a record that is not accepted", interval=1)


def test_a_poisoned_copy_of_the_table_does_not_keep_the_edge_from_serving(lab):
    """The copy of the last run, with bad parts in it; p2prcd is away, so that it is all there is."""
    path = "/var/lib/p2prc-edge/routes.json"
    lab.root.run("systemctl stop p2prcd.service p2prcd-control.socket p2prc-edge.service")
    table = json.loads(lab.root.read(path))
    table["zones"][0]["records"] += [{"name": f"_acme-challenge.{LONG}", "type": "TXT", "ttl": 30, "data": "\"x\""}, {"name": 7}, "nonsense"]
    table["zones"].append({"name": "bad..zone", "addresses": ["nowhere"]})
    table["routes"] = [{"domain": "bad name", "tls": "node"}, {"domain": 5}, *table["routes"]]
    owner = lab.root.run(f"stat -c %u:%g {path}").out.strip()
    lab.root.write(path, json.dumps(table))
    lab.root.run(f"chown {owner} {path}")
    lab.root.run("systemctl start p2prc-edge.service")
    try:
        wait_https(lab.client, "web1.home.example", "web 1", timeout=90)
        assert "203.0.113.10" in lab.client.run("dig @203.0.113.10 web2.home.example A +short").out
        assert "'bad name' is not served" in lab.root.journal("-u", "p2prc-edge.service")
    finally:
        lab.root.run("systemctl start p2prcd-control.socket p2prcd.service")
    wait_until(lambda: lab.home1.json("status")["reachable"], 90, "the root to be back")


HELD = r'''
import socket, ssl, sys
context = ssl.create_default_context()
with context.wrap_socket(socket.create_connection((sys.argv[1], 443), 20), server_hostname=sys.argv[1]) as s:
    print("held", flush=True)
    s.settimeout(120)
    try: s.recv(1)
    except ConnectionError: pass
print("ended", flush=True)
'''


def test_a_removed_node_is_gone_at_once_whatever_else_the_table_holds(lab):
    held = lab.client.popen(["python3", "-c", HELD, "web2.home.example"], stdout=-1, text=True)
    assert held.stdout.readline() == "held\n"
    lab.root.p2prc("nodes", "rm", "home2")
    assert held.stdout.readline() == "ended\n"
    assert held.wait(30) == 0
    wait_until(lambda: not lab.client.ok("curl -sS --max-time 20 -o /dev/null https://web2.home.example/"), 20, "web2 to be refused")
    wait_https(lab.client, "web1.home.example", "web 1")


def test_the_control_socket_and_the_daemon_stop_and_start_in_one_go(lab):
    """However the two are restarted together, members get through afterwards."""
    units = "p2prcd-control.socket p2prcd.service"
    for command in (f"systemctl restart {units}", f"systemctl stop {units}; systemctl start {units}",
                    "systemctl restart p2prcd-control.socket", "systemctl stop p2prcd.service p2prcd-control.socket; systemctl start p2prcd.service"):
        lab.root.run(command, check=False)
        wait_until(lambda: lab.root.active("p2prcd-control.socket") and lab.root.active("p2prcd.service"), 30, f"both units after {command}")
        lab.home1.run("systemctl restart p2prcd.service")
        wait_until(lambda: lab.home1.json("status")["reachable"], 60, f"the root to be reachable after {command}")
