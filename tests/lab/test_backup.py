"""The backup that the manual describes, on a root that has members: taken while they knock, and put back."""

from lab import wait_until
from lab.household import domain, info, main_pid, make_fleet, spin, wait_executed

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
    for name in ("doomed", "ended", "replaced"):
        spin(lab.home1, name, SLEEP)
    lab.home1.p2prc("map-domain", "one.home.example", "one")
    lab.home1.p2prc("map-domain", "given.home.example", "one")


def linked(machine):
    return wait_until(lambda: machine.p2prc("status", "-o", "json", check=False).json()["reachable"], 60, f"{machine.name}'s link to be back")


def names(machine):
    return {process["name"] for process in machine.json("ps")}


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
    # Since the copy: a process that the copy does not know, and one that took the place and the file of another.
    spin(lab.home1, "younger", SLEEP)
    lab.root.p2prc("kill", "doomed")
    lab.home1.p2prc("kill", "replaced")
    spin(lab.home1, "replaced", SLEEP)
    since = {name: (main_pid(lab.home1, name), info(lab.root, name)["id"]) for name in ("younger", "replaced")}
    # Domains: of a process that the copy knows, and one that is another's afterwards.
    lab.root.p2prc("map-domain", "new.home.example", "one")
    lab.root.p2prc("map-domain", "lost.home.example", "one")
    lab.root.p2prc("unmap-domain", "given.home.example")
    before = {name: info(lab.root, name)["id"] for name in ("rooted", "one", "two")}
    mapped = domain(lab.root, "one.home.example")
    lab.root.run(BEGIN)
    wait_until(lambda: not lab.home1.p2prc("status", "-o", "json", check=False).json()["reachable"], 60, "home1 to miss the root")
    lab.home1.p2prc("kill", "ended")
    lab.home1.run("systemctl mask --runtime --now p2prcd.service")
    lab.root.run("rm -rf /var/lib/p2prc && cp -a /var/lib/p2prc.copy /var/lib/p2prc")
    lab.root.run(END)
    linked(lab.home2)
    # Somebody is quicker than home1.
    spin(lab.root, "shop", SLEEP, port=0, wait=False)
    lab.root.p2prc("map-domain", "lost.home.example", "shop")
    lab.root.p2prc("unmap-domain", "given.home.example")
    lab.home1.run("systemctl unmask --runtime p2prcd.service && systemctl start p2prcd.service")
    linked(lab.home1)
    for name in ("rooted", "one", "two", "younger", "replaced"):
        wait_executed(lab.root, name, timeout=60)
    assert {name: info(lab.root, name)["id"] for name in before} == before
    assert domain(lab.root, "one.home.example")["process"] == mapped["process"]
    assert pids(lab) == running, "nothing that ran was touched"
    wait_until(lambda: {name: (main_pid(lab.home1, name), info(lab.root, name)["id"]) for name in since} == since, 30, "what is younger to be as it was")


def test_what_was_killed_since_the_copy_stays_killed(lab):
    for machine in (lab.root, lab.home1):
        wait_until(lambda machine=machine: not names(machine) & {"doomed", "ended"}, 60, "the kills to reach the registry again")
    for name in ("doomed", "ended"):
        assert not lab.home1.active(f"p2prc-{name}.service")
    spin(lab.home1, "doomed", SLEEP)
    wait_executed(lab.root, "doomed")


def test_what_was_mapped_since_the_copy_is_mapped(lab):
    wait_until(lambda: (domain(lab.root, "new.home.example") or {}).get("process") == "one", 60, "the domain to be back")
    assert domain(lab.root, "lost.home.example")["process"] == "shop"
    assert not domain(lab.root, "given.home.example")

    def problem(machine):
        problems = machine.p2prc("status", "-o", "json", check=False).json()["problems"]
        return next((one for one in problems if one["subject"] == "domain lost.home.example of one"), None)
    for machine in (lab.root, lab.home1):
        said = wait_until(lambda machine=machine: problem(machine), 30, "the domain that another has to be named")
        assert "'shop'" in said["cause"] and "unmap-domain" in said["hint"], said
    lab.root.p2prc("unmap-domain", "lost.home.example")
    wait_until(lambda: (domain(lab.root, "lost.home.example") or {}).get("process") == "one", 30, "the domain to be one's again")
    wait_until(lambda: not problem(lab.root), 30, "the problem to be gone")
