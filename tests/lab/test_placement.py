"""Where a process is spun when its file has [placement], and what the dry run says of it: the same."""

import json
import subprocess

from lab import wait_until
from lab.conquered import conquered
from lab.errors import LabError
from lab.household import deployers, info, main_pid, make_fleet, node_state, wait_state

MACHINES = ["root", "acme", "home1", "home2", "home3"]
HOMES = ["home1", "home2", "home3"]
GIB = 1 << 30


def file_with(name, placement, port=None, more=""):
    lines = [f'name = "{name}"'] + ([f"port = {port}"] if port is not None else [])
    return "\n".join(lines + [more, "[run]", 'command = ["/bin/sleep", "infinity"]', "data = false", "[placement]", placement, ""])


def rows_of(machine, name, placement, *options, code=0, **more):
    """What the dry run says, by node."""
    machine.write(f"/root/{name}.toml", file_with(name, placement, **more))
    result = machine.run(["p2prc", "spin", f"/root/{name}.toml", "--dry-run", "-o", "json", *options], check=False)
    assert result.code == code, result
    explained = json.loads(result.out)
    assert explained["changes"] == [] and explained["restarts"] is False, explained
    rows = {row["node"]: row for row in explained["placement"]}
    assert set(rows) >= {"root", *HOMES}, rows
    return rows


def chosen(rows):
    return next((name for name, row in rows.items() if row["chosen"]), None)


def codes(row):
    return [obstacle["code"] for obstacle in row["obstacles"]]


def spin_as_explained(machine, name, placement, *options, **more):
    """The dry run, then the act: the same node. Returns its name."""
    expected = chosen(rows_of(machine, name, placement, *options, **more))
    assert expected and name not in {process["name"] for process in machine.json("ps")}
    machine.p2prc("spin", f"/root/{name}.toml", "--no-wait", *options, timeout=120)
    assert info(machine, name)["node"] == expected
    return expected


def label(lab, node, *words):
    lab.root.p2prc("nodes", "label", node, *words)


def shown(machine, name):
    return machine.json("nodes", "show", name)


def setup(lab):
    make_fleet(lab, *HOMES)
    for home in HOMES:
        wait_until(lambda home=home: node_state(lab.home1, home) == "up", 60, f"{home} to be up")
        wait_until(lambda home=home: shown(lab.home1, home)["memory_available_bytes"], 60, f"{home} to have measured")


def test_nodes_say_what_they_have(lab):
    for name in ("root", *HOMES):
        node = shown(lab.home1, name)
        assert 0 < node["memory_available_bytes"] <= node["memory_bytes"] and node["disk_available_bytes"] > 0, node
        assert node["gpus"] == [] and node["on_battery"] is False and node["labels"] == [] and node["custom"] == {}, node


def test_labels_are_known_everywhere(lab):
    lab.home2.p2prc("nodes", "label", "home2", "ssd", "room=cellar")
    label(lab, "home3", "ssd=fast")
    for machine in (lab.root, lab.home1, lab.home3):
        wait_until(lambda machine=machine: shown(machine, "home2")["labels"] == ["room=cellar", "ssd"], 20, f"{machine.name} to know the labels")
    refused = lab.home1.run(["p2prc", "nodes", "label", "home2", "mine", "-o", "json"], check=False)
    assert refused.code == 4 and "changes only itself" in json.loads(refused.out)["error"]["message"], refused
    label(lab, "home2", "room-", "floor=2")
    wait_until(lambda: shown(lab.home1, "home2")["labels"] == ["floor=2", "ssd"], 20, "the change to be known")
    assert lab.home1.p2prc("nodes", "label", "home1", "a b", check=False).code == 7


def test_a_change_of_labels_is_told_on_the_bus(lab):
    monitor = lab.home1.popen("busctl monitor --match \"type='signal',member='PropertiesChanged',path='/org/p2prc1/node/home2'\" >/tmp/signals 2>&1")
    wait_until(lambda: "Monitoring" in lab.home1.read("/tmp/signals"), 20, "busctl to listen")
    label(lab, "home2", "told")
    wait_until(lambda: "Labels" in lab.home1.read("/tmp/signals"), 20, "the change to be told")
    monitor.terminate()
    label(lab, "home2", "told-")


def test_custom_information(lab):
    lab.home2.p2prc("nodes", "custom", "home2", "-", input='{"stands in": "the cellar"}')
    wait_until(lambda: shown(lab.home1, "home2")["custom"] == {"stands in": "the cellar"}, 20, "it to be known")
    assert "the cellar" in lab.home1.p2prc("nodes", "show", "home2").out
    assert lab.home2.p2prc("nodes", "custom", "home2", "-", input='{"a": 1}', check=False).code == 7
    assert lab.home2.p2prc("nodes", "custom", "home2", "-", input=json.dumps({"a": "x" * 5000}), check=False).code == 7
    lab.home2.p2prc("nodes", "custom", "home2", "-", input="{}")
    wait_until(lambda: shown(lab.home1, "home2")["custom"] == {}, 20, "it to be gone")


def test_custom_information_of_a_process(lab):
    lab.home2.p2prc("spin", "noted", "--", "/bin/sleep", "infinity")
    known = info(lab.home2, "noted")
    assert known["custom"] == {}, known
    pid = main_pid(lab.home2, "noted")
    monitor = lab.home1.popen(f"busctl monitor --match \"type='signal',member='PropertiesChanged',path='/org/p2prc1/process/{known['id']}'\" >/tmp/noted 2>&1")
    wait_until(lambda: "Monitoring" in lab.home1.read("/tmp/noted"), 20, "busctl to listen")
    lab.home2.p2prc("custom", "noted", "-", input='{"ask": "Grete, after ten"}')
    for machine in (lab.root, lab.home1, lab.home2):
        wait_until(lambda machine=machine: info(machine, "noted")["custom"] == {"ask": "Grete, after ten"}, 20, f"{machine.name} to know it")
    wait_until(lambda: "Grete, after ten" in lab.home1.read("/tmp/noted"), 20, "the change to be told")
    monitor.terminate()
    assert "Grete, after ten" in lab.home1.p2prc("info", "noted").out
    assert next(row for row in lab.home1.json("ps") if row["name"] == "noted")["custom"] == {"ask": "Grete, after ten"}
    assert main_pid(lab.home2, "noted") == pid
    assert lab.home1.p2prc("custom", "noted", "-", input="{}", check=False).code == 4
    assert lab.home2.p2prc("custom", "noted", "-", input=json.dumps({"a": "x" * 5000}), check=False).code == 7
    lab.root.p2prc("custom", "noted", "-", input="{}")
    wait_until(lambda: info(lab.home2, "noted")["custom"] == {}, 20, "it to be gone")
    lab.home2.p2prc("kill", "noted")


def test_the_dry_run_is_what_happens(lab):
    assert spin_as_explained(lab.home1, "labelled", 'require = { label = ["ssd", "floor=2"] }') == "home2"
    assert spin_as_explained(lab.home1, "ordered", 'nodes = ["home3", "home2"]') == "home3"
    assert spin_as_explained(lab.home1, "both", 'nodes = ["home1", "home2"]\nrequire = { label = "ssd" }') == "home2"
    assert spin_as_explained(lab.home1, "own", 'nodes = ["home1"]') == "home1"
    assert spin_as_explained(lab.root, "any", 'require = { memory = "1M" }') in ("root", *HOMES)
    assert spin_as_explained(lab.home1, "pinned", 'nodes = ["home3", "home2"]', "--node", "home2") == "home2"
    for name in ("labelled", "ordered", "both", "own", "any"):
        wait_state(lab.home1, name, "running", 60)


def test_a_placed_process_has_the_same_node_when_it_is_spun_again(lab):
    assert chosen(rows_of(lab.home1, "ordered", 'nodes = ["home3", "home2"]')) == "home3"
    lab.home1.p2prc("spin", "/root/ordered.toml")
    assert info(lab.home1, "ordered")["node"] == "home3"


def test_without_placement_it_stays_here(lab):
    lab.home2.p2prc("spin", "here", "--", "/bin/sleep", "infinity")
    assert info(lab.home2, "here")["node"] == "home2"
    explained = lab.home2.p2prc("spin", "here2", "--dry-run", "--", "/bin/sleep", "infinity").out
    lines = {line.split()[0]: line for line in explained.splitlines()}
    assert "chosen" in lines["home2"] and "chosen" not in lines["home1"], explained


def test_without_placement_a_missing_deployer_is_explained_for_each_node(lab):
    deploy = '[deploy]\nstrategy = "nowhere"'
    for options in ((), ("--node", "home1"), ("--node", "home2")):
        rows = rows_of(lab.home1, "nodeployer", "", *options, code=1, more=deploy)
        assert codes(rows["home1"]) == ["refused"] and codes(rows["home2"]) == codes(rows["root"]) == ["deployer"], rows
        assert all("it has " in rows[name]["obstacles"][0]["fix"] for name in ("root", *HOMES)), rows
    rows = rows_of(lab.home1, "nodeployer", "", "--node", "home2", more='[deploy]\nstrategy = "script"\nscript = "true"')
    assert chosen(rows) == "home2", rows


def test_a_taken_port_is_in_the_way_on_its_node(lab):
    lab.home3.p2prc("spin", "holder", "--port", "8123", "--no-wait", "--", "/bin/sleep", "infinity")
    placement = 'nodes = ["home3", "home1"]'
    rows = rows_of(lab.home1, "second", placement, port=8123)
    assert codes(rows["home3"]) == ["port"] and "holder" in rows["home3"]["obstacles"][0]["text"], rows
    assert spin_as_explained(lab.home1, "second", placement, port=8123) == "home1"


def test_what_this_machine_refuses_counts_for_it_alone(lab):
    server = lab.home1.popen(["/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "8124"])
    wait_until(lambda: "8124" in lab.home1.run("ss -tln").out, 20, "another program to listen")
    rows = rows_of(lab.home1, "third", 'nodes = ["home1", "home2"]', port=8124)
    assert codes(rows["home1"]) == ["refused"] and chosen(rows) == "home2", rows
    server.terminate()


def test_a_refusal_names_every_node(lab):
    placement = 'require = { arch = "pdp11", memory = "100T", disk = "900T", gpu = true, label = "none" }'
    rows = rows_of(lab.home1, "nowhere", placement, code=1)
    for name in ("root", *HOMES):
        assert codes(rows[name]) == ["arch", "gpu", "memory", "disk", "label"], rows
        assert all(obstacle["text"] and obstacle["fix"] for obstacle in rows[name]["obstacles"]), rows
    result = lab.home1.run(["p2prc", "spin", "/root/nowhere.toml", "-o", "json"], check=False)
    error = json.loads(result.out)["error"]
    assert result.code == 1 and error["code"] == "NoSuitableNode", error
    for name in ("root", *HOMES):
        assert any(line.startswith(f"{name}: ") and "pdp11" in line and "100.0T" in line for line in error["message"].splitlines()), error
    assert "nowhere" not in {process["name"] for process in lab.root.json("ps")}
    text = lab.home1.p2prc("spin", "/root/nowhere.toml", "--dry-run", check=False)
    assert text.code == 1 and "label 'none' is missing" in text.out and "p2prc nodes label home2 none" in text.err, text
    assert codes(rows_of(lab.home1, "elsewhere", 'nodes = ["gone"]', code=1)["gone"]) == ["unknown"]


def test_a_wanted_node_has_to_fit(lab):
    lab.home1.write("/root/wanted.toml", file_with("wanted", 'require = { label = "ssd" }'))
    result = lab.home1.run(["p2prc", "spin", "/root/wanted.toml", "--node", "root", "-o", "json"], check=False)
    error = json.loads(result.out)["error"]
    assert result.code == 1 and error["code"] == "NoSuitableNode" and "label 'ssd' is missing" in error["message"], error
    assert error["hint"] == "p2prc nodes label root ssd", error


def test_the_policy_of_a_machine_counts(lab):
    lab.home2.write("/etc/p2prc/p2prcd.toml.d/remote.toml", '[remote]\nspin = "no"\n')
    lab.home2.run(["systemctl", "reload", "p2prcd"])
    def refuses():
        row = rows_of(lab.home1, "guest", 'require = { label = "floor=2" }', code=1)["home2"]
        if codes(row) != ["policy"]:
            raise LabError(f"{row}")
        return True
    wait_until(refuses, 60, "home2 to refuse")
    # Its own people still may.
    assert spin_as_explained(lab.home2, "guest", 'require = { label = "floor=2" }') == "home2"
    wait_state(lab.home1, "guest", "running", 60)


def test_its_deployer_is_to_be_there(lab):
    deploy = '[deploy]\nstrategy = "own"'
    lab.home3.write("/etc/p2prc/deployers/own", "#!/bin/sh\n")
    lab.home3.run("chmod 0755 /etc/p2prc/deployers /etc/p2prc/deployers/own")
    lab.home3.run(["systemctl", "reload", "p2prcd"])
    wait_until(lambda: "own" in deployers(lab.home1, "home3"), 60, "home3 to tell of its deployers")
    rows = rows_of(lab.home1, "made", 'require = { arch = "x86_64" }', more=deploy)
    assert codes(rows["root"]) == ["deployer"] and "no deployer 'own'" in rows["root"]["obstacles"][0]["text"], rows
    assert codes(rows["home1"]) == ["refused"] and rows["root"]["obstacles"][0]["fix"], rows
    assert spin_as_explained(lab.home1, "made", 'require = { arch = "x86_64" }', more=deploy) == "home3"
    wait_state(lab.home1, "made", "running", 60)
    drained = lab.home3.run(["p2prc", "nodes", "drain", "home3", "--dry-run", "-o", "json"], check=False)
    row = next(row for row in json.loads(drained.out) if row["process"] == "made")
    assert codes(row) == ["placement"] and "no deployer 'own'" in row["obstacles"][0]["text"], row
    lab.home1.p2prc("kill", "made")


def test_a_lost_node_is_not_chosen(lab):
    lab.home3.link_down()
    wait_until(lambda: node_state(lab.home1, "home3") == "lost", 120, "home3 to be lost")
    rows = rows_of(lab.home1, "away", 'nodes = ["home3", "home1"]')
    assert codes(rows["home3"]) == ["not-up"] and "lost since" in rows["home3"]["obstacles"][0]["text"], rows
    assert chosen(rows) == "home1"
    lab.home3.link_up()
    wait_until(lambda: node_state(lab.home1, "home3") == "up", 120, "home3 to be back")


def test_explained_over_the_bus(lab):
    out = lab.home1.run(["busctl", "--json=short", "call", "org.p2prc1", "/org/p2prc1", "org.p2prc1.Manager", "ExplainPlacement", "a{sv}", "3",
                         "name", "s", "bus", "run", "a{sv}", "1", "command", "as", "2", "/bin/sleep", "1",
                         "placement", "a{sv}", "1", "require", "a{sv}", "2", "label", "as", "1", "ssd", "memory", "t", str(GIB // 1024)]).out
    rows = {row["node"]["data"]: row for row in json.loads(out)["data"][0]}
    assert not rows["root"]["fits"]["data"] and rows["home3"]["chosen"]["data"], rows
    assert rows["root"]["obstacles"]["data"][0]["code"]["data"] == "label", rows


def test_names_of_what_was_spun_stay_with_their_nodes_over_a_restart(lab):
    lab.root.run(["systemctl", "restart", "p2prcd"])
    wait_until(lambda: node_state(lab.home1, "home2") == "up" and lab.home1.ok(["p2prc", "logs", "labelled", "-n", "1"]), 60, "the fleet to be back")
    assert info(lab.home1, "labelled")["node"] == "home2" and shown(lab.home1, "home2")["labels"] == ["floor=2", "ssd"]


def test_a_drained_node_is_emptied_of_what_has_no_data(lab):
    lab.home2.run(["rm", "/etc/p2prc/p2prcd.toml.d/remote.toml"])
    lab.home2.run(["systemctl", "reload", "p2prcd"])
    lab.home3.p2prc("spin", "keeps", "--", "/bin/sleep", "infinity")
    lab.home3.write("/root/goes.toml", 'name = "goes"\nport = 0\ndomain = "goes.home.example"\n[run]\ncommand = "exec python3 -m http.server --bind 127.0.0.1 $PORT"\ndata = false\n')
    lab.home3.p2prc("spin", "/root/goes.toml", timeout=120)
    before = lab.home3.run(["p2prc", "nodes", "drain", "home3", "--dry-run", "-o", "json"], check=False)
    assert before.code == 1, before
    planned = {row["process"]: row for row in json.loads(before.out)}
    assert codes(planned["keeps"]) == ["data"] and planned["keeps"]["to"] is None, planned
    assert planned["goes"]["to"] in ("root", "home1", "home2") and codes(planned["goes"]) == [], planned
    assert info(lab.home3, "goes")["node"] == "home3"
    result = lab.root.run(["p2prc", "nodes", "drain", "home3", "-o", "json"], check=False, timeout=180)
    rows = {row["process"]: row for row in json.loads(result.out)}
    assert result.code == 1 and codes(rows["goes"]) == [], rows
    to = rows["goes"]["to"]
    moved = info(lab.home1, "goes")
    assert moved["node"] == to and moved["epoch"] == 2 and moved["ready"], moved
    assert lab.machines[to].active("p2prc-goes.service")
    wait_until(lambda: not lab.home3.active("p2prc-goes.service"), 60, "the old one to be stopped")
    wait_until(lambda: lab.home1.json("info", "goes.home.example")["node"] == to, 20, "its domain to lead there")
    assert lab.home3.active("p2prc-keeps.service") and info(lab.home1, "keeps")["node"] == "home3"
    # What the node that had it says of it is nobody's status any more, and stays in the registry.
    with conquered(lab.root) as registry:
        left = registry.get(f"/status/home3/{moved['id']}")
    assert left["state"] == "stopped" and left["reason"]["kind"] == "fenced" and to in left["reason"]["detail"], left
    wait_until(lambda: node_state(lab.home1, "home3") == "up", 60, "the fleet to be back")
    # Nothing comes there any more, whatever its file prefers.
    rows = rows_of(lab.home1, "late", 'nodes = ["home3", "home2"]')
    assert "draining" in codes(rows["home3"]) and chosen(rows) == "home2", rows
    # It stays so over a restart, and nothing of what was moved begins anew there.
    lab.home3.run(["systemctl", "restart", "p2prcd"])
    wait_until(lambda: node_state(lab.home1, "home3") == "up" and shown(lab.home3, "home3")["draining"], 60, "home3 to be back")
    assert not lab.home3.active("p2prc-goes.service") and info(lab.home1, "goes")["node"] == to
    lab.home3.p2prc("nodes", "resume", "home3")
    wait_until(lambda: chosen(rows_of(lab.home1, "late", 'nodes = ["home3", "home2"]')) == "home3", 20, "home3 to be chosen again")


def drain(lab, *options):
    """Begins to drain home3, and waits until it is known."""
    process = lab.root.popen(["p2prc", "nodes", "drain", "home3", "-o", "json", *options], stdout=subprocess.PIPE, text=True)
    wait_until(lambda: shown(lab.root, "home3")["draining"], 60, "home3 to be drained")
    return process


def drained(process):
    """The exit status, and the rows by process."""
    out, _ = process.communicate(timeout=300)
    return process.returncode, {row["process"]: row for row in json.loads(out)}


def test_what_fits_nowhere_yet_is_moved_within_the_deadline(lab):
    lab.home3.p2prc("kill", "keeps")
    label(lab, "home3", "quiet")
    for name in [row["name"] for row in lab.home3.json("ps") if row["node"] == "home3"]:
        lab.root.p2prc("kill", name)
    lab.home3.write("/root/picky.toml", file_with("picky", 'require = { label = "quiet" }'))
    lab.home3.p2prc("spin", "/root/picky.toml", timeout=120)
    assert info(lab.home3, "picky")["node"] == "home3"
    # Whoever lets the node have processes again ends it.
    process = drain(lab, "--deadline", "1h")
    lab.root.p2prc("nodes", "resume", "home3")
    code, rows = drained(process)
    assert code == 1 and codes(rows["picky"]) == ["placement"] and info(lab.root, "picky")["node"] == "home3", rows
    assert not shown(lab.root, "home3")["draining"]
    process = drain(lab, "--deadline", "10m")
    label(lab, "home2", "quiet")
    code, rows = drained(process)
    assert code == 0 and rows["picky"]["to"] == "home2", rows
    assert info(lab.root, "picky")["node"] == "home2"
    lab.root.p2prc("nodes", "resume", "home3")
    assert lab.root.p2prc("nodes", "drain", "home3", "--deadline", "soon", check=False).code == 2
