"""A root in the wrong hands: what a home does with what it is told. Nothing happens, and the home says why."""

import copy

from lab import wait_until
from lab.conquered import conquered
from lab.errors import LabError
from lab.household import domain, info, make_fleet, node_state, spin, wait_state

MACHINES = ["root", "home2"]

SECRET = "home2 keeps this to itself"


def setup(lab):
    make_fleet(lab, "home2")
    spin(lab.home2, "remo", ["/bin/sh", "-c", f"umask 077; echo '{SECRET}' >$STATE_DIRECTORY/secret; exec sleep infinity"])
    wait_until(lambda: lab.home2.ok("test -s /var/lib/p2prc-data/remo/secret"), 30, "remo to have its secret")
    lab.home2.p2prc("kill", "remo")
    spin(lab.home2, "remo", ["/bin/sleep", "infinity"])
    spin(lab.home2, "kept", ["/bin/sh", "-c", f"umask 077; echo '{SECRET}' >$STATE_DIRECTORY/secret; exec sleep infinity"])
    wait_until(lambda: lab.home2.ok("test -s /var/lib/p2prc-data/kept/secret"), 30, "kept to have its secret")


def forged(registry, process, id, **changes):
    """A record like that of a process of home2, but for what is given."""
    record = copy.deepcopy(registry.get("/processes/kept"))
    record.update(id=id, name=process, node="home2", change=1, desired="running", former_ids=[])
    record["spec"]["name"] = process
    record["spec"].pop("port", None)
    record.update(changes)
    return record


def linked(lab):
    wait_until(lambda: node_state(lab.home2, "root") == "up" and node_state(lab.root, "home2") == "up", 60, "home2 to be linked again")


def told(lab, *words):
    """Waits until p2prcd of home2 says so in the journal."""
    def seen():
        journal = lab.home2.journal("--unit", "p2prcd.service")
        missing = [word for word in words if word not in journal]
        if missing:
            raise LabError(f"it does not say {missing}")
    wait_until(lambda: seen() is None, 60, f"home2 to say {words}")


def untouched(lab):
    assert not lab.home2.ok("ls /root/pwned*")
    wait_state(lab.home2, "kept", "running")
    commands = lab.home2.run("find /run/systemd/system -name p2prc-command.conf | sort").out.split()
    assert commands == [f"/run/systemd/system/p2prc-{name}.service.d/p2prc-command.conf" for name in ("kept", "remo")], commands


def test_a_newline_in_a_name_is_no_line_of_a_unit(lab):
    line = "x\nExecStartPre=+/bin/sh -c 'id >/root/pwned-by-newline'"
    with conquered(lab.root) as registry:
        record = forged(registry, "evil", 4001, name=line)
        record["spec"]["restart"] = "always"
        registry.put("/processes/evil", record)
        both = forged(registry, "worse", 4002, name=line)
        both["spec"]["name"] = line
        registry.put(f"/processes/{line}", both)
    linked(lab)
    told(lab, "/processes/evil is not accepted", "start-failed at policy")
    lab.home2.run("systemctl daemon-reload")
    assert lab.home2.run("systemctl list-units --all --plain --no-legend 'p2prc-*' | grep -c -e evil -e ExecStart || true").out.strip() == "0"
    untouched(lab)


def test_the_digest_and_the_user_are_no_lines_either(lab):
    line = "x\nExecStartPre=+/bin/sh -c 'id >/root/pwned-by-field'"
    with conquered(lab.root) as registry:
        registry.put("/processes/digest", forged(registry, "digest", 4003, digest=line))
        user = forged(registry, "user", 4004)
        user["spec"].setdefault("run", {})["user"] = line
        registry.put("/processes/user", user)
        holder = forged(registry, "holder", 4005)
        holder["spec"]["run"]["credentials"] = {"key": f"/etc/{line}"}
        registry.put("/processes/holder", holder)
    linked(lab)
    told(lab, "/processes/digest is not accepted")
    lab.home2.run("systemctl daemon-reload")
    for name in ("digest", "user", "holder"):
        assert not lab.home2.active(f"p2prc-{name}.service")
    untouched(lab)


def test_a_tombstone_is_no_path(lab):
    name = "x/../../system/systemd-tmpfiles-clean"
    with conquered(lab.root) as registry:
        registry.put(f"/processes/{name}", forged(registry, name, 6000))
        registry.put("/tombstones/6000", {"id": 6000, "name": name, "node": "home2", "by": "root", "at": "2026-01-01T00:00:00Z"})
    linked(lab)
    told(lab, "is not accepted")
    assert not lab.home2.ok("ls -d /run/systemd/system/systemd-tmpfiles-clean.service.d")
    untouched(lab)


def test_what_is_no_record_fails_no_list(lab):
    lab.home2.p2prc("map-domain", "kept.home.example", "kept", "--port", "8080", check=False)
    names = {entry["name"] for entry in lab.home2.json("ps")}
    nodes = {entry["name"] for entry in lab.home2.json("nodes")}
    command = "x; touch /root/pwned-by-copying"
    with conquered(lab.root) as registry:
        for key in ("/nodes/none", "/processes/none", "/domains/none.home.example", "/challenges/none", "/tombstones/7001", "/offers/home2/7002",
                    "/info/none", "/tunnels/root", "/live/none"):
            registry.put(key, ["no", "object"])
        registry.put(f"/processes/{command}", forged(registry, command, 7003))
        registry.put("/offers/home2/7004", {"process": forged(registry, command, 7004), "refused": "it is"})
        registry.put(f"/nodes/{command}", {**registry.get("/nodes/home2"), "name": command})
        registry.put("/live/home2", {"state": command})
    linked(lab)
    wait_until(lambda: not domain(lab.home2, "none.home.example"), 60, "home2 to have what was written")
    for machine in (lab.home2, lab.root):
        assert {entry["name"] for entry in machine.json("ps")} == names
        assert {entry["name"] for entry in machine.json("nodes")} == nodes
        machine.json("domains")
        for verb in ("status", "doctor"):
            assert command not in machine.p2prc(verb, check=False).out, verb
        machine.json("dns", "records")
    untouched(lab)


def test_a_fleet_record_that_is_none_is_not_believed(lab):
    with conquered(lab.root) as registry:
        good = registry.get("/fleet")
        registry.put("/fleet", {**good, "root": "../home2", "acme": "https://acme.example/\x1b[2J"})
    linked(lab)
    told(lab, "/fleet is not accepted")
    untouched(lab)
    with conquered(lab.root) as registry:
        registry.put("/fleet", {**good, "web_ca": "-----BEGIN CERTIFICATE-----\ncurl\n-----END CERTIFICATE-----\n"})
    linked(lab)
    wait_until(lambda: "the root's answer is not a certificate" in lab.home2.p2prc("fleet", "ca", check=False).err, 30, "what is no certificate to be refused")
    with conquered(lab.root) as registry:
        registry.put("/fleet", good)
    linked(lab)
    wait_until(lambda: lab.home2.p2prc("fleet", "ca", check=False).code == 0, 30, "home2 to know its fleet again")


def test_the_data_of_another_process_is_not_given_away(lab):
    kept = info(lab.home2, "kept")["id"]
    read = ["/bin/sh", "-c", "cat /var/lib/p2prc-data/*/secret $STATE_DIRECTORY/secret; exec sleep infinity"]
    with conquered(lab.root) as registry:
        # By its name, by a former id, and by the id itself.
        theft = forged(registry, "theft", 90, name="kept")
        theft["spec"]["run"]["command"] = read
        registry.put("/processes/theft", theft)
        heir = forged(registry, "remo", 91, former_ids=[registry.get("/processes/remo")["id"], kept])
        heir["spec"]["run"]["command"] = read
        registry.put("/processes/remo", heir)
        double = copy.deepcopy(registry.get("/processes/kept"))
        double["spec"]["run"]["command"] = read
        double["change"] += 1
        registry.put("/processes/kept", double)
    linked(lab)
    told(lab, "/processes/theft is not accepted", "with another process file, and this one was not")
    for name in ("theft", "remo", "kept"):
        assert SECRET not in lab.home2.journal("--unit", f"p2prc-{name}.service"), name
    assert lab.home2.run("cat /var/lib/p2prc-data/kept/secret").out.strip() == SECRET
    assert not lab.home2.ok("ls /root/pwned*")
