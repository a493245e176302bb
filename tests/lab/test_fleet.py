"""Several machines: joining through one and two NATs, tokens, spinning elsewhere, removal, and what goes on when a side is lost."""

import json

from lab import wait_until
from lab.household import (info, invite, join, main_pid, make_root, node_state, spin, state, wait_executed, wait_reason, wait_state)

MACHINES = ["root", "acme", "client", "home1", "home2", "home3"]
SLEEP = ["/bin/sleep", "infinity"]


def names(machine):
    return {process["name"] for process in machine.json("ps")}


def node_names(machine):
    return {node["name"] for node in machine.json("nodes")}


def wait_up(lab, *homes, seconds=60):
    for home in homes:
        wait_until(lambda home=home: node_state(lab.root, home) == "up", seconds, f"{home} to be up")


def wait_linked(machine, *processes, seconds=60):
    """Waits until the nodes of these processes answer `machine`: a state may still be that of before."""
    for process in processes:
        wait_until(lambda process=process: machine.ok(["p2prc", "logs", process, "-n", "1"]), seconds, f"the node of {process} to answer {machine.name}")


def refusal(machine, *words, **options):
    """The error of a command that is refused, with its exit status as `status`."""
    result = machine.run(["p2prc", words[0], "-o", "json", *words[1:]], check=False, **options)
    assert result.code != 0, result
    return json.loads(result.out)["error"] | {"status": result.code}


def test_a_zone_with_a_typing_error_gives_way(lab):
    lab.root.p2prc("init", "--name", "root", "--domain", "hoem.example", "--public-ip", lab.root.address, "--acme", "none", timeout=120)
    assert "ns1.home.example" in make_root(lab).out
    assert lab.root.json("init", "--public-ip", lab.root.address)["domain"] == "home.example"
    wait_until(lambda: lab.client.run(["dig", "+short", "+time=2", "+tries=1", f"@{lab.root.address}", "home.example", "NS"], check=False).out.strip(), 20,
               "the right zone to be served")


def test_init_makes_this_node_the_root(lab):
    out = make_root(lab).out
    assert "ns1.home.example" in out and lab.root.address in out and " NS " in out
    for unit in ("p2prc-edge.service", "p2prc-connector.service"):
        wait_until(lambda unit=unit: lab.root.active(unit), 20, f"{unit} to run")
        assert lab.root.unit(unit)["UnitFileState"] == "static"
    assert lab.root.run("ls /var/lib/p2prc/roles").out.split() == ["connector", "edge"]
    (node,) = lab.root.json("nodes")
    assert node["name"] == "root" and "owner" in node["roles"] and node["state"] == "up"


def test_init_again_changes_nothing(lab):
    make_root(lab)
    # With a name in the zone, it stays.
    lab.root.p2prc("map-domain", "waits.home.example", "nothing")
    other = refusal(lab.root, "init", "--domain", "other.example", "--public-ip", lab.root.address)
    assert other["status"] == 6 and "home.example" in other["message"], other
    lab.root.p2prc("unmap-domain", "waits.home.example")
    assert refusal(lab.root, "init", "--acme", "letsencrypte")["status"] == 7
    assert refusal(lab.root, "init", "--public-ip", "1.2.3")["status"] == 7
    # An address by itself is another one of the same zone.
    both = [lab.root.address, "2001:db8:113::10"]
    said = lab.root.json("init", "--public-ip", both[0], "--public-ip", both[1])
    assert said["public_ips"] == both and said["domain"] == "home.example", said
    assert lab.root.json("init", "--public-ip", both[0])["public_ips"] == both[:1]
    assert refusal(lab.home1, "init", "--public-ip", "203.0.113.99")["status"] == 7
    # Without one all of the machine's, of both families: it says which.
    said = lab.root.p2prc("init", "--domain", "home.example").err
    found = lab.root.json("status")["fleet"]["public_ips"]
    assert lab.root.address in found and all(address in said for address in found), (said, found)
    assert lab.root.json("init", "--public-ip", both[0])["public_ips"] == both[:1]


def test_init_without_the_edge_says_what_to_install(lab):
    refused = refusal(lab.home3, "init", "--domain", "x.example", "--public-ip", "203.0.113.99")
    assert "install the package p2prc-edge" in refused["hint"], refused


def test_a_token_is_alone_on_standard_output(lab):
    token = lab.root.p2prc("invite").out
    assert token.startswith("p2prc1_") and token.count("\n") == 1
    refused = refusal(lab.root, "invite", "--role", "guest")
    assert refused["status"] == 1 and "not in this version" in refused["message"], refused


def test_tokens_that_are_wrong_or_expired_are_refused(lab):
    token = invite(lab)
    middle = len(token) // 2
    forged = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1:]
    for wrong in (forged, "p2prc1_", "p2prc1_nonsense", "hello"):
        assert refusal(lab.home1, "join", wrong)["status"] == 7, wrong
    expired = invite(lab, "--expires", "1s")
    made = int(lab.root.run("date +%s").out)
    wait_until(lambda: int(lab.root.run("date +%s").out) > made + 1, 10, "the token to expire")
    refused = refusal(lab.home1, "join", expired)
    assert "expire" in json.dumps(refused), refused
    assert lab.home1.json("ps") == [] and node_names(lab.home1) == {"home1"} and node_names(lab.root) == {"root"}


def test_joining_through_one_nat_takes_processes_along(lab):
    # On root another process has the number that this one has at home.
    spin(lab.root, "roots", SLEEP)
    spin(lab.home1, "earlier", SLEEP)
    spin(lab.home1, "halted", SLEEP)
    lab.home1.p2prc("stop", "halted")
    pid = main_pid(lab.home1, "earlier")
    lab.token = invite(lab)
    join(lab, lab.home1, lab.token)
    assert main_pid(lab.home1, "earlier") == pid
    wait_state(lab.root, "earlier", "running")
    wait_state(lab.root, "halted", "stopped")
    assert info(lab.root, "halted")["reason"]["kind"] == "stopped"
    assert len({process["id"] for process in lab.root.json("ps")}) == 3
    assert info(lab.home1, "earlier")["node"] == "home1"


def test_who_came_along_is_known_by_its_new_number(lab):
    pid = main_pid(lab.home1, "earlier")
    lab.root.p2prc("kill", "roots")
    wait_until(lambda: not lab.root.active("p2prc-roots.service"), 20, "roots to be killed")
    lab.home1.run("systemctl restart p2prcd")
    wait_linked(lab.root, "earlier")
    wait_state(lab.root, "earlier", "running")
    assert main_pid(lab.home1, "earlier") == pid and not lab.home1.active("p2prc-halted.service")


def test_a_token_is_good_for_one_machine(lab):
    join(lab, lab.home1, lab.token)
    renamed = refusal(lab.home1, "join", lab.token, "--name", "other")
    assert renamed["status"] == 6 and "home1" in renamed["message"], renamed
    refused = join(lab, lab.home2, lab.token, check=False)
    assert refused.code == 4 and refused.err.strip(), refused
    assert node_state(lab.root, "home2") is None


def test_a_name_that_is_taken_refuses_the_whole_join(lab):
    spin(lab.home2, "earlier", SLEEP)
    spin(lab.home2, "harmless", SLEEP)
    refused = join(lab, lab.home2, check=False)
    assert refused.code == 6 and "earlier" in refused.err and "home1" in refused.err, refused
    assert names(lab.home2) == {"earlier", "harmless"} and "harmless" not in names(lab.root)
    lab.home2.p2prc("kill", "earlier")
    join(lab, lab.home2)


def test_joining_through_two_nats(lab):
    join(lab, lab.home3)
    wait_up(lab, "home3")
    for machine in (lab.root, lab.home1, lab.home2, lab.home3):
        wait_until(lambda machine=machine: node_names(machine) == {"home1", "home2", "home3", "root"}, 10, f"{machine.name} to know all nodes")
    wait_until(lambda: lab.root.json("nodes", "show", "home3")["nat"] is True, 20, "home3 to know of its NAT")
    node = lab.root.json("nodes", "show", "home3")
    assert node["via"] == "edge" and node["cpus"] >= 1 and len(node["id"]) == 64, node


def test_spinning_on_another_node(lab):
    spin(lab.root, "remote", ["/bin/sh", "-c", "echo from afar; exec sleep infinity"], node="home3")
    assert info(lab.root, "remote")["node"] == "home3"
    assert lab.home3.active("p2prc-remote.service") and not lab.root.active("p2prc-remote.service")
    wait_state(lab.home1, "remote", "running")
    for machine in (lab.root, lab.home1, lab.home3):
        wait_until(lambda machine=machine: "from afar" in machine.p2prc("logs", "remote").out, 20, f"the log of remote at {machine.name}")
    lab.root.p2prc("stop", "remote")
    assert not lab.home3.active("p2prc-remote.service")
    lab.root.p2prc("start", "remote")
    wait_until(lambda: lab.home3.active("p2prc-remote.service"), 10, "remote to run on home3")
    lost = refusal(lab.root, "spin", "lost", "--node", "nowhere", "--", "/bin/sleep", "1")
    assert lost["status"] == 3 and "nowhere" in lost["message"], lost


def test_a_name_is_the_fleets(lab):
    refused = spin(lab.home1, "remote", ["/bin/sleep", "1"], check=False)
    assert refused.code == 4 and "home3" in refused.err and "choose another name" in refused.err, refused


def test_a_member_changes_only_what_is_its_own(lab):
    for verb in ("kill", "stop", "restart"):
        assert refusal(lab.home1, verb, "harmless")["status"] == 4
    assert refusal(lab.home1, "nodes", "rm", "home2")["status"] == 4
    assert refusal(lab.home1, "invite")["status"] == 4
    assert lab.home2.active("p2prc-harmless.service")


def test_homes_limit_what_others_spin_on_them(lab):
    lab.root.write("/root/asuser.toml", 'name = "asuser"\n[run]\ncommand = ["/bin/sleep", "infinity"]\nuser = "root"\n')
    refused = refusal(lab.root, "spin", "/root/asuser.toml", "--node", "home3")
    assert refused["status"] == 4 and "home3" in refused["message"], refused

    def set_policy(word):
        lab.home3.write("/etc/p2prc/p2prcd.toml.d/remote.toml", f'[remote]\nspin = "{word}"\n')
        lab.home3.run("systemctl reload p2prcd")
    set_policy("no")
    wait_until(lambda: lab.root.run("p2prc spin no --node home3 -- /bin/sleep infinity; p2prc kill no", check=False).code == 3, 20, "home3 to refuse")
    refused = refusal(lab.root, "spin", "no", "--node", "home3", "--", "/bin/sleep", "1")
    assert refused["status"] == 4 and "home3" in refused["message"], refused
    set_policy("any")
    wait_until(lambda: lab.root.ok("p2prc spin /root/asuser.toml --node home3"), 20, "home3 to let it in")
    wait_state(lab.root, "asuser", "running")
    lab.root.p2prc("kill", "asuser")
    lab.home3.run("rm /etc/p2prc/p2prcd.toml.d/remote.toml && systemctl reload p2prcd")


def test_a_cut_cable_and_a_changed_address(lab):
    pid = main_pid(lab.home1, "earlier")
    lab.home1.link_down()
    wait_until(lambda: node_state(lab.root, "home1") == "suspect", 60, "root to miss home1")
    wait_until(lambda: node_state(lab.root, "home1") == "lost", 60, "root to give home1 up")
    assert state(lab.root, "earlier") == "lost"
    # Its own processes are still its own.
    lab.home1.p2prc("stop", "earlier")
    lab.home1.p2prc("start", "earlier")
    assert main_pid(lab.home1, "earlier") not in (0, pid)
    assert spin(lab.home1, "unreachable", ["/bin/sleep", "1"], check=False).code == 5
    lab.home1.link_up()
    wait_up(lab, "home1", seconds=30)
    wait_state(lab.root, "earlier", "running")
    lab.network.readdress("router1", 121)
    wait_until(lambda: lab.root.ok(["p2prc", "spin", "moved", "--node", "home1", "--", "/bin/sleep", "infinity"]), 60, "home1 to answer from its router's new address")
    lab.home1.change_address(77)
    wait_until(lambda: lab.home1.ok(["p2prc", "restart", "moved"]), 60, "home1 to reach the registry from its new address")


def test_a_suspended_machine_is_missed_and_comes_back(lab):
    told = ("state", "reason", "since", "restarts", "epoch")
    before = info(lab.home2, "harmless")
    lab.home2.suspend()
    wait_until(lambda: node_state(lab.root, "home2") != "up", 60, "root to miss home2")
    lab.home2.resume()
    wait_up(lab, "home2", seconds=30)
    # It was not judged by the time that it slept: what it ran, it runs.
    for machine in (lab.home2, lab.root):
        wait_until(lambda machine=machine: {key: info(machine, "harmless")[key] for key in told} == {key: before[key] for key in told}, 20,
                   f"harmless to be at {machine.name} what it was before")


def test_without_the_root_homes_go_on_with_their_own(lab):
    spin(lab.home1, "passing", SLEEP)
    spin(lab.home1, "resting", SLEEP)
    spin(lab.home1, "asleep", SLEEP)
    lab.home1.p2prc("stop", "asleep")
    pids = {machine: main_pid(machine, name) for machine, name in ((lab.home1, "earlier"), (lab.home3, "remote"))}
    lab.root.power_cut()
    wait_until(lambda: spin(lab.home1, "nothing", ["/bin/sleep", "1"], check=False).code == 5, 60, "home1 to miss root")
    assert state(lab.home1, "earlier") == "running" and "harmless" in names(lab.home1)
    assert lab.home1.ok("p2prc logs earlier -n 1") and lab.home1.ok("p2prc nodes") and lab.home1.p2prc("status", check=False).code == 1
    lab.home1.p2prc("restart", "passing")
    lab.home1.p2prc("kill", "passing")
    lab.home1.p2prc("kill", "asleep")
    assert not lab.home1.active("p2prc-passing.service") and not names(lab.home1) & {"passing", "asleep"}
    lab.home1.p2prc("stop", "resting")
    assert state(lab.home1, "resting") == "stopped"
    for words in (["map-domain", "x.home.example", "earlier"], ["invite"], ["kill", "remote"], ["logs", "remote"],
                  ["spin", "y", "--node", "home3", "--", "/bin/sleep", "1"]):
        refused = refusal(lab.home1, *words)
        assert refused["status"] == 5 and refused["hint"], (words, refused)
    lab.root.boot()
    wait_linked(lab.root, "earlier", "harmless", "remote")
    wait_up(lab, "home1", "home2", "home3")
    assert main_pid(lab.home1, "earlier") == pids[lab.home1] and main_pid(lab.home3, "remote") == pids[lab.home3]
    assert names(lab.root) >= {"earlier", "remote", "harmless", "moved"}
    # What was asked for meanwhile holds everywhere.
    wait_until(lambda: not names(lab.root) & {"passing", "asleep"}, 20, "the kills to reach the registry")
    wait_state(lab.root, "resting", "stopped")
    assert not lab.home1.active("p2prc-resting.service") and not lab.home1.active("p2prc-passing.service")


def test_a_home_that_loses_power_runs_its_processes_again(lab):
    lab.home3.power_cut()
    wait_until(lambda: node_state(lab.root, "home3") != "up", 60, "root to miss home3")
    lab.home3.boot()
    wait_state(lab.root, "remote", "running", timeout=60)
    wait_reason(lab.root, "remote", "power-loss")


def test_a_home_boots_without_the_root(lab):
    lab.home3.power_cut()
    lab.root.power_cut()
    lab.home3.boot()
    wait_state(lab.home3, "remote", "running", timeout=60)
    lab.root.boot()
    wait_linked(lab.root, "earlier", "harmless", "remote")
    wait_up(lab, "home1", "home2", "home3")


def test_wrong_clocks_keep_nobody_out(lab):
    lab.home2.set_clock("-3y")
    lab.root.set_clock("+2y")
    wait_up(lab, "home2")
    wait_until(lambda: lab.root.ok("p2prc spin clockwork --node home2 -- /bin/sleep infinity"), 60, "a spin on home2 with both clocks wrong")
    wait_state(lab.root, "clockwork", "running")
    lab.home2.set_clock(None)
    lab.root.set_clock(None)
    wait_linked(lab.root, "earlier", "harmless", "remote")


def test_an_older_copy_of_the_registry_kills_nothing(lab):
    stop = "systemctl stop p2prcd.service p2prcd-control.socket"
    lab.root.run(f"{stop} && cp -a /var/lib/p2prc /var/lib/older && systemctl start p2prcd.service")
    wait_linked(lab.root, "earlier", "harmless")
    # Since the copy: new processes, one that was started and one that was restarted.
    spin(lab.root, "younger", SLEEP, node="home1", port=0, wait=False)
    spin(lab.home2, "clash", SLEEP)
    lab.home1.p2prc("start", "resting")
    lab.home1.p2prc("restart", "moved")
    pids = {name: main_pid(lab.home1, name) for name in ("earlier", "younger", "resting", "moved")}
    clash = main_pid(lab.home2, "clash")
    assert 0 not in pids.values()
    younger = info(lab.root, "younger")
    for home in (lab.home1, lab.home2):
        home.link_down()
    lab.root.run(f"{stop} && rm -r /var/lib/p2prc && mv /var/lib/older /var/lib/p2prc && systemctl start p2prcd.service")
    # A name of the time after the copy is given again before its holder comes back.
    spin(lab.root, "clash", SLEEP)
    for home in (lab.home1, lab.home2):
        home.link_up()
    wait_linked(lab.root, "earlier", "harmless")
    for name in pids:
        wait_executed(lab.root, name)
    again = info(lab.root, "younger")
    assert (again["id"], again["node"], again["port"]) == (younger["id"], "home1", younger["port"])
    assert {name: main_pid(lab.home1, name) for name in pids} == pids
    # The name is root's now: what runs under it on home2 goes on, and that is said.
    assert info(lab.root, "clash")["node"] == "root" and main_pid(lab.home2, "clash") == clash
    for machine in (lab.root, lab.home2):
        wait_until(lambda machine=machine: "clash" in json.dumps(machine.json("status")["problems"]), 20, f"{machine.name} to name the conflict")
    lab.root.p2prc("kill", "clash")
    wait_until(lambda: info(lab.root, "clash")["node"] == "home2", 90, "the name to go to what runs under it")
    assert main_pid(lab.home2, "clash") == clash


def test_a_removed_node_is_out_at_once(lab):
    pid = main_pid(lab.home2, "harmless")
    lab.root.p2prc("nodes", "rm", "home2")
    assert node_state(lab.root, "home2") is None
    assert spin(lab.home2, "after", ["/bin/sleep", "1"], check=False).code == 5
    assert main_pid(lab.home2, "harmless") == pid
    wait_until(lambda: "leave --force" in lab.home2.p2prc("status", check=False).out, 60, "home2 to learn why")
    assert spin(lab.root, "after", ["/bin/sleep", "1"], node="home2", check=False).code == 3
    assert lab.root.run("p2prc nodes rm home2", check=False).code == 3
    # It is its own master again, with what it ran.
    lab.home2.p2prc("leave", "--force")
    assert node_names(lab.home2) == {"home2"} and "harmless" in names(lab.home2)
    assert main_pid(lab.home2, "harmless") == pid
    join(lab, lab.home2)
    wait_state(lab.root, "harmless", "running")
    assert main_pid(lab.home2, "harmless") == pid


def test_leaving(lab):
    pids = {name: main_pid(lab.home1, name) for name in ("earlier", "younger")}
    lab.home1.p2prc("leave")
    wait_until(lambda: node_state(lab.root, "home1") is None, 10, "root to forget home1")
    assert node_names(lab.home1) == {"home1"} and names(lab.home1) >= {"earlier", "halted", "younger"}
    assert state(lab.home1, "earlier") == "running" and state(lab.home1, "halted") == "stopped"
    assert {name: main_pid(lab.home1, name) for name in pids} == pids
    assert not names(lab.root) & names(lab.home1)
    lab.home1.p2prc("kill", "earlier")
    assert not lab.home1.active("p2prc-earlier.service") and lab.home1.active("p2prc-younger.service")


def test_leaving_without_the_root(lab):
    lab.root.power_off()
    wait_until(lambda: spin(lab.home3, "nothing", ["/bin/sleep", "1"], check=False).code == 5, 60, "home3 to miss root")
    pid = main_pid(lab.home3, "remote")
    refused = refusal(lab.home3, "leave")
    assert refused["status"] == 5 and "--force" in refused["hint"], refused
    lab.home3.p2prc("leave", "--force")
    assert node_names(lab.home3) == {"home3"} and main_pid(lab.home3, "remote") == pid
    assert state(lab.home3, "remote") == "running"
