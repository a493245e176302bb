"""Names: from a client on the Internet to a process at home, over TLS that ends there."""

import json
import os
import signal

from lab import LabError, wait_until
from lab.household import domain, https, main_pid, make_fleet, spin, trust_fleet, wait_https, wait_state, web

MACHINES = ["root", "client", "acme", "home1", "home3"]


# Answers with the sum of all that came, when no more comes.
SUM = """
import hashlib, os, socket
with socket.create_server(("127.0.0.1", int(os.environ["PORT"]))) as server:
    while True:
        connection, _ = server.accept()
        with connection:
            whole = hashlib.sha256()
            while part := connection.recv(65536):
                whole.update(part)
            connection.sendall(whole.hexdigest().encode())
"""

# Sends a ClientHello with this name and then whatever it likes, ends its side, and reads on.
HALF_CLOSE = """
import hashlib, os, socket, ssl, sys
out = ssl.MemoryBIO()
try:
    ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname=sys.argv[2]).do_handshake()
except ssl.SSLWantReadError:
    pass
data = out.read() + os.urandom(30_000_000)
with socket.create_connection((sys.argv[1], 443), 30) as connection:
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
    answer = b"".join(iter(lambda: connection.recv(4096), b""))
assert answer.decode() == hashlib.sha256(data).hexdigest(), answer
"""


def setup(lab):
    make_fleet(lab, "home1", "home3")
    trust_fleet(lab, lab.client)


def wait_live(lab, name):
    def seen():
        known = domain(lab.root, name)
        if known["state"] != "live":
            raise LabError(f"{known}")
        return known
    return wait_until(seen, 30, f"{name} to be live")


def answer(lab, name, kind="A", *options):
    """The root's DNS answer, one word a record."""
    return lab.client.run(["dig", "+norec", "+short", f"@{lab.root.address}", name, kind, *options]).out.split()


def error(result):
    return json.loads(result.out)["error"]


def routes_agree(lab):
    """What the edge serves is what the fleet has mapped."""
    def seen():
        mapped = sorted(entry["domain"] for entry in lab.root.json("domains"))
        served = sorted(route["domain"] for route in json.loads(lab.root.read("/var/lib/p2prc-edge/routes.json"))["routes"])
        if mapped != served:
            raise LabError(f"mapped {mapped}, served {served}")
        return True
    wait_until(seen, 30, "the edge's routes to agree with the registry")


def test_everybody_has_the_same_authority(lab):
    authority = lab.root.p2prc("fleet", "ca").out
    assert authority.startswith("-----BEGIN CERTIFICATE-----")
    assert lab.home1.p2prc("fleet", "ca").out == authority


def test_the_root_answers_for_its_zone(lab):
    soa = lab.client.run(["dig", "+norec", f"@{lab.root.address}", "home.example", "SOA"]).out
    assert "status: NOERROR" in soa and " aa" in soa
    assert answer(lab, "home.example", "NS") == ["ns1.home.example."]
    assert answer(lab, "ns1.home.example") == [lab.root.address]
    assert answer(lab, "ns1.home.example", "A", "+tcp") == [lab.root.address]
    missing = lab.client.run(["dig", "+norec", f"@{lab.root.address}", "nobody.home.example"]).out
    assert "status: NXDOMAIN" in missing and "SOA" in missing
    assert "status: REFUSED" in lab.client.run(["dig", "+norec", f"@{lab.root.address}", "example.org"]).out


def test_a_process_behind_one_nat_and_one_behind_two(lab):
    spin(lab.home1, "app", web("here is app"), port=0)
    lab.home1.p2prc("map-domain", "app.home.example")
    spin(lab.home3, "deep", web("here is deep"), port=0, domain="deep.home.example")
    wait_https(lab.client, "app.home.example", "here is app")
    wait_https(lab.client, "deep.home.example", "here is deep")
    for name, node in (("app", "home1"), ("deep", "home3")):
        known = wait_live(lab, f"{name}.home.example")
        assert (known["process"], known["node"], known["tls"]) == (name, node, "node"), known
    assert answer(lab, "app.home.example") == [lab.root.address]
    assert lab.home1.json("info", "app")["domain"] == "app.home.example"
    assert lab.home3.json("info", "app.home.example")["name"] == "app"


def test_mapped_from_afar(lab):
    spin(lab.root, "second", web("here is second"), node="home3", port=0)
    lab.root.p2prc("map-domain", "second.home.example")
    wait_https(lab.client, "second.home.example", "here is second")


def test_a_process_on_the_root_itself(lab):
    spin(lab.root, "own", web("here is own"), port=0, domain="own.home.example")
    wait_https(lab.client, "own.home.example", "here is own")


def test_a_wildcard_of_the_owner(lab):
    lab.root.p2prc("map-domain", "*.wild.home.example", "own")
    wait_https(lab.client, "any.wild.home.example", "here is own")
    assert answer(lab, "other.wild.home.example") == [lab.root.address]


def answered_records(lab, names):
    """What the root's DNS answers for these names and types, as (name, ttl, type, data)."""
    found = set()
    for name, kind in names:
        for line in lab.client.run(["dig", "+norec", "+noall", "+answer", f"@{lab.root.address}", name, kind]).out.splitlines():
            owner, ttl, _, answered, data = line.split(None, 4)
            found.add((owner.rstrip("."), int(ttl), answered, data))
    return found


def test_what_is_listed_is_what_is_answered(lab):
    def listed():
        return {(record["name"], record["ttl"], record["type"], record["data"]) for record in lab.root.json("dns", "records", "home.example")}

    def agree():
        records = listed()
        answers = answered_records(lab, {(name, kind) for name, _, kind, _ in records})
        if records != answers:
            raise LabError(f"only listed {records - answers}, only answered {answers - records}")
        return records
    # The edge tells p2prcd its serial every 30 seconds.
    records = wait_until(agree, 60, "list and answers to agree")
    assert {"SOA", "NS"} <= {kind for name, _, kind, _ in records if name == "home.example"}, records
    assert {name for name, _, kind, _ in records if kind == "A"} > {domain["domain"] for domain in lab.root.json("domains")}, records
    assert {"home.example", "ns1.home.example"} < {name for name, _, kind, _ in records if kind == "A"}, records


def test_the_certificate_is_verified(lab):
    assert lab.client.run(["curl", "-s", "--cacert", "/dev/null", "https://app.home.example/"], check=False).code != 0
    assert lab.home1.run(["curl", "-s", "https://app.home.example/"], check=False).code != 0  # it was never told to trust the fleet


def test_plain_http_is_sent_to_https(lab):
    out = lab.client.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", "http://app.home.example/x?y"]).out
    assert out == "308 https://app.home.example/x?y"
    out = lab.client.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: other.example", f"http://{lab.root.address}/"]).out
    assert out in ("404", "421"), out


def test_unknown_names_get_an_alert(lab):
    refused = lab.client.run(["openssl", "s_client", "-connect", f"{lab.root.address}:443", "-servername", "nobody.home.example"], check=False)
    assert refused.code != 0 and "unrecognized name" in refused.err + refused.out


def test_a_second_claim_names_the_holder(lab):
    spin(lab.home3, "thief", web("thief"), port=0)
    refused = lab.home3.p2prc("map-domain", "app.home.example", "thief", "-o", "json", check=False)
    assert refused.code == 6 and error(refused)["code"] == "DomainTaken", refused
    assert "app" in error(refused)["message"] and "home1" in error(refused)["message"], refused
    lab.home3.p2prc("kill", "thief")
    refused = spin(lab.home3, "burglar", web("burglar"), port=0, domain="APP.home.example.", check=False)
    assert refused.code == 6 and "home1" in refused.err, refused
    assert "burglar" not in {process["name"] for process in lab.root.json("ps")}
    wait_https(lab.client, "app.home.example", "here is app")


def test_bad_names_are_refused(lab):
    for name in ("nodots", "a..b", "1.2.3.4", "a-.home.example"):
        refused = lab.home1.p2prc("map-domain", name, "app", check=False)
        assert refused.code == 7, (name, refused)


def test_names_of_the_owner_are_refused_to_members(lab):
    for name in ("home.example", "ns1.home.example", "_acme-challenge.app.home.example", "*.home.example"):
        refused = lab.home1.p2prc("map-domain", name, "app", check=False)
        assert refused.code in (4, 7), (name, refused)


def test_passthrough_shows_the_applications_own_certificate(lab):
    lab.home1.run(["sh", "-ec", """
        mkdir -p /srv/own && cd /srv/own
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 30 \
            -subj /CN=pass.home.example -addext subjectAltName=DNS:pass.home.example 2>&1
        chmod 644 key.pem"""])
    certificate = lab.home1.read("/srv/own/cert.pem")
    spin(lab.home1, "pass", "exec openssl s_server -accept 127.0.0.1:$PORT -cert /srv/own/cert.pem -key /srv/own/key.pem -www -quiet", port=0)
    lab.home1.p2prc("map-domain", "pass.home.example", "--tls", "passthrough")
    lab.client.write("/root/own.pem", certificate)
    wait_until(lambda: "Cipher" in https(lab.client, "pass.home.example", "/", "--cacert", "/root/own.pem"), 30, "the application's own TLS")


def test_large_bodies_arrive_whole(lab):
    lab.home1.run("mkdir -p /srv/blob && head -c 50000000 /dev/urandom > /srv/blob/blob && chmod 755 /srv/blob")
    spin(lab.home1, "blob", ["/bin/sh", "-c", "exec python3 -m http.server --directory /srv/blob --bind 127.0.0.1 $PORT"], port=0, domain="blob.home.example")
    wait_until(lambda: https(lab.client, "blob.home.example"), 30, "the blob's server")
    fetched = lab.client.run("curl --silent --show-error --fail https://blob.home.example/blob | sha256sum", timeout=120).out
    assert fetched == lab.home1.run("sha256sum < /srv/blob/blob").out


def test_a_half_close_is_carried_through(lab):
    spin(lab.home1, "sum", ["/usr/bin/python3", "-c", SUM], port=0)
    lab.home1.p2prc("map-domain", "sum.home.example", "--tls", "passthrough")
    wait_live(lab, "sum.home.example")
    wait_until(lambda: lab.client.run(["python3", "-c", HALF_CLOSE, lab.root.address, "sum.home.example"], timeout=60).code == 0, 60, "the sum of what was sent")
    for name in ("blob", "sum"):
        lab.home1.p2prc("kill", name)
    lab.home1.p2prc("unmap-domain", "sum.home.example")


def test_a_stopped_process_is_named_and_comes_back(lab):
    lab.home1.p2prc("stop", "app")
    wait_until(lambda: domain(lab.root, "app.home.example")["state"] == "waiting", 20, "the domain to wait")
    assert "stopped" in domain(lab.root, "app.home.example")["reason"]
    lab.home1.p2prc("start", "app")
    wait_https(lab.client, "app.home.example", "here is app")
    wait_live(lab, "app.home.example")


def test_each_program_killed_hard_comes_back(lab):
    process = main_pid(lab.home1, "app")
    for machine, unit in ((lab.root, "p2prc-edge"), (lab.home1, "p2prc-connector"), (lab.root, "p2prcd"), (lab.home1, "p2prcd")):
        pid = machine.unit(f"{unit}.service")["MainPID"]
        machine.run(["kill", "-KILL", pid])
        wait_until(lambda: machine.unit(f"{unit}.service")["MainPID"] not in ("0", pid), 30, f"{unit} to be started again")
        wait_https(lab.client, "app.home.example", "here is app")
        routes_agree(lab)
        wait_live(lab, "app.home.example")
    assert main_pid(lab.home1, "app") == process


def test_without_its_tunnel_a_domain_is_not_live(lab):
    lab.home1.run("systemctl stop p2prc-connector.service")
    try:
        wait_until(lambda: domain(lab.root, "app.home.example")["state"] == "waiting", 20, "the domain to wait")
        assert "tunnel" in domain(lab.root, "app.home.example")["reason"]
        assert lab.home1.p2prc("doctor", check=False).code == 1
    finally:
        lab.home1.run("systemctl start p2prc-connector.service")
    wait_live(lab, "app.home.example")
    wait_https(lab.client, "app.home.example", "here is app")


def test_the_edge_starts_without_the_daemon(lab):
    lab.root.run("systemctl mask --runtime p2prcd.service && systemctl stop p2prcd.service")
    try:
        lab.root.run("systemctl restart p2prc-edge.service")
        assert answer(lab, "app.home.example") == [lab.root.address]
        wait_https(lab.client, "app.home.example", "here is app")
    finally:
        lab.root.run("systemctl unmask --runtime p2prcd.service && systemctl start p2prcd.service")
    wait_live(lab, "app.home.example")
    wait_until(lambda: lab.home1.json("status")["reachable"], 30, "home's link to be back")
    spin(lab.home1, "late", web("here is late"), port=0, domain="late.home.example")
    wait_https(lab.client, "late.home.example", "here is late")
    routes_agree(lab)


def test_power_cuts_on_either_side(lab):
    lab.home1.power_cut()
    assert lab.client.run(["curl", "-s", "--max-time", "3", "https://app.home.example/"], check=False).code != 0
    # The edge finds out, and says so to everybody at once: an alert (curl 35), not a client's own patience (28).
    def alerted():
        return lab.client.run(["curl", "-s", "--max-time", "5", "https://app.home.example/"], check=False).code == 35
    wait_until(alerted, 60, "visitors of a home without power to be told")
    wait_https(lab.client, "deep.home.example", "here is deep")
    lab.home1.boot()
    wait_https(lab.client, "app.home.example", "here is app", timeout=60)
    wait_live(lab, "app.home.example")
    lab.root.power_cut()
    assert lab.home1.json("info", "app")["state"] == "running"
    lab.root.boot()
    for name in ("app", "deep", "own"):
        wait_https(lab.client, f"{name}.home.example", f"here is {name}", timeout=60)
        wait_live(lab, f"{name}.home.example")
    routes_agree(lab)


def test_a_cut_cable(lab):
    lab.home3.link_down()
    wait_until(lambda: not served(lab, "deep"), 60, "deep to be unreachable")
    lab.home3.link_up()
    wait_https(lab.client, "deep.home.example", "here is deep", timeout=60)


def served(lab, name):
    try:
        return https(lab.client, f"{name}.home.example")
    except LabError:
        return None


def test_random_bytes_knock_nothing_over(lab):
    pids = {unit: lab.root.unit(unit)["MainPID"] for unit in ("p2prc-edge.service", "p2prcd.service")}
    lab.client.run(["python3", "-c", f"""
import os, socket
for port in (443, 80, 53):
    for size in (1, 5, 100, 3000):
        for _ in range(20):
            with socket.create_connection(({lab.root.address!r}, port), 5) as connection:
                connection.sendall((bytes([22, 3, 1]) if port == 443 and size > 4 else b"") + os.urandom(size))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
    for size in (0, 1, 11, 12, 40, 600, 1400):
        for _ in range(50):
            udp.sendto(os.urandom(size), ({lab.root.address!r}, 53))
for first in (b"P2PF", b"P2PF" + os.urandom(60)):
    for _ in range(50):
        with socket.create_connection(({lab.root.address!r}, 443), 5) as connection:
            connection.sendall(first)
"""])
    wait_https(lab.client, "app.home.example", "here is app")
    assert {unit: lab.root.unit(unit)["MainPID"] for unit in pids} == pids


def test_killing_frees_the_file_domain_and_keeps_the_mapped_one(lab):
    lab.home3.p2prc("kill", "deep")
    assert domain(lab.root, "deep.home.example") is None
    wait_until(lambda: not answer(lab, "deep.home.example"), 10, "the name to be gone")
    killed = lab.home1.p2prc("kill", "app")
    assert "app.home.example" in killed.err, killed
    wait_until(lambda: domain(lab.root, "app.home.example")["state"] == "waiting", 10, "app's domain to wait")
    spin(lab.home1, "app", web("here is another app"), port=0)
    wait_state(lab.home1, "app", "running")
    wait_https(lab.client, "app.home.example", "here is another app")
    routes_agree(lab)


def test_status_and_doctor_of_a_sound_house(lab):
    for machine in (lab.root, lab.home1):
        said = machine.json("status")
        assert said["problems"] == [], said
        assert said["fleet"]["zone"] == "home.example" and said["reachable"] is True, said
        assert "problem" not in machine.p2prc("status").out
        findings = {finding["subject"]: finding for finding in machine.json("doctor")}
        assert all(finding["state"] != "fail" for finding in findings.values()), findings
        subjects = ["daemon", "dns 203.0.113.10", "delegation of home.example", "p2prcd.service", "p2prc-connector.service", "domain app.home.example", "clock"]
        subjects += ["port 443", "port 80", "port 53", "p2prc-edge.service"] if machine is lab.root else ["link", "tunnel 203.0.113.10:443", "certificate app.home.example"]
        for subject in subjects:
            assert findings[subject]["state"] in ("ok", "warn"), findings
    assert "p2prc-edge" in findings_of(lab.root)["port 443"]["detail"]


def findings_of(machine):
    return {finding["subject"]: finding for finding in machine.p2prc("doctor", "-o", "json", check=False).json()}


def test_doctor_finds_what_is_broken(lab):
    lab.root.run("systemctl stop p2prc-edge.service p2prc-edge.socket")
    try:
        assert lab.root.p2prc("doctor", check=False).code == 1
        found = findings_of(lab.root)
        for subject in ("port 443", "port 80", "port 53", "p2prc-edge.service", "dns 203.0.113.10"):
            assert found[subject]["state"] == "fail" and found[subject]["fix"], found[subject]
        blocker = lab.root.popen(["python3", "-m", "http.server", "80"])
        try:
            wait_until(lambda: "python3" in findings_of(lab.root)["port 80"]["detail"], 10, "the holder of port 80 to be named")
        finally:
            os.killpg(blocker.pid, signal.SIGKILL)
            blocker.wait()
        wait_until(lambda: findings_of(lab.home1)["link"]["state"] == "fail", 30, "home to find its link gone")
    finally:
        lab.root.run("systemctl start p2prc-edge.socket p2prc-edge.service")
    wait_https(lab.client, "app.home.example", "here is another app")
    wait_until(lambda: lab.home1.json("status")["reachable"], 30, "home's link to be back")


def test_without_a_daemon_that_is_what_is_said(lab):
    lab.home1.run("systemctl mask --runtime p2prcd.service && systemctl stop p2prcd.service")
    try:
        assert lab.home1.p2prc("status", check=False).code == 5
        doctor = lab.home1.p2prc("doctor", "-o", "json", check=False)
        found = {finding["subject"]: finding for finding in doctor.json()}
        assert doctor.code == 1 and found["daemon"]["state"] == "fail" and found["daemon"]["fix"], found
        assert found["domains"]["state"] == found["ports"]["state"] == "warn", found
    finally:
        lab.home1.run("systemctl unmask --runtime p2prcd.service && systemctl start p2prcd.service")
    wait_until(lambda: lab.home1.json("status")["reachable"], 30, "home's link to be back")


def test_unmapping_takes_the_name_away_at_once(lab):
    lab.home1.p2prc("unmap-domain", "app.home.example")
    assert domain(lab.root, "app.home.example") is None
    wait_until(lambda: not answer(lab, "app.home.example"), 10, "the name to be gone")
    assert lab.client.run(["curl", "-s", "--resolve", f"app.home.example:443:{lab.root.address}", "https://app.home.example/"], check=False).code != 0
