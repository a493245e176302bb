"""Fleets in the field: ports that others hold, a root that moves, damaged databases, a node that was removed."""

from lab import acme, wait_until
from lab.household import ZONE, invite, join, make_fleet, make_root, node_state, spin, state, wait_state

MACHINES = ["root", "acme", "home1"]

OLD_WEB = """[Service]
ExecStart=/usr/bin/python3 -m http.server 443
[Install]
WantedBy=multi-user.target
"""


def setup(lab):
    lab.root.write("/etc/systemd/system/oldweb.service", OLD_WEB)
    lab.root.run("systemctl daemon-reload && systemctl enable --now oldweb")
    wait_until(lambda: lab.root.ok("ss -Hltn 'sport = :443' | grep -q ."), 20, "the old web server to listen")


def test_init_names_who_holds_the_port_and_changes_nothing(lab):
    refused = lab.root.p2prc("init", "--name", "root", "--domain", "home.example", "--public-ip", lab.root.address, "--acme", "none",
                             check=False, timeout=120)
    assert refused.code != 0
    assert "port 443" in refused.err and "oldweb.service" in refused.err and "python3" in refused.err, refused.err
    assert lab.root.run("ls /var/lib/p2prc/roles").out == ""
    assert not lab.root.json("status")["fleet"].get("zone")
    lab.root.reboot()
    wait_until(lambda: lab.root.active("oldweb"), 30, "the old web server to be up after the boot")
    assert not lab.root.active("p2prc-edge.socket")
    lab.root.run("systemctl disable --now oldweb")
    wait_until(lambda: lab.root.ok("p2prc status"), 30, "p2prcd to be up")
    make_root(lab)
    assert lab.root.active("p2prc-edge.socket") and lab.root.active("p2prc-edge")
    # Said again, its own sockets are no obstacle.
    make_root(lab)
    join(lab, lab.home1)
    spin(lab.home1, "steady", ["/bin/sleep", "infinity"])
    wait_state(lab.home1, "steady", "running")


def overwrite(machine, name):
    """Garbage over all pages but the first of a database of a stopped p2prcd."""
    machine.run("systemctl stop p2prcd")
    machine.run(f"""python3 - <<'P'
import os
file = "/var/lib/p2prc/{name}"
size = os.path.getsize(file)
with open(file, "r+b") as f:
    f.seek(512)
    f.write(b"x" * (size - 512))
P""")
    machine.run("systemctl start p2prcd", timeout=60)


def test_a_home_with_a_damaged_own_database_goes_on(lab):
    before = lab.home1.unit("p2prc-steady.service")["MainPID"]
    overwrite(lab.home1, "own.db")
    wait_state(lab.home1, "steady", "running")
    assert lab.home1.unit("p2prc-steady.service")["MainPID"] == before
    wait_until(lambda: lab.home1.json("status")["reachable"], 30, "home1's link to be back")
    assert any("own.db" in problem["cause"] for problem in lab.home1.json("status")["problems"])
    assert lab.home1.ok("ls /var/lib/p2prc/own.db.damaged-*")
    lab.home1.run("rm /var/lib/p2prc/own.db.damaged-*")
    assert not any("own.db" in problem["cause"] for problem in lab.home1.json("status")["problems"])


def test_a_root_with_a_damaged_registry_keeps_its_members(lab):
    before = lab.home1.unit("p2prc-steady.service")["MainPID"]
    overwrite(lab.root, "registry.db")
    wait_until(lambda: node_state(lab.root, "home1") == "up", 60, "home1 to be connected")
    wait_until(lambda: lab.home1.json("status")["reachable"], 60, "home1's link to be back")
    assert state(lab.root, "steady") == "running"
    assert lab.home1.unit("p2prc-steady.service")["MainPID"] == before
    assert any("registry.db" in problem["cause"] for problem in lab.root.json("status")["problems"])
    spin(lab.home1, "later", ["/bin/sleep", "infinity"])
    wait_state(lab.root, "later", "running")


CUT_A_ROW = """python3 - <<'P'
import sqlite3
with sqlite3.connect("/var/lib/p2prc/registry.db") as database:
    assert database.execute("UPDATE items SET value = substr(value, 1, 20) WHERE key = CAST('/processes/steady' AS BLOB)").rowcount == 1
P"""


def test_a_root_with_a_damaged_row_names_it_and_goes_on(lab):
    before = lab.home1.unit("p2prc-steady.service")["MainPID"]
    lab.root.run("systemctl stop p2prcd")
    lab.root.run(CUT_A_ROW)
    lab.root.run("systemctl start p2prcd", timeout=60)
    wait_until(lambda: node_state(lab.root, "home1") == "up", 60, "home1 to be connected")
    assert state(lab.root, "steady") == "running"
    assert lab.home1.unit("p2prc-steady.service")["MainPID"] == before
    said = [problem for problem in lab.root.json("status")["problems"] if "/processes/steady" in problem["cause"]]
    assert said and "taken from this node's copy" in said[0]["cause"], lab.root.json("status")["problems"]
    lab.root.run("rm /var/lib/p2prc/registry.rows.damaged-*")
    assert not any("/processes/steady" in problem["cause"] for problem in lab.root.json("status")["problems"])


def test_a_root_that_moved_is_found(lab):
    lab.root.change_address(11)
    moved = lab.root.run("ip -4 -o address show scope global").out
    assert "203.0.113.11" in moved, moved
    lab.root.p2prc("init", "--public-ip", "203.0.113.11", timeout=120)
    lab.home1.p2prc("join", "-", input=invite(lab) + "\n", timeout=60)
    assert lab.home1.json("status")["reachable"]
    assert node_state(lab.root, "home1") == "up"


def test_a_root_that_moved_is_found_by_dns_alone(lab):
    """Nobody at home does anything: neither the replica nor the invitation has the address that the zone's servers tell."""
    lab.root.change_address(12)
    lab.root.p2prc("init", "--public-ip", "203.0.113.12", timeout=120)
    assert "203.0.113.12" not in lab.home1.read("/var/lib/p2prc/fleet.json")
    wait_until(lambda: not lab.home1.json("status")["reachable"], 30, "home1 to have lost its link")
    acme.delegate(lab.acme, ZONE, "203.0.113.12")
    wait_until(lambda: lab.home1.json("status")["reachable"], 150, "home1 to find the root")
    wait_until(lambda: node_state(lab.root, "home1") == "up", 60, "home1 to be connected")
    spin(lab.home1, "afterwards", ["/bin/sleep", "infinity"])
    wait_state(lab.root, "afterwards", "running")


def test_an_unattended_upgrade_interrupts_nobody(lab):
    """What an upgrade of a library leaves behind: programs that run from files which are gone. needrestart restarts their units."""
    kept = {lab.root: ["p2prc-edge"], lab.home1: ["p2prc-connector", "p2prc-steady"]}
    for machine, units in kept.items():
        machine.install(lab.archive("needrestart"))
        wait_until(lambda m=machine, u=units: all(m.active(unit) for unit in u), 30, f"{units} to run")
        before = {unit: machine.unit(f"{unit}.service")["MainPID"] for unit in [*units, "p2prcd"]}
        machine.run("for file in /usr/libexec/p2prc/p2prc* /usr/bin/sleep; do cp -a $file $file.new && mv $file.new $file; done")
        said = machine.run(["needrestart", "-l", "-r", "a"], env={"DEBIAN_FRONTEND": "noninteractive"}, timeout=120)
        assert "systemctl restart p2prcd.service" in said.out + said.err, said
        deferred = (said.out + said.err).partition("deferred")[2]
        assert all(f"{unit}.service" in deferred for unit in units), said
        wait_until(lambda m=machine: m.ok("p2prc status || test $? = 1"), 30, "p2prcd to be back")
        after = {unit: machine.unit(f"{unit}.service")["MainPID"] for unit in before}
        assert after.pop("p2prcd") != before.pop("p2prcd")
        assert after == before
    wait_until(lambda: node_state(lab.root, "home1") == "up", 60, "home1 to be connected")


def test_a_start_of_the_roots_daemon_refuses_nobody(lab):
    spin(lab.home1, "away", ["/bin/sleep", "infinity"], node="root")
    for verb, then in (("stop", "stopped"), ("start", "running"), ("stop", "stopped")):
        lab.root.run("systemctl restart p2prcd.service")
        lab.home1.p2prc(verb, "away")
        wait_state(lab.home1, "away", then)
    lab.home1.p2prc("kill", "away")


def test_a_removed_node_hears_what_to_do(lab):
    lab.root.p2prc("nodes", "rm", "home1")
    wait_until(lambda: node_state(lab.root, "home1") is None, 20, "home1 to be removed")
    wait_until(lambda: not lab.home1.json("status")["reachable"], 30, "home1 to have lost its link")
    for verb in ("status", "doctor"):
        told = wait_until(lambda verb=verb: (said := lab.home1.p2prc(verb, check=False).out) and "removed from the fleet" in said and said, 60,
                          f"{verb} to say why home1 has no link")
        assert "leave --force" in told and "is it up" not in told, told
    refused = lab.home1.p2prc("join", "-", input=invite(lab) + "\n", check=False, timeout=90)
    assert refused.code != 0 and "leave --force" in refused.err, refused.err
    lab.home1.p2prc("leave", "--force", timeout=60)
    join(lab, lab.home1)
    assert node_state(lab.root, "home1") == "up"
    wait_state(lab.root, "steady", "running")


def runs(machine, *names):
    """Which main process each of them has, and what made it stop last."""
    known = {name: wait_state(machine, name, "running") for name in names}
    return {name: (machine.unit(f"p2prc-{name}.service")["MainPID"], known[name].get("reason")) for name in names}


def test_leaving_and_joining_interrupt_nothing(lab):
    # Its unit carries the number that its record has here, not those that it is given in the fleet; and it was changed once.
    lab.home1.p2prc("leave", timeout=60)
    for name in ("quiet", "solo"):
        spin(lab.home1, name, ["/bin/sleep", "infinity"])
    lab.home1.p2prc("restart", "solo")
    join(lab, lab.home1)
    names = ("quiet", "solo", "steady")
    before = runs(lab.home1, *names)
    for way in ([], ["--force"], []):
        lab.home1.p2prc("leave", *way, timeout=60)
        assert runs(lab.home1, *names) == before
        wait_until(lambda: node_state(lab.root, "home1") is None, 20, "the root to let home1 go")
        join(lab, lab.home1)
        assert runs(lab.home1, *names) == before
