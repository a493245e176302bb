"""Ports: what a conquered root, and whoever binds a port first, can have published or overheard. Nothing."""

import json

from lab import LabError, wait_until
from lab.conquered import conquered
from lab.household import domain, info, make_fleet, spin, trust_fleet, wait_https, wait_state, web

MACHINES = ["root", "client", "acme", "home1"]

# Binds the port as soon as it is free, and keeps what it is told.
SQUATTER = """
import http.server, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        open("/root/overheard", "a").write(self.headers.as_string())
        self.send_response(200); self.end_headers(); self.wfile.write(b"ATTACKER")
    def log_message(self, *words): pass
while True:
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
        break
    except OSError:
        time.sleep(0.001)
open("/root/squatting", "w").close()
server.serve_forever()
"""


def setup(lab):
    make_fleet(lab, "home1")
    trust_fleet(lab, lab.client)
    spin(lab.home1, "web", web("here is web"), port=0, domain="web.home.example")
    wait_https(lab.client, "web.home.example", "here is web")
    lab.home1.run("mkdir -p /srv/private && echo LOOPBACK-ONLY >/srv/private/index.html && "
                  "systemd-run -u private python3 -m http.server 9999 --bind 127.0.0.1 --directory /srv/private")
    wait_until(lambda: lab.home1.ok("curl -sf http://127.0.0.1:9999/"), 20, "the private service to answer")


def asked(lab, name):
    """Whatever a visitor is answered, certificates apart."""
    result = lab.client.run(["curl", "-sk", "--max-time", "5", "-H", "Cookie: session=SECRET", f"https://{name}/"], check=False)
    return result.out + result.err


def wait_reason(lab, name, words, timeout=30):
    def seen():
        known = domain(lab.home1, name)
        if not known or words not in (known["reason"] or ""):
            raise LabError(f"{known}")
        return known
    return wait_until(seen, timeout, f"the reason of {name} to name {words!r}")


def test_a_conquered_root_publishes_no_port_of_a_home_that_runs_nothing_for_others(lab):
    lab.home1.write("/etc/p2prc/p2prcd.toml", '[remote]\nspin = "no"\n')
    lab.home1.run("systemctl reload p2prcd.service")
    with conquered(lab.root) as registry:
        process = json.loads(json.dumps(registry.get("/processes/web")))
        mapping = json.loads(json.dumps(registry.get("/domains/web.home.example")))
        for number, (name, tls) in enumerate((("exposed", "node"), ("raw", "passthrough"))):
            fake = json.loads(json.dumps(process))
            fake.update(id=9000 + number, name=name, port=9999)
            fake["spec"].update(name=name, port=9999)
            registry.put(f"/processes/{name}", fake)
            registry.put(f"/domains/{name}.home.example", {**mapping, "mapping_id": 9000 + number, "domain": f"{name}.home.example", "process": name,
                                                           "process_id": 9000 + number, "port": 9999, "tls": tls})
    wait_until(lambda: domain(lab.home1, "exposed.home.example"), 30, "home1 to hear of it")
    wait_until(lambda: domain(lab.home1, "exposed.home.example")["state"] == "failed", 30, "home1 to refuse it")
    wait_https(lab.client, "web.home.example", "here is web")  # the tunnel is there
    for name in ("exposed", "raw"):
        assert "LOOPBACK-ONLY" not in asked(lab, f"{name}.home.example"), name
        assert domain(lab.home1, f"{name}.home.example")["state"] != "live"
    plain = lab.client.run(["sh", "-c", f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | timeout 5 nc {lab.root.address} 443"], check=False).out
    assert "LOOPBACK-ONLY" not in plain


def test_a_conquered_root_moves_no_process_of_the_home_to_another_port(lab):
    with conquered(lab.root) as registry:
        process, mapping = registry.get("/processes/web"), registry.get("/domains/web.home.example")
        before = process["port"]
        registry.put("/processes/web", {**process, "port": 9999})
        registry.put("/domains/web.home.example", {**mapping, "port": 9999})
    wait_reason(lab, "web.home.example", "9999")
    assert "LOOPBACK-ONLY" not in asked(lab, "web.home.example")
    with conquered(lab.root) as registry:
        registry.put("/processes/web", {**registry.get("/processes/web"), "port": before})
        registry.put("/domains/web.home.example", {**registry.get("/domains/web.home.example"), "port": before})
    wait_https(lab.client, "web.home.example", "here is web")


def test_whoever_takes_a_port_first_gets_no_visitor(lab):
    port = info(lab.home1, "web")["port"]
    lab.home1.write("/root/squatter.py", SQUATTER)
    lab.home1.run(["systemd-run", "-u", "squatter", "/usr/bin/python3", "/root/squatter.py", str(port)])
    lab.home1.p2prc("stop", "web")
    wait_until(lambda: lab.home1.ok("test -e /root/squatting"), 30, "the squatter to have the port")
    for _ in range(10):
        assert "ATTACKER" not in asked(lab, "web.home.example")
    lab.home1.p2prc("start", "web", check=False)
    for _ in range(20):
        assert "ATTACKER" not in asked(lab, "web.home.example")
    assert domain(lab.home1, "web.home.example")["state"] != "live"
    assert not lab.home1.ok("test -e /root/overheard"), lab.home1.read("/root/overheard")
    lab.home1.run("systemctl stop squatter")
    lab.home1.p2prc("restart", "web", check=False)
    wait_state(lab.home1, "web", "running")
    wait_https(lab.client, "web.home.example", "here is web")


def test_a_port_that_changes_hands_between_two_visitors(lab):
    """The process is killed without a word, and the squatter is quicker than whoever might notice."""
    port = info(lab.home1, "web")["port"]
    lab.home1.run("rm -f /root/squatting")
    lab.home1.run(["systemd-run", "-u", "squatter2", "/usr/bin/python3", "/root/squatter.py", str(port)])
    lab.home1.run("systemctl kill --signal=KILL p2prc-web.service")
    for _ in range(30):
        assert "ATTACKER" not in asked(lab, "web.home.example")
    assert not lab.home1.ok("test -e /root/overheard"), lab.home1.read("/root/overheard")
    lab.home1.run("systemctl stop squatter2", check=False)


def test_a_process_that_took_another_port_is_named(lab):
    lab.home1.run("mkdir -p /srv/admin && echo private admin page >/srv/admin/index.html && "
                  "systemd-run -u admin python3 -m http.server 8110 --bind 127.0.0.1 --directory /srv/admin")
    wait_until(lambda: lab.home1.ok("curl -sf http://127.0.0.1:8110/"), 20, "the admin's server to answer")
    lab.home1.p2prc("spin", "pub", "--port", "8110", "--domain", "pub.home.example", "--", "/usr/bin/python3", "-c", """import http.server as h
for p in range(8110, 8120):
    try: s = h.HTTPServer(("127.0.0.1", p), h.SimpleHTTPRequestHandler); break
    except OSError: pass
s.serve_forever()""", check=False)
    if not info_or_none(lab.home1, "pub"):
        return  # spin itself has refused a port that is taken
    known = wait_reason(lab, "pub.home.example", "port 8110 is held by python3 (uid 0")
    assert known["state"] == "failed", known
    assert "private admin page" not in asked(lab, "pub.home.example")


def info_or_none(machine, name):
    return next((process for process in machine.json("ps") if process["name"] == name), None)
