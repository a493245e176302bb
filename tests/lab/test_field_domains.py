"""Domains as households meet them: a delegation that is not there yet, a home without IPv6, programs that listen elsewhere or late."""

from lab import LabError, wait_until
from lab.household import domain, invite, join, spin, wait_https, web

MACHINES = ["root", "client", "acme", "home1"]
V6 = "2001:db8:113::10"

LATE = """
import http.server, os, time
while not os.path.exists("/srv/now"):
    time.sleep(0.1)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def setup(lab):
    lab.acme.run("rm /etc/unbound/zones/home.example.conf && systemctl restart unbound")
    url = lab.pebble()
    lab.root.p2prc("init", "--name", "root", "--domain", "home.example", "--public-ip", lab.root.address, "--public-ip", V6, "--acme", url, timeout=120)
    join(lab, lab.home1, invite(lab))
    lab.client.trust(lab.acme_root())


def wait_domain(machine, name, state, words="", timeout=60):
    def seen():
        known = domain(machine, name)
        if not known or known["state"] != state or words not in (known["reason"] or ""):
            raise LabError(f"{known}")
        return known
    return wait_until(seen, timeout, f"{name} to be {state} ({words})")


def orders(lab):
    """Runs of the ACME client on home1."""
    return lab.home1.run("journalctl -o cat --no-pager | grep -c 'Starting.*p2prcd-acme-\\|Starting Certificate for' || true").out.strip()


def answer(lab, name, *options):
    return lab.client.run(["curl", "-sS", "--max-time", "30", "-i", *options, f"https://{name}/"], check=False)


def test_no_order_before_the_zone_is_delegated(lab):
    spin(lab.home1, "app", web("here is app"), port=0, domain="app.home.example")
    known = wait_domain(lab.home1, "app.home.example", "waiting", "home.example is not delegated to this root yet")
    assert "ns1.home.example" in known["reason"], known
    assert orders(lab) == "0", lab.home1.journal(lines=50)


def test_a_certificate_soon_after_the_delegation(lab):
    """The root has an IPv6 address, and home1 cannot reach it."""
    assert "default" not in lab.home1.run("ip -6 route show default").out
    lab.delegate("home.example")
    wait_domain(lab.home1, "app.home.example", "live", timeout=180)
    wait_https(lab.client, "app.home.example", "here is app")


def test_a_name_outside_the_zone_holds_up_nobody(lab):
    lab.delegate("other.example")
    mapped = lab.root.p2prc("map-domain", "blog.other.example", "app", check=False)
    if mapped.code == 0:
        wait_domain(lab.root, "blog.other.example", "failed", "passthrough")
    spin(lab.home1, "good", web("here is good"), port=0, domain="good.home.example")
    wait_domain(lab.home1, "good.home.example", "live")
    if mapped.code == 0:
        lab.root.p2prc("unmap-domain", "blog.other.example")


def test_one_that_listens_on_the_loopback_of_ipv6_alone(lab):
    lab.home1.p2prc("spin", "six", "--port", "8103", "--domain", "six.home.example", "--", "/usr/bin/python3", "-m", "http.server", "8103", "--bind", "::1")
    wait_domain(lab.home1, "six.home.example", "live")
    assert "200" in answer(lab, "six.home.example").out.splitlines()[0]


def test_one_that_does_not_listen_yet_has_a_page(lab):
    lab.home1.p2prc("spin", "late", "--no-wait", "--port", "8104", "--domain", "late.home.example", "--", "/usr/bin/python3", "-c", LATE)
    wait_domain(lab.home1, "late.home.example", "waiting", "nothing listens on 127.0.0.1:8104")
    wait_until(lambda: "503" in answer(lab, "late.home.example").out, 60, "visitors to get a page")
    page = answer(lab, "late.home.example")
    assert page.code == 0 and "home1" not in page.out and "8104" not in page.out, page
    assert "503" in answer(lab, "late.home.example", "-X", "POST", "-d", "x" * 1000).out
    lab.home1.run("touch /srv/now")
    wait_until(lambda: "200" in answer(lab, "late.home.example").out, 60, "it to be served")
    wait_domain(lab.home1, "late.home.example", "live")


def test_plain_http_behind_passthrough_is_not_live(lab):
    lab.home1.p2prc("spin", "plain", "--port", "8106", "--", "/usr/bin/python3", "-m", "http.server", "8106", "--bind", "127.0.0.1")
    lab.home1.p2prc("map-domain", "plain.home.example", "--tls", "passthrough")
    wait_domain(lab.home1, "plain.home.example", "failed", "the process does not answer with TLS")
    problem = next(p for p in lab.home1.p2prc("status", "-o", "json", check=False).json()["problems"] if p["subject"] == "domain plain.home.example")
    assert "p2prc map-domain plain.home.example plain" in problem["hint"], problem
    assert answer(lab, "plain.home.example").code == 35
    # Its log is not filled by probes: one of the mapping, and the visitor's.
    seen = lab.home1.p2prc("logs", "plain").out
    assert 1 <= seen.count("code 400") <= 3, seen
    lab.home1.p2prc("map-domain", "plain.home.example")
    wait_domain(lab.home1, "plain.home.example", "live", timeout=180)
    lab.home1.p2prc("kill", "plain")
    lab.home1.p2prc("unmap-domain", "plain.home.example")


def test_one_that_is_stopped_has_a_page_too(lab):
    lab.home1.p2prc("stop", "late")
    wait_until(lambda: "503" in answer(lab, "late.home.example").out, 30, "visitors to get a page")
    wait_domain(lab.home1, "late.home.example", "waiting", "stopped")
    lab.home1.p2prc("start", "late")
    wait_until(lambda: "200" in answer(lab, "late.home.example").out, 30, "it to be served again")


def test_a_transfer_goes_on_while_the_connector_is_restarted(lab):
    lab.home1.run("mkdir -p /srv/blob && head -c 200M /dev/urandom >/srv/blob/blob && chmod 755 /srv/blob")
    lab.home1.p2prc("spin", "blob", "--port", "8105", "--domain", "blob.home.example", "--", "/usr/bin/python3", "-m", "http.server", "8105",
                    "--bind", "127.0.0.1", "--directory", "/srv/blob")
    wait_domain(lab.home1, "blob.home.example", "live")
    lab.client.run("rm -f /root/blob")
    download = lab.client.popen(["curl", "-sS", "--fail", "--limit-rate", "15M", "-o", "/root/blob", "https://blob.home.example/blob"])
    wait_until(lambda: lab.client.ok("test $(stat -c %s /root/blob) -gt 1000000"), 30, "the download to be under way")
    before = lab.home1.unit("p2prc-connector.service")["MainPID"]
    lab.home1.run("systemctl restart p2prc-connector.service")
    assert lab.home1.unit("p2prc-connector.service")["MainPID"] not in ("0", before)
    assert download.poll() is None, "the download is over already"
    # Others are served by the new one meanwhile.
    wait_https(lab.client, "app.home.example", "here is app")
    assert download.wait(120) == 0
    assert lab.client.run("sha256sum </root/blob").out == lab.home1.run("sha256sum </srv/blob/blob").out
    wait_until(lambda: len(lab.home1.run("pgrep -u p2prc-connector -f p2prc-connector").out.split()) == 1, 90, "the old connector to have gone")


def test_a_domain_of_a_node_that_is_not_heard_of_is_not_live(lab):
    lab.home1.link_down()
    try:
        known = wait_until(lambda: (known := domain(lab.root, "app.home.example"))["state"] != "live" and known, 90, "the root to notice")
        assert "home1" in known["reason"], known
    finally:
        lab.home1.link_up()
    wait_domain(lab.root, "app.home.example", "live", timeout=90)
