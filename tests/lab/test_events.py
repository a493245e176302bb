"""What happens in the fleet is told on the bus of every machine, each change once."""

import os
import re
import signal
import subprocess

from lab import LabError, wait_until
from lab.household import domain, make_fleet, spin, web

MACHINES = ["root", "home1"]
EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "dbus")


SITE = "steady.home.example"


class Listener:
    """Keeps what the machine's bus tells, as (kind, object)."""

    def __init__(self, machine):
        self.machine = machine
        self.file = "/root/events"
        self.process = machine.popen(
            ["sh", "-c", f"exec gdbus monitor --system --dest org.p2prc1 --object-path /org/p2prc1 > {self.file}"], stdout=subprocess.DEVNULL)
        wait_until(lambda: self.machine.read(self.file) or None, 20, "gdbus to listen")

    def events(self):
        return re.findall(r"Manager\.Event \(uint64 \d+, '([a-z-]+)', objectpath '([^']+)'", self.machine.read(self.file))

    def wait_for(self, kind, name, times=1, limit=90):
        def seen():
            found = [each for each in self.events() if each[0] == kind and each[1].rsplit("/", 1)[1] == name]
            if len(found) < times:
                raise LabError(f"{self.machine.name} was told {self.events()}")
            return found
        assert len(wait_until(seen, limit, f"{kind} of {name}")) == times, self.events()

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)


def setup(lab):
    make_fleet(lab, "home1")


def process_id(lab, name):
    return str(lab.root.json("info", name)["id"])


def test_every_node_is_told_of_each_change_once(lab):
    listeners = [Listener(lab.root), Listener(lab.home1)]
    try:
        spin(lab.home1, "brief", "sleep 6; exit 3", restart="no")
        brief = process_id(lab, "brief")
        for listener in listeners:
            listener.wait_for("process-running", brief)
            listener.wait_for("process-failed", brief)
        lab.home1.p2prc("kill", "brief")
        for listener in listeners:
            listener.wait_for("process-killed", brief)

        spin(lab.home1, "steady", web("hello"), port=0, domain=SITE)
        steady = process_id(lab, "steady")
        for listener in listeners:
            listener.wait_for("process-running", steady)
            listener.wait_for("domain-live", SITE.replace(".", "_2e"))
        wait_until(lambda: domain(lab.root, SITE)["state"] == "live", 30, f"{SITE} to be live")
        before = [listener.events() for listener in listeners]
        # A daemon, or an edge or a connector, that starts anew changes nothing.
        for machine in (lab.home1, lab.root):
            machine.run(["systemctl", "restart", "p2prcd"])
        lab.root.run(["systemctl", "restart", "p2prc-edge"])
        lab.home1.run(["systemctl", "restart", "p2prc-connector"])
        lab.root.run(["sleep", "35"])
        assert [listener.events() for listener in listeners] == before

        lab.home1.p2prc("restart", "steady")
        for listener in listeners:
            listener.wait_for("process-stopped", steady)
            listener.wait_for("process-running", steady, times=2)
        lab.home1.p2prc("stop", "steady")
        for listener in listeners:
            listener.wait_for("domain-down", SITE.replace(".", "_2e"))
    finally:
        for listener in listeners:
            listener.stop()


def test_a_lost_node_and_its_return(lab):
    listener = Listener(lab.root)
    try:
        lab.home1.power_cut()
        listener.wait_for("node-lost", "home1", limit=120)
        lab.home1.boot()
        listener.wait_for("node-back", "home1", limit=120)
    finally:
        listener.stop()


def test_the_example_says_what_failed(lab):
    lab.home1.install(lab.archive("python3-gi"))
    with open(os.path.join(EXAMPLES, "notify.py"), encoding="utf-8") as file:
        lab.home1.write("/root/notify.py", file.read())
    notifier = lab.home1.popen(["sh", "-c", "exec python3 /root/notify.py > /root/news"], stdout=subprocess.DEVNULL)
    try:
        # It says nothing when it listens.
        lab.home1.run(["sleep", "5"])
        spin(lab.home1, "calendar", "sleep 4; exit 3", restart="no")

        def news():
            return lab.home1.read("/root/news") or None
        assert wait_until(news, 60, "the bad news").startswith("process 'calendar' on 'home1' failed: exit-code 3 (")
    finally:
        os.killpg(notifier.pid, signal.SIGKILL)
