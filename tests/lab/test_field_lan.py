"""A root in a home's own network, behind a router that does not lead its public address back inside."""

from lab import wait_until
from lab.household import ZONE, domain, invite, join, node_state, spin, web

MACHINES = ["root", "client"]

# Of the router, which nobody in the network reaches from inside.
PUBLIC = "203.0.113.199"


def setup(lab):
    lab.install("client")
    lab.root.run("ip address add 192.168.77.1/24 dev eth0")
    lab.client.run("ip address add 192.168.77.20/24 dev eth0 && ip address add 192.168.78.20/24 dev eth0")
    lab.root.p2prc("init", "--name", "root", "--domain", ZONE, "--public-ip", PUBLIC, "--acme", "none", timeout=120)


def edges(lab):
    """Where the client's connector has a tunnel."""
    findings = lab.client.p2prc("doctor", "-o", "json", check=False).json()
    return [finding["subject"].removeprefix("tunnel ") for finding in findings if finding["subject"].startswith("tunnel 1") and finding["detail"] == "up"]


def test_a_member_beside_the_root_is_served(lab):
    join(lab, lab.client, token=invite(lab))
    assert node_state(lab.root, "client") == "up"
    spin(lab.client, "web", web("beside the root"), port=8080, domain=f"web.{ZONE}")
    wait_until(lambda: domain(lab.client, f"web.{ZONE}")["state"] == "live", 60, "the domain to be live")
    assert edges(lab) == ["192.168.77.1:443"], edges(lab)


def test_it_finds_the_root_at_another_private_address(lab):
    lab.root.run("ip address add 192.168.78.5/24 dev eth0")
    wait_until(lambda: lab.client.ok("grep -qa 192.168.78.5 /var/lib/p2prc/replica.db*"), 60, "the client to be told of it")
    lab.root.run("ip address delete 192.168.77.1/24 dev eth0")
    wait_until(lambda: edges(lab) == ["192.168.78.5:443"], 120, "the tunnel to go to the other address")
    wait_until(lambda: lab.client.json("status")["reachable"], 60, "the link to be up")
    wait_until(lambda: domain(lab.client, f"web.{ZONE}")["state"] == "live", 60, "the domain to be live again")


def test_p2prcd_that_starts_again_keeps_the_tunnel(lab):
    lab.client.run("systemctl restart p2prcd")
    wait_until(lambda: edges(lab) == ["192.168.78.5:443"], 60, "the connector to have reported")
    assert "no session with the edge at 192.168.78.5" not in lab.client.journal("--unit", "p2prc-connector.service")
