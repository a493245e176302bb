"""The process files of examples/, spun as they stand."""

import os
import re
import tomllib

from lab import wait_until
from lab.household import info

MACHINES = ["root", "acme", "client", "home1"]
EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples")


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


def test_every_example_is_read(lab):
    """Also those whose program is not on the lab's machines: what stops them is the missing program, not the file."""
    for name in sorted(os.listdir(EXAMPLES)):
        if not name.endswith(".toml") or name in ("calendar.toml", "website.toml"):
            continue
        with open(f"{EXAMPLES}/{name}", encoding="utf-8") as file:
            text = file.read()
        lab.home1.write(f"/root/{name}", text)
        process = tomllib.loads(text)
        result = lab.home1.run(["p2prc", "spin", f"/root/{name}"], check=False)
        program = re.search(r"/usr/bin/[\w.-]+", process["run"]["command"])[0]
        if lab.home1.ok(["test", "-x", program]):
            assert result.code == 0, (name, result)
        else:
            # The shell's word for a command that is not there. Whether spin has seen the shell run is chance.
            reason = wait_until(lambda process=process: info(lab.home1, process["name"])["reason"], 20, f"{name} to fail")
            assert reason["code"] == 127 and any(program in line and "not found" in line for line in reason["log"]), (name, reason)
