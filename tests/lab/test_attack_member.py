"""A member in the wrong hands: what it can say on its control link, and that it harms nobody but itself."""

import time

from lab import LabError, wait_until
from lab.conquered import conquered
from lab.household import info, invite, join, make_fleet, node_state, spin, wait_executed
from lab.link import ControlLink, LinkError, frame, read_token

MACHINES = ["root", "home1", "home2"]

SLEEP = ["/bin/sleep", "infinity"]


def refused(link, method, params):
    """The error with which the root refuses a request."""
    try:
        result = link.request(method, params)
    except LinkError as error:
        return error
    raise AssertionError(f"{method} was answered: {result}")


def peak_memory(machine, unit):
    """The highest resident size of a unit's main process, in KiB."""
    pid = machine.unit(unit)["MainPID"]
    return int(machine.run(f"awk '/^VmHWM:/ {{print $2}}' /proc/{pid}/status").out)


def setup(lab):
    make_fleet(lab, "home1", "home2")
    spin(lab.home2, "victim", SLEEP)
    spin(lab.home1, "web", SLEEP, port=0, wait=False)
    wait_executed(lab.root, "victim")
    wait_executed(lab.root, "web")
    # Its p2prcd would take the link back.
    lab.home1.run("systemctl stop p2prcd")


def test_it_cannot_join_in_anothers_place(lab):
    invitation = read_token(invite(lab))["id"]
    with ControlLink(lab.home1) as link:
        key = link.wait_synced().state["/nodes/home2"]["key"]
        error = refused(link, "node.join", {"invitation": invitation, "key": key, "name": "ghost"})
        assert error.code == "NotPermitted", error
    assert node_state(lab.root, "ghost") is None
    assert node_state(lab.root, "home2") == "up"
    assert info(lab.root, "victim")["node"] == "home2"


def test_it_cannot_do_what_is_the_owners_or_the_roots(lab):
    with ControlLink(lab.home1) as link:
        for method, params in {"fleet.invite": {}, "node.remove": {"name": "home2"}, "fleet.init": {"zone": "other.example"}, "fleet.export": {},
                               "fleet.import": {}, "node.live": {"node": "home2", "state": "lost"}, "registry.sweep": {},
                               "process.kill": {"process": "victim"}}.items():
            error = refused(link, method, params)
            assert error.code == "NotPermitted", (method, error)


def test_naming_the_key_of_a_connector_keeps_it_out_for_a_moment(lab):
    def key_of(name):
        with ControlLink(lab.home1) as link:
            return link.wait_synced().state[f"/nodes/{name}"]["connector_key"]

    wait_until(lambda: key_of("home1") and key_of("home2"), 30, "the connectors to have registered")
    own, key = key_of("home1"), key_of("home2")
    with ControlLink(lab.home1) as link:
        error = refused(link, "node.register_key", {"kind": "connector", "key": key})
        assert error.code == "Conflict", error
    lab.home2.p2prc("leave", timeout=60)
    with ControlLink(lab.home1) as link:
        link.request("node.register_key", {"kind": "connector", "key": key})
    join(lab, lab.home2)
    # A key of the last ten minutes stays, and that it does is said.
    wait_until(lambda: "cannot register with p2prcd" in lab.home2.journal("-u", "p2prc-connector.service"), 30, "the refusal to be logged")
    assert key_of("home2") == "", key_of("home2")
    lab.home2.run("touch -d '11 minutes ago' /var/lib/p2prc-connector/key.pem")
    wait_until(lambda: key_of("home2") not in ("", key), 30, "the connector to have made itself another key")
    with ControlLink(lab.home1) as link:
        link.request("node.register_key", {"kind": "connector", "key": own})
    wait_executed(lab.root, "victim")


def domain_of(lab, name):
    return next(row for row in lab.root.json("domains") if row["domain"] == name)


def test_a_domain_that_waits_leads_to_nobody_by_its_name_alone(lab):
    lab.root.p2prc("map-domain", "bank.home.example", "bank")
    with ControlLink(lab.home1) as link:
        link.request("domain.map", {"domain": "door.home.example", "process": "diary"})
        link.request("process.spin", {"spec": {"name": "bank", "port": 0, "run": {"command": SLEEP}}})
    spin(lab.home2, "diary", SLEEP, port=0, wait=False)
    wait_executed(lab.root, "diary")
    for name in ("bank.home.example", "door.home.example"):
        row = domain_of(lab, name)
        assert row["state"] == "waiting" and "is not served there automatically" in row["reason"], row
    with ControlLink(lab.home1) as link:
        error = refused(link, "domain.map", {"domain": "bank.home.example", "process": "bank"})
        assert error.code == "NotPermitted", error
        link.request("process.kill", {"process": "bank"})
        link.request("domain.unmap", {"domain": "door.home.example"})
    lab.home2.p2prc("kill", "diary")
    lab.root.p2prc("unmap-domain", "bank.home.example")


def test_no_name_is_too_long_for_its_challenge(lab):
    labels = ["a" * 63, "b" * 63, "c" * 63, "d" * 40]
    long = ".".join(labels) + ".home.example"
    with ControlLink(lab.home1) as link:
        error = refused(link, "domain.map", {"domain": long, "process": "web"})
        assert error.code == "InvalidSpec" and "too long for a certificate" in error.message, error
        link.request("domain.map", {"domain": long, "process": "web", "tls": "passthrough"})
        error = refused(link, "challenge.publish", {"domain": long, "value": "A" * 43})
        assert error.code == "InvalidSpec", error
        link.request("domain.map", {"domain": "short.home.example", "process": "web"})
        error = refused(link, "challenge.publish", {"domain": "short.home.example", "value": "no digest"})
        assert error.code == "InvalidSpec", error
        # What it says of its tunnel and its processes is its own; what is in the zone is not.
        link.request("challenge.publish", {"domain": "short.home.example", "value": "A" * 43})
        link.request("domain.unmap", {"domain": long})


def test_names_of_any_length_cost_nothing(lab):
    before = peak_memory(lab.root, "p2prcd.service")
    with ControlLink(lab.home1) as link:
        for method, key in (("process.kill", "process"), ("process.restart", "process"), ("domain.unmap", "domain")):
            error = refused(link, method, {key: "a" * 1_000_000})
            assert error.code == "InvalidSpec" and "1000000 bytes" in error.message, error
        error = refused(link, "process.spin", {"spec": {"a" * 900_000: 1}})
        assert error.code == "InvalidSpec" and len(error.message) < 1000, error
    # A frame takes a few times its size; the table of distances would take hundreds of megabytes.
    assert peak_memory(lab.root, "p2prcd.service") < before + 64 * 1024


def test_what_it_says_blinds_nobody(lab):
    with ControlLink(lab.home1) as link:
        link.request("status.update", {"set": {"/info/home1": {"ipv4": "\ufdd0 \uffff a\0b \x1b]0;x\x07"},
                                               "/tunnels/home1": {"up": False, "detail": "\ufffe"}}})
    for machine in (lab.root, lab.home2):
        for verb in ("nodes", "ps", "domains"):
            machine.p2prc(verb)
        # It says that its tunnel is down, which is a problem.
        assert machine.run(["p2prc", "status"], check=False).code == 1 and machine.json("status", check=False)["problems"]


def test_it_cannot_call_off_the_end_of_anothers_process(lab):
    with ControlLink(lab.home1) as link:
        mal = link.request("process.spin", {"spec": {"name": "mal", "run": {"command": SLEEP}}, "node": "home2"})["id"]
    wait_executed(lab.root, "mal")
    lab.home2.run("systemctl stop p2prcd")
    # It waits for home2, and says at last that it will be done when that is back.
    lab.root.p2prc("kill", "mal", timeout=120, check=False)
    with ControlLink(lab.home1) as link:
        offer = {"process": {"id": mal, "name": "victim", "node": "home1", "spec": {"name": "victim", "run": {"command": SLEEP}}}, "domains": []}
        link.request("status.update", {"set": {f"/offers/home1/{mal}": offer}})
        # Its own offer is what the id stands for now; what is to end on home2 is not.
        link.request("process.kill", {"process": str(mal)})
        assert link.request("status.update", {"set": {}})["folded"] == []
    assert lab.home2.active("p2prc-mal.service")
    lab.home2.run("systemctl start p2prcd")
    wait_until(lambda: not lab.home2.active("p2prc-mal.service"), 60, "home2 to end what was killed while it was away")
    assert lab.home2.active("p2prc-victim.service")


def test_it_fills_no_more_than_its_share(lab):
    with ControlLink(lab.home1) as link:
        left_out = 0
        for first in range(0, 85 * 14, 14):
            items = {f"/status/home1/{5000 + first + i}": {"p": "x" * 60000} for i in range(14)}
            left_out += len(link.request("status.update", {"set": items}).get("without_room", []))
        assert left_out > 85 * 14 - 60, left_out
        error = refused(link, "process.spin", {"spec": {"name": "large", "run": {"command": ["/bin/true", "x" * 100_000]}}})
        assert error.code == "InvalidSpec" and "65536" in error.message, error
    size = int(lab.root.run("stat -c %s /var/lib/p2prc/registry.db").out)
    assert size < 30 << 20, size
    # One that comes with nothing gets all of it.
    lab.home2.run("systemctl stop p2prcd")
    lab.home2.run("rm -f /var/lib/p2prc/replica.db*")
    lab.home2.run("systemctl start p2prcd")
    wait_until(lambda: node_state(lab.home2, "root") == "up" and node_state(lab.root, "home2") == "up", 60, "home2 to have all of the fleet's state")


def test_rewriting_its_share_fills_neither_disk_nor_memory(lab):
    lab.root.run("systemctl restart p2prcd", timeout=60)
    wait_until(lambda: node_state(lab.root, "home2") == "up", 60, "home2 to be back")
    kept = {f"/status/home1/{5000 + i}": {"p": "x" * 60000} for i in range(14)}
    with ControlLink(lab.home1, timeout=60) as link:
        link.wait_synced()
        store, before = link.hello["store_id"], link.hello["revision"]
        for number in range(150):
            link.request("status.update", {"set": {key: {"p": chr(97 + number % 26) * 60000} for key in kept}})
        # Away for all of that, and does not read; nor what its flood of pings is answered with.
        with ControlLink(lab.home1, timeout=5, hello={"store_id": store, "revision": before}) as deaf:
            pings = b"".join(frame({"ping": n}) for n in range(2000))
            try:
                for _ in range(100):
                    deaf.send_bytes(pings)
            except LabError:
                pass
            time.sleep(3)
    size = int(lab.root.run("cat /var/lib/p2prc/registry.db /var/lib/p2prc/registry.db-wal | wc -c").out)
    assert size < 40 << 20, size
    peak = peak_memory(lab.root, "p2prcd.service")
    assert peak < 80 << 10, f"{peak} KiB"
    # One that was away is given what stands now, not what was.
    with ControlLink(lab.home1, timeout=60, hello={"store_id": store, "revision": before}) as link:
        events = []
        while not events or events[-1]["event"] != "synced":
            events.append(link.wait_for(lambda document: "event" in document))
        assert events[0]["event"] == "reset", events[0]["event"]
        link.request("status.update", {"delete": list(kept)})
    wait_until(lambda: int(lab.root.run("stat -c %s /var/lib/p2prc/registry.db").out) < 20 << 20, 30, "the registry's file to be small again")


def test_it_maps_no_more_than_its_share(lab):
    with conquered(lab.root) as registry:
        for number in range(2000):
            name = f"d{number}.home.example"
            registry.put(f"/domains/{name}", {"schema": 1, "mapping_id": 10_000 + number, "domain": name, "process": "later", "process_id": 0, "node": "",
                                              "tls": "passthrough", "port": 0, "from_file": False, "created_by": "root@home1"})
    with ControlLink(lab.home1, timeout=60) as link:
        error = refused(link, "domain.map", {"domain": "more.home.example", "process": "web"})
        assert error.code == "Conflict" and "2000" in error.message, error
    wait_until(lambda: lab.home2.p2prc("map-domain", "theirs.home.example", "later2", timeout=120).code == 0, 60, "home2 to map a domain")


def fill_with_specs(machine):
    """All that a member may have, of commands that are four times as long once they are quoted for a shell."""
    machine.run("systemctl stop p2prcd.service p2prcd-control.socket")
    with ControlLink(machine, timeout=60) as link:
        link.wait_synced()
        for number in range(100):
            spec = {"name": f"{machine.name}-long{number}", "run": {"command": ["/bin/true", "'" * 60_000]}}
            try:
                link.request("process.spin", {"spec": spec})
            except LinkError as error:
                assert error.code == "Conflict" and "the specifications of the processes" in error.message, error
                return number
    raise AssertionError("its share has no end")


def test_long_commands_keep_nobody_from_listing(lab):
    pid = lab.root.unit("p2prcd.service")["MainPID"]
    # More than p2prcd sends in one message, and about what the bus carries: it ends the connection of whoever sends more.
    number = fill_with_specs(lab.home1) + fill_with_specs(lab.home2)
    assert number * 4 * 60_000 > 30 << 20, number
    rows = lab.root.json("ps")
    assert len([row for row in rows if "-long" in row["name"]]) == number, len(rows)
    assert max(len(row["run_command"]) for row in rows) < 300
    assert len(info(lab.root, "home1-long0")["run_command"]) > 4 * 60_000
    for verb in ("ps", "domains", "nodes"):
        lab.root.p2prc(verb)
    for verb in ("status", "doctor"):
        assert lab.root.run(["p2prc", verb], check=False).code == 1
    objects = lab.root.run("busctl --timeout=60 call org.p2prc1 /org/p2prc1 org.freedesktop.DBus.ObjectManager GetManagedObjects").out
    assert objects.count("-long") >= number, len(objects)
    assert lab.root.unit("p2prcd.service")["MainPID"] == pid
    lab.home2.run("systemctl start p2prcd")


def test_removing_it_frees_what_it_had(lab):
    lab.root.p2prc("nodes", "rm", "home1", timeout=120)
    with conquered(lab.root) as registry:
        assert registry.keys("/status/home1/") == []
        assert registry.keys("/offers/home1/") == []
        assert [key for key in registry.keys("/processes/") if registry.get(key)["node"] == "home1"] == []
