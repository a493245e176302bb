"""Strangers: malformed bytes on every public port, callers without rights, and programs that go beyond their interface."""

import subprocess

from lab import wait_until
from lab.link import ControlLink, LinkClosed

MACHINES = ["root", "acme", "client", "home1"]

# Bounded: a few thousand connections to the lab's own root node, then it ends. Deterministic, so that a failure can be had again.
NOISE = r'''
import random, socket, sys
target, seed = sys.argv[1], int(sys.argv[2])
random.seed(seed)
hello = bytes.fromhex("16030100c2010000be0303") + bytes(range(32)) + bytes.fromhex("00002613011302c02bc02f010000")
http = b"GET / HTTP/1.1\r\nHost: nothing.home.example\r\n\r\n"
question = bytes.fromhex("123401000001000000000001") + b"\x05first\x04home\x07example\x00\x00\x01\x00\x01\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00"
preface = b"P2PF" + bytes(60)
tables = {443: [hello, http, preface], 80: [http], 53: [len(question).to_bytes(2, "big") + question]}

def mangle(data):
    data = bytearray(data)
    for _ in range(random.randrange(1, 8)):
        what = random.randrange(4)
        at = random.randrange(len(data) + 1)
        if what == 0 and data: data[at % len(data)] = random.randrange(256)
        elif what == 1: data[at:at] = random.randbytes(random.randrange(1, 40))
        elif what == 2: del data[at:at + random.randrange(1, 20)]
        else: data = data * 2
    return bytes(data[:20000])

def tcp(port, data):
    try:
        with socket.create_connection((target, port), 3) as s:
            s.settimeout(0.3)
            s.sendall(data)
            if random.random() < 0.5: s.shutdown(socket.SHUT_WR)
            try: s.recv(4096)
            except TimeoutError: pass
    except OSError: pass

u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(int(sys.argv[3])):
    for port, seeds in tables.items():
        tcp(port, mangle(random.choice(seeds)) if random.random() < 0.8 else random.randbytes(random.randrange(1, 3000)))
    for _ in range(20):
        u.sendto(mangle(question) if random.random() < 0.8 else random.randbytes(random.randrange(1, 600)), (target, 53))
'''


def pss(machine, unit):
    """Proportional set size in KiB of a unit's main process."""
    pid = machine.unit(unit)["MainPID"]
    return int(machine.run(f"awk '/^Pss:/ {{print $2}}' /proc/{pid}/smaps_rollup").out)


def test_a_fleet_with_a_name(lab):
    lab.root.p2prc("init", "--name", "root", "--domain", "home.example", "--public-ip", "203.0.113.10", "--acme", "none")
    lab.home1.p2prc("join", lab.root.p2prc("invite").out.strip())
    lab.client.trust(lab.root.p2prc("fleet", "ca").out)
    lab.home1.run("p2prc spin first --port 8101 --domain first.home.example -- /usr/bin/python3 -m http.server 8101 --bind 127.0.0.1")
    wait_until(lambda: lab.client.ok("curl -sS --max-time 10 -o /dev/null https://first.home.example/"), 60, "first to answer")


def test_malformed_bytes_topple_nothing_and_leave_no_memory(lab):
    lab.client.write("/root/noise.py", NOISE)
    units = {"p2prc-edge.service": lab.root, "p2prcd.service": lab.root}
    pids = {unit: machine.unit(unit)["MainPID"] for unit, machine in units.items()}
    # The first round fills pools and caches; what a second one adds is what would grow for ever.
    lab.client.run("python3 /root/noise.py 203.0.113.10 1 60", timeout=180)
    settled = {unit: pss(machine, unit) for unit, machine in units.items()}
    lab.client.run("python3 /root/noise.py 203.0.113.10 2 120", timeout=300)
    for unit, machine in units.items():
        assert machine.unit(unit)["MainPID"] == pids[unit], f"{unit} was started again"
        assert pss(machine, unit) < settled[unit] + 2048, (unit, settled[unit], pss(machine, unit))
    assert lab.client.run("curl -sS --max-time 20 -o /dev/null -w '%{http_code}' https://first.home.example/").out == "200"


def test_malformed_bytes_behind_the_control_links_alpn(lab):
    """A stranger that names the control protocol gets a TLS handshake of p2prcd's, and no further."""
    key = lab.client.run("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256").out
    for alpn in ("p2prc-control/1", "p2prc-join/1", "p2prc-tunnel/1"):
        for _ in range(5):
            lab.client.run(f"openssl s_client -connect 203.0.113.10:443 -alpn {alpn} -noservername </dev/urandom 2>&1 | head -c 2000", check=False, timeout=30)
        try:
            ControlLink(lab.client, alpn=alpn, key=key).close()
        except LinkClosed as error:
            assert "alert" in str(error), (alpn, error)
        else:
            raise AssertionError(f"{alpn}: a stranger's key was let in")
    assert lab.root.active("p2prcd.service") and lab.root.active("p2prc-edge.service")
    assert lab.home1.ok("p2prc ps")


def test_a_stalled_hello_is_closed_and_others_go_on(lab):
    stalled = lab.client.popen(["python3", "-c", "import socket\nheld = [socket.create_connection(('203.0.113.10', 443)) for _ in range(100)]\n"
                                "[s.sendall(b'\\x16\\x03\\x01') for s in held]\nfor s in held:\n s.settimeout(20)\n try: s.recv(1)\n except ConnectionError: pass\n"])
    assert lab.client.run("curl -sS --max-time 20 -o /dev/null -w '%{http_code}' https://first.home.example/").out == "200"
    assert stalled.wait(60) == 0


def test_edge_and_connector_are_refused_everything_but_their_interface(lab):
    own = {"p2prc-edge": "edge", "p2prc-connector": "connector"}
    calls = [
        "org.p2prc1 /org/p2prc1 org.p2prc1.Manager ListProcess",
        "org.p2prc1 /org/p2prc1 org.p2prc1.Manager KillProcess s first",
        "org.p2prc1 /org/p2prc1 org.freedesktop.DBus.ObjectManager GetManagedObjects",
        "org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager ListUnits",
        "org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager StopUnit ss p2prcd.service fail",
        "org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager ListSessions",
        "org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ListNames",
    ]
    for user, name in own.items():
        other = "connector" if name == "edge" else "edge"
        for call in [*calls, f"org.p2prc1 /org/p2prc1/{other} org.p2prc1.{other.capitalize()} RegisterKey s {'0' * 64}"]:
            result = lab.root.run(f"busctl call {call}", check=False, user=user)
            assert result.code != 0 and "denied" in (result.err + result.out).lower(), (user, call, result)
    # An ordinary user reaches neither of the two.
    for name, method in (("edge", "GetRoutes"), ("connector", "GetMappings")):
        result = lab.root.run(f"busctl call org.p2prc1 /org/p2prc1/{name} org.p2prc1.{name.capitalize()} {method}", check=False, user="nobody")
        assert result.code != 0, result


def test_their_directories_are_their_own(lab):
    for user, path in (("p2prc-edge", "/var/lib/p2prc"), ("p2prc-connector", "/var/lib/p2prc"), ("p2prc-edge", "/var/lib/p2prc-connector"),
                       ("p2prc-connector", "/var/lib/p2prc-edge"), ("nobody", "/var/lib/p2prc")):
        assert not lab.root.ok(f"ls {path}", user=user), (user, path)


def test_units_are_hardened(lab):
    for unit, most in (("p2prc-edge", 1.6), ("p2prc-connector", 1.6), ("p2prcd", 3.0)):
        line = lab.root.run(f"systemd-analyze security --no-pager {unit}.service | tail -1", check=False).out
        exposure = float(line.split(":")[1].split()[0])
        assert exposure <= most, (unit, exposure)


def test_the_edge_survives_a_flood_of_unknown_names(lab):
    before = lab.root.unit("p2prc-edge.service")["MainPID"]
    lab.client.run("for i in $(seq 200); do openssl s_client -connect 203.0.113.10:443 -servername x$i.home.example </dev/null >/dev/null 2>&1; done", check=False, timeout=120)
    assert lab.root.unit("p2prc-edge.service")["MainPID"] == before
    assert lab.client.ok("curl -sS --max-time 20 -o /dev/null https://first.home.example/")


# A client of first.home.example that says nothing, and reports when its connection ends.
HELD = r'''
import socket, ssl
context = ssl.create_default_context()
with context.wrap_socket(socket.create_connection(("first.home.example", 443), 10), server_hostname="first.home.example") as s:
    print("held", flush=True)
    s.settimeout(60)
    try: s.recv(1)
    except ConnectionError: pass
'''


def test_forged_flow_connections_are_closed_and_others_go_on(lab):
    """Somebody without a session's key: wrong MACs, unknown sessions, too much and too little, many at once."""
    lab.client.write("/root/forge.py", r'''
import random, socket, time
def dial(): return socket.create_connection(("203.0.113.10", 443), 5)
random.seed(3)
for size in [36] * 40 + [37, 200, 4000]:
    with dial() as s:
        s.settimeout(10)
        s.sendall(b"P2PF" + random.randbytes(size))
        try: assert s.recv(1) == b"", "answered"
        except ConnectionError: pass
held = []
for i in range(600):
    try:
        s = dial()
        s.sendall(b"P2PF" + random.randbytes(i % 36))
        held.append(s)
    except OSError: pass
print("held", flush=True)
for s in held:
    s.settimeout(20)
    try: assert s.recv(1) == b""
    except ConnectionError: pass
''')
    forger = lab.client.popen(["python3", "/root/forge.py"], stdout=subprocess.PIPE, text=True)
    assert forger.stdout.readline().strip() == "held"
    # From another machine, since one address has its limit: a node's connector, and a client elsewhere.
    for _ in range(3):
        assert lab.home1.ok("curl -sSk --max-time 10 -o /dev/null --resolve first.home.example:443:203.0.113.10 https://first.home.example/")
    assert forger.wait(90) == 0
    assert lab.client.ok("curl -sS --max-time 20 -o /dev/null https://first.home.example/")


def test_half_open_tunnels_of_one_address_keep_no_connector_out(lab):
    hello = lab.client.popen(["python3", "-c", "import socket, ssl\n"
                              "context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE\n"
                              "context.set_alpn_protocols(['p2prc-tunnel/1'])\nheld = []\n"
                              "for _ in range(100):\n"
                              " into, out = ssl.MemoryBIO(), ssl.MemoryBIO(); tls = context.wrap_bio(into, out)\n"
                              " try: tls.do_handshake()\n except ssl.SSLWantReadError: pass\n"
                              " s = socket.create_connection(('203.0.113.10', 443)); s.sendall(out.read()); held.append(s)\n"
                              "print('held', flush=True)\n"
                              "for s in held:\n s.settimeout(20)\n try:\n  while s.recv(4096): pass\n except ConnectionError: pass\n"], stdout=subprocess.PIPE, text=True)
    assert hello.stdout.readline().strip() == "held"
    lab.home1.run("systemctl restart p2prc-connector.service")
    wait_until(lambda: lab.home1.ok("curl -sSk --max-time 5 -o /dev/null --resolve first.home.example:443:203.0.113.10 https://first.home.example/"), 30, "the way home")
    assert hello.wait(90) == 0


def test_a_removed_node_is_cut_off_with_everybody_who_is_being_carried_to_it(lab):
    held = lab.client.popen(["python3", "-c", HELD], stdout=subprocess.PIPE, text=True)
    assert held.stdout.readline().strip() == "held"
    lab.root.p2prc("nodes", "rm", "home1")
    assert held.wait(30) == 0
    assert not lab.client.ok("curl -sS --max-time 5 -o /dev/null https://first.home.example/")
