"""The process files of examples/, spun as they stand."""

import os

from lab import wait_until
from lab.household import info

MACHINES = ["root", "acme", "client", "home1"]
EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples")

RUN = ["calendar", "website", "static-site", "wsgi", "voice"]
APPLICATION = """
import os

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    with open(os.environ["CREDENTIALS_DIRECTORY"] + "/database", "rb") as file:
        return [file.read()]
"""


def spin(lab, name):
    with open(f"{EXAMPLES}/{name}.toml", encoding="utf-8") as file:
        lab.home1.write(f"/root/{name}.toml", file.read())
    lab.home1.p2prc("spin", f"/root/{name}.toml")


def code(lab, url, *options):
    return lab.client.run(["curl", "-sS", "--max-time", "10", "-o", "/dev/null", "-w", "%{http_code}", *options, url], check=False).out


def test_a_fleet(lab):
    lab.root.p2prc("init", "--name", "root", "--domain", "home.example", "--public-ip", "203.0.113.10", "--acme", "none")
    lab.home1.p2prc("join", lab.root.p2prc("invite").out.strip())
    lab.client.trust(lab.root.p2prc("fleet", "ca").out)


def test_calendar(lab):
    lab.home1.run("printf 'alice:%s\\n' \"$(openssl passwd -apr1 secret)\" | install -D -m 600 /dev/stdin /etc/p2prc/calendar-users")
    spin(lab, "calendar")
    url = "https://calendar.home.example/alice/"
    propfind = ["-X", "PROPFIND", "-H", "Depth: 0"]
    wait_until(lambda: code(lab, url, *propfind, "-u", "alice:secret") == "207", 60, "alice to be let in")
    assert code(lab, url, *propfind, "-u", "alice:wrong") == "401"


def test_website(lab):
    spin(lab, "website")
    lab.home1.run("echo '<h1>ours</h1>' > /var/lib/p2prc-data/website/index.html")
    wait_until(lambda: "ours" in lab.client.run("curl -sS --max-time 10 https://www.home.example/", check=False).out, 60, "the site to be served")


def test_static_site(lab):
    lab.home1.install(lab.archive("busybox"))
    spin(lab, "static-site")
    lab.home1.run("echo '<h1>small</h1>' > /var/lib/p2prc-data/static-site/index.html")
    wait_until(lambda: "small" in lab.client.run("curl -sS --max-time 10 https://static.home.example/", check=False).out, 60, "the site to be served")


def test_wsgi(lab):
    lab.home1.install(lab.archive("gunicorn"))
    lab.home1.run("echo postgresql://nobody | install -D -m 600 /dev/stdin /etc/p2prc/wsgi-database")
    lab.home1.run("mkdir -p /var/lib/p2prc-data/wsgi")
    lab.home1.write("/var/lib/p2prc-data/wsgi/app.py", APPLICATION)
    spin(lab, "wsgi")
    wait_until(lambda: "postgresql://nobody" in lab.client.run("curl -sS --max-time 10 https://app.home.example/", check=False).out, 60,
               "the application to be served")


def test_voice(lab):
    lab.home1.install(lab.archive("mumble-server"))
    lab.home1.run("systemctl stop mumble-server")
    spin(lab, "voice")
    said = lab.home1.run("echo | openssl s_client -connect 127.0.0.1:64738 2>&1", check=False).out
    assert "CN = Murmur" in said, said
    assert "SuperUser" in lab.home1.p2prc("logs", "voice").out


def test_the_others_are_taken(lab):
    """Their programs are not on the lab's machines, which is no matter of the file."""
    for name in sorted(os.listdir(EXAMPLES)):
        if not name.endswith(".toml") or name[:-5] in RUN:
            continue
        with open(f"{EXAMPLES}/{name}", encoding="utf-8") as file:
            lab.home1.write(f"/root/{name}", file.read())
        result = lab.home1.run(["p2prc", "spin", f"/root/{name}", "--dry-run"], check=False)
        assert result.code == 0, (name, result)
