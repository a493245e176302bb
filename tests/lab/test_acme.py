"""Certificates by ACME: a real ACME server, DNS-01 in the house's own zone, keys that never leave home."""

from lab import LabError, wait_until
from lab.household import domain, https, make_fleet, spin, wait_https, web

MACHINES = ["root", "client", "acme", "home1", "home3"]


def setup(lab):
    make_fleet(lab, "home1", "home3", acme=lab.pebble())
    lab.client.trust(lab.acme_root())


def wait_live(lab, name, timeout=60):
    def seen():
        known = domain(lab.root, name)
        if known["state"] != "live":
            raise LabError(f"{known}")
        return known
    return wait_until(seen, timeout, f"{name} to be live")


def certificate(lab, name, what):
    shown = f"openssl s_client -connect {lab.root.address}:443 -servername {name} </dev/null 2>/dev/null | openssl x509 -noout -{what}"
    return lab.client.run(shown, check=False).out.strip()


def challenges(lab, name):
    return lab.client.run(["dig", "+norec", "+short", f"@{lab.root.address}", f"_acme-challenge.{name}", "TXT"]).out.split()


def test_a_certificate_by_acme(lab):
    spin(lab.home1, "app", web("here is app"), port=0, domain="app.home.example")
    wait_https(lab.client, "app.home.example", "here is app", timeout=60)
    wait_live(lab, "app.home.example")
    assert "Pebble" in certificate(lab, "app.home.example", "issuer")


def test_the_next_name_of_the_same_home(lab):
    spin(lab.home1, "next", web("here is next"), port=0, domain="next.home.example")
    wait_https(lab.client, "next.home.example", "here is next", timeout=60)


def test_behind_two_nats(lab):
    spin(lab.home3, "deep", web("here is deep"), port=0, domain="deep.home.example")
    wait_https(lab.client, "deep.home.example", "here is deep", timeout=60)


def test_a_wildcard_beside_a_name_of_another_node(lab):
    """Both prove the same identifier, each by its own node."""
    spin(lab.root, "own", web("here is own"), port=0)
    lab.root.p2prc("map-domain", "*.app.home.example", "own")
    wait_https(lab.client, "any.app.home.example", "here is own", timeout=60)
    wait_live(lab, "*.app.home.example")
    wait_https(lab.client, "app.home.example", "here is app")


def test_the_challenges_are_gone_afterwards(lab):
    for name in ("app.home.example", "deep.home.example"):
        wait_until(lambda name=name: not challenges(lab, name), 20, f"the challenge for {name} to be removed")


def test_a_challenge_is_published_for_an_own_name_only(lab):
    stolen = "stolen".ljust(43, "A")  # as long as the digest of a key authorisation

    def publish(machine, name, user="p2prc-connector"):
        return machine.run(["busctl", "call", "org.p2prc1", "/org/p2prc1_internal/connector", "org.p2prc1.Connector", "PublishChallenge", "ss", name, stolen], user=user, check=False)
    for name in ("deep.home.example", "*.app.home.example", "nobody.home.example", "home.example"):
        refused = publish(lab.home1, name)
        assert refused.code != 0, (name, refused)
        assert stolen not in " ".join(challenges(lab, name.removeprefix("*."))), name
    assert publish(lab.home1, "app.home.example", user="nobody").code != 0
    assert publish(lab.home1, "app.home.example").code == 0
    wait_until(lambda: f'"{stolen}"' in challenges(lab, "app.home.example"), 10, "its own challenge to be published")
    lab.home1.run(["busctl", "call", "org.p2prc1", "/org/p2prc1_internal/connector", "org.p2prc1.Connector", "RemoveChallenge", "ss", "app.home.example", stolen], user="p2prc-connector")
    wait_until(lambda: not challenges(lab, "app.home.example"), 10, "it to be removed")


def test_no_key_of_a_name_is_on_the_root(lab):
    keys = lab.root.run("grep -rls 'PRIVATE KEY' /var/lib/p2prc* /etc/p2prc || true").out.split()
    assert not [key for key in keys if "deep.home.example" in key or "/app.home.example" in key and "wildcard" not in key], keys
    assert lab.home1.run("grep -rls 'PRIVATE KEY' /var/lib/p2prc-connector").out


def test_the_certificate_outlives_a_power_cut_and_the_acme_server(lab):
    before = certificate(lab, "app.home.example", "serial")
    lab.acme.run("systemctl stop pebble.service")
    lab.home1.power_cut()
    lab.home1.boot()
    wait_https(lab.client, "app.home.example", "here is app", timeout=60)
    lab.home1.run("systemctl restart p2prc-connector.service")
    wait_https(lab.client, "app.home.example", "here is app", timeout=60)
    assert certificate(lab, "app.home.example", "serial") == before
    assert https(lab.client, "deep.home.example")


def test_a_failure_is_told_and_mended(lab):
    """The ACME server is off since the test before."""
    spin(lab.home1, "late", web("here is late"), port=0, domain="late.home.example")
    wait_until(lambda: domain(lab.root, "late.home.example")["state"] == "failed", 60, "the domain to have failed")
    reason = domain(lab.root, "late.home.example")["reason"]
    assert "certificate" in reason, reason
    doctor = lab.home1.p2prc("doctor", "-o", "json", check=False)
    found = {finding["subject"]: finding for finding in doctor.json()}["domain late.home.example"]
    assert doctor.code == 1 and found["state"] == "fail" and found["fix"], found
    assert any("late.home.example" in problem["cause"] for problem in lab.home1.json("status")["problems"])
    lab.pebble()
    wait_live(lab, "late.home.example", timeout=90)
    lab.client.trust(lab.acme_root())
    wait_https(lab.client, "late.home.example", "here is late")
