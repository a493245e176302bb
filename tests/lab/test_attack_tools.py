"""The tools of the attack tests: a control link by hand, a join link by hand, a registry in the wrong hands."""

from lab import wait_until
from lab.conquered import conquered
from lab.household import invite, make_fleet, node_state, spin, state
from lab.link import ControlLink, JoinLink, LinkClosed, LinkError

MACHINES = ["root", "home1", "home2"]


def raises(kind, action):
    """The exception of that kind that action() raises."""
    try:
        action()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def setup(lab):
    make_fleet(lab, "home1")
    spin(lab.home1, "mine", ["/bin/sleep", "infinity"])


def test_a_control_link_by_hand(lab):
    lab.home1.run("systemctl stop p2prcd")
    with ControlLink(lab.home1) as link:
        assert link.hello["name"] == "home1" and link.hello["role"] == "member", link.hello
        link.wait_synced()
        assert {"/nodes/root", "/nodes/home1"} <= set(link.state), sorted(link.state)
        made = link.request("process.spin", {"spec": {"name": "byhand", "run": {"command": ["/bin/true"]}}})
        assert made["node"] == "home1", made
        link.wait_for(lambda document: "/processes/byhand" in link.state)
        refused = raises(LinkError, lambda: link.request("process.kill", {"process": "nothing"}))
        assert refused.code == "NotFound", refused
        assert raises(LinkError, lambda: list(link.stream("logs", {"node": "nowhere", "process": "mine"}))).code == "NotFound"
        # A number that is no frame's length.
        link.send_bytes(b"\xff" * 8)
        assert link.closed()


def test_a_second_link_of_a_node_replaces_the_first(lab):
    with ControlLink(lab.home1) as first, ControlLink(lab.home1) as second:
        assert first.closed()
        second.wait_synced()
    lab.home1.run("systemctl start p2prcd")
    wait_until(lambda: node_state(lab.root, "home1") == "up", 30, "home1 to be linked again")


def test_a_key_that_is_no_members_is_refused(lab):
    assert "alert" in str(raises(LinkClosed, lambda: ControlLink(lab.home2)))


def test_a_join_link_by_hand(lab):
    token = invite(lab)
    raises(LinkClosed, lambda: JoinLink(lab.home2, token, secret=bytes(32)))
    with JoinLink(lab.home2, token) as link:
        assert raises(LinkError, lambda: link.join("home2", key_proof=link.key_proof(bytes(32)))).code == "NotPermitted"
        assert link.join("home2")["name"] == "home2"
    with ControlLink(lab.home2) as link:
        assert link.hello["name"] == "home2"
    assert node_state(lab.root, "home2") is not None


def test_homes_are_fed_what_a_conquered_registry_says(lab):
    with ControlLink(lab.home2) as link:
        before = link.hello
    with conquered(lab.root) as registry:
        record = registry.get("/processes/mine")
        registry.put("/processes/mine", {**record, "desired": "stopped", "change": record["change"] + 1})
        registry.put("/nodes/zombie", {**registry.get("/nodes/home1"), "name": "zombie", "key": "00" * 32})
    wait_until(lambda: node_state(lab.home1, "zombie") is not None, 30, "home1 to be fed a node that never joined")
    wait_until(lambda: state(lab.home1, "mine") == "stopped", 30, "home1 to stop mine")
    with ControlLink(lab.home2, hello={"store_id": before["store_id"], "revision": before["revision"]}) as link:
        fed = link.wait_for(lambda document: document.get("event") in ("changes", "reset"))
        assert fed["event"] == "changes" and fed["store_id"] == before["store_id"], fed
    with conquered(lab.root, reset=True) as registry:
        registry.delete("/nodes/zombie")
    wait_until(lambda: node_state(lab.home1, "zombie") is None and node_state(lab.home1, "root") == "up", 30, "home1 to be fed all of it")
    with ControlLink(lab.home2) as link:
        assert link.hello["store_id"] != before["store_id"], link.hello
