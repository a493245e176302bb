"""The backup that the manual describes, on a root that has members: taken while they knock, and put back."""

from lab import wait_until
from lab.household import domain, info, main_pid, make_fleet, spin, wait_state

MACHINES = ["root", "home1", "home2"]
SLEEP = ["/bin/sleep", "infinity"]
# As in p2prcd(8).
BEGIN = "systemctl mask --runtime --now p2prcd-control.socket p2prcd.service"
END = "systemctl unmask --runtime p2prcd-control.socket p2prcd.service && systemctl start p2prcd.service"


def setup(lab):
    make_fleet(lab, "home1", "home2")
    spin(lab.root, "rooted", SLEEP)
    spin(lab.home1, "one", SLEEP, port=0, wait=False)
    spin(lab.home2, "two", SLEEP)
    lab.home1.p2prc("map-domain", "one.home.example", "one")


def linked(machine):
    return wait_until(lambda: machine.p2prc("status", "-o", "json", check=False).json()["reachable"], 60, f"{machine.name}'s link to be back")


def pids(lab):
    return {name: main_pid(machine, name) for machine, name in ((lab.root, "rooted"), (lab.home1, "one"), (lab.home2, "two"))}


def test_the_daemon_stays_away_while_it_is_copied(lab):
    running = pids(lab)
    assert 0 not in running.values()
    lab.root.run(BEGIN)
    # Members dial again through the edge, people ask: neither may start it.
    for machine in (lab.home1, lab.home2):
        wait_until(lambda machine=machine: not machine.p2prc("status", "-o", "json", check=False).json()["reachable"], 60, "home to miss the root")
        since = machine.run("date +%s").out.strip()
        wait_until(lambda machine=machine, since=since: int(machine.run("date +%s").out) - int(since) >= 5, 30, "home to have dialled again")
    assert lab.root.p2prc("status", check=False).code == 5
    assert not lab.root.active("p2prcd.service") and not lab.root.active("p2prcd-control.socket")
    lab.root.run("cp -a /var/lib/p2prc /var/lib/p2prc.copy")
    assert not lab.root.active("p2prcd.service")
    lab.root.run(END)
    for machine in (lab.home1, lab.home2):
        linked(machine)
    assert pids(lab) == running


def test_it_is_put_back_after_the_disk_was_lost(lab):
    running = pids(lab)
    # Since the copy: a process that the copy does not know.
    spin(lab.home1, "younger", SLEEP)
    younger = main_pid(lab.home1, "younger")
    before = {name: info(lab.root, name)["id"] for name in ("rooted", "one", "two")}
    mapped = domain(lab.root, "one.home.example")
    lab.root.run(BEGIN)
    lab.root.run("rm -rf /var/lib/p2prc && cp -a /var/lib/p2prc.copy /var/lib/p2prc")
    lab.root.run(END)
    for machine in (lab.home1, lab.home2):
        linked(machine)
    for name in ("rooted", "one", "two", "younger"):
        wait_state(lab.root, name, "running", timeout=60)
    assert {name: info(lab.root, name)["id"] for name in before} == before
    assert domain(lab.root, "one.home.example")["process"] == mapped["process"]
    assert pids(lab) == running and main_pid(lab.home1, "younger") == younger, "nothing that ran was touched"
