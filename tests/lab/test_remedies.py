"""What the remedies of a process file do once a process has failed, on real machines."""

import json

from lab import wait_until
from lab.errors import LabError
from lab.household import info, make_fleet, node_state, wait_state

MACHINES = ["root", "acme", "home1", "home2", "home3"]
HOMES = ["home1", "home2", "home3"]

# Each run of it adds a line to its data.
COUNT = 'echo run >>"$STATE_DIRECTORY/runs"; '


def file_of(name, command, *remedies, restart="no", data=True, more=""):
    lines = [f'name = "{name}"', more, "[run]", f"command = {json.dumps(command)}", f'restart = "{restart}"', f"data = {json.dumps(data)}"]
    for remedy in remedies:
        lines += ["[[remedy]]"] + [f"{key} = {json.dumps(value)}" for key, value in remedy.items()]
    return "\n".join(lines) + "\n"


def spin(machine, name, command, *remedies, wait=False, **options):
    """Without `wait` it may have ended before the command returns, which is a failure of that then."""
    machine.write(f"/root/{name}.toml", file_of(name, command, *remedies, **options))
    return machine.p2prc("spin", f"/root/{name}.toml", *([] if wait else ["--no-wait"]), timeout=180, check=wait)


def runs_of(machine, name):
    return int(machine.run(f"cat /var/lib/p2prc-data/{name}/runs 2>/dev/null | wc -l", check=False).out)


def wait_next(machine, name, words, timeout=90):
    """Waits until it has failed and says this of what comes next; returns its information."""
    def seen():
        known = info(machine, name)
        if known["state"] != "failed" or words not in (known["next"] or ""):
            raise LabError(f"{name} on {known['node']} is {known['state']}, next {known['next']}, reason {known['reason']}")
        return known
    return wait_until(seen, timeout, f"{name} to say {words!r}")


def kill_daemon(machine):
    machine.run(["systemctl", "kill", "--signal=KILL", "p2prcd"])
    wait_until(lambda: machine.run(["p2prc", "ps"], check=False).code == 0, 60, f"p2prcd of {machine.name} to be back")


def notices(machine, name):
    lines = machine.run(["journalctl", "-q", "-o", "cat", "-t", "p2prcd-notify"]).out.splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return [notice for notice in found if notice["process"] == name]


def setup(lab):
    make_fleet(lab, *HOMES)
    for name in HOMES:
        home = lab.machines[name]
        wait_until(lambda name=name: node_state(lab.home1, name) == "up", 60, f"{name} to be up")
        home.write("/etc/p2prc/notify.d/tell", "#!/bin/sh\nid -u >&2; exec cat\n")
        home.write("/etc/p2prc/notify.d/anybody", "#!/bin/sh\necho must not be run\n")
        home.run("chmod 0755 /etc/p2prc/notify.d /etc/p2prc/notify.d/tell; chmod 0777 /etc/p2prc/notify.d/anybody")


def test_a_mistake_is_named(lab):
    lab.home1.write("/root/wrong.toml", file_of("wrong", "true", {"reason": "oom-kil", "action": "move"}))
    refused = lab.home1.p2prc("spin", "/root/wrong.toml", check=False)
    assert refused.code == 7 and "remedy[0].reason" in refused.err and "did you mean 'oom-kill'?" in refused.err, refused


def test_it_is_restarted_until_it_runs(lab):
    spin(lab.home1, "flaky", COUNT + 'test $(wc -l <"$STATE_DIRECTORY/runs") -ge 3 || exit 3; exec sleep infinity',
         {"reason": "signal", "action": "none"}, {"reason": "exit-code", "code": 3, "action": "restart"})
    wait_until(lambda: runs_of(lab.home1, "flaky") == 3, 90, "the third run")
    known = wait_state(lab.home1, "flaky", "running", 60)
    assert known["reason"]["kind"] == "exit-code" and known["reason"]["code"] == 3 and known["next"] is None, known


def test_the_budget_is_used_up_once(lab):
    spin(lab.home1, "broken", COUNT + "exit 3", {"reason": "exit-code", "action": "restart"})
    known = wait_next(lab.home1, "broken", "actions left this hour")
    assert "(remedy 1: exit-code)" in known["next"] and "restart in" in known["next"], known
    wait_until(lambda: runs_of(lab.home1, "broken") >= 3, 60, "the third run")
    kill_daemon(lab.home1)
    known = wait_next(lab.home1, "broken", "5 actions this hour are used up", 180)
    assert runs_of(lab.home1, "broken") == 6 and known["reason"]["code"] == 3, known
    kill_daemon(lab.home1)
    assert wait_next(lab.home1, "broken", "5 actions this hour are used up") and runs_of(lab.home1, "broken") == 6
    told = wait_until(lambda: notices(lab.home1, "broken"), 30, "the notice")
    assert len(told) == 1 and "used up" in told[0]["next"], told
    # Somebody looks at it.
    lab.home1.p2prc("start", "broken", "--no-wait", check=False)
    wait_next(lab.home1, "broken", "actions left this hour")
    lab.home1.p2prc("kill", "broken")


def test_people_are_told(lab):
    spin(lab.home1, "told", "echo there is no such table; exit 4", {"reason": "exit-code", "step": "none", "action": "restart"},
         {"reason": "exit-code", "action": "notify"})
    notice = wait_until(lambda: notices(lab.home1, "told"), 60, "the notice")[0]
    known = wait_state(lab.home1, "told", "failed")
    assert (notice["node"], notice["id"], notice["revision"], notice["next"]) == ("home1", known["id"], 1, None), notice
    reason = notice["reason"]
    assert reason["kind"] == "exit-code" and reason["code"] == 4 and reason["log"] == ["there is no such table"] and notice["at"] == reason["at"], notice
    journal = lab.home1.run(["journalctl", "-q", "-o", "cat", "-t", "p2prcd-notify"]).out
    assert "must not be run" not in journal and "\n0\n" not in journal, journal
    kill_daemon(lab.home1)
    assert info(lab.home1, "told")["state"] == "failed" and len(notices(lab.home1, "told")) == 1


def test_none_leaves_it(lab):
    spin(lab.home1, "left", "exit 1", {"reason": "start-limit", "action": "none"}, restart="on-failure")
    known = wait_state(lab.home1, "left", "failed", 60)
    assert known["reason"]["kind"] == "start-limit" and known["reason"]["cause"] == "exit-code" and known["next"] is None, known
    assert "tried again" not in known["reason"]["detail"], known


def test_without_a_remedy_the_next_attempt_is_named(lab):
    spin(lab.home1, "tried", "exit 1", restart="on-failure")
    wait_next(lab.home1, "tried", "another attempt in")
    lab.home1.p2prc("kill", "tried")


def test_it_is_deployed_again(lab):
    deploy = '\n'.join(["[deploy]", 'strategy = "script"', f"script = {json.dumps('echo run >>$STATE_DIRECTORY/runs; date +%N >made')}"])
    spin(lab.home1, "made", 'test $(wc -l <"$STATE_DIRECTORY/runs") -ge 2 || exit 5; exec sleep infinity', {"reason": "exit-code", "action": "redeploy"}, more=deploy)
    wait_until(lambda: runs_of(lab.home1, "made") == 2, 90, "the second deployment")
    wait_state(lab.home1, "made", "running", 60)


def test_an_update_that_was_good_is_taken_back(lab):
    remedy = {"reason": "exit-code", "action": "rollback"}
    spin(lab.home1, "shop", "exec sleep infinity", remedy, wait=True)
    spin(lab.home1, "shop", 'while ! test -e "$STATE_DIRECTORY/die"; do sleep 0.2; done; exit 7', remedy, wait=True)

    def outcome():
        rows = json.loads(lab.home1.p2prc("history", "shop", "-o", "json").out)
        return {row["revision"]: row["outcome"] for row in rows if row["revision"]}.get(2)
    wait_until(lambda: outcome() == "good", 60, "revision 2 to be good")
    lab.home1.run("touch /var/lib/p2prc-data/shop/die")
    wait_until(lambda: outcome() == "rolled-back", 60, "revision 2 to be taken back")
    known = wait_state(lab.home1, "shop", "running", 30)
    assert known["revision"] == 1 and known["reason"]["kind"] == "update-failed" and "exit-code 7" in known["reason"]["detail"], known


def test_data_keeps_it_where_it_is(lab):
    spin(lab.home2, "bound", "exit 3", {"reason": "exit-code", "action": "move"})
    wait_next(lab.home2, "bound", "its data is on this node")
    assert info(lab.home2, "bound")["node"] == "home2"


def test_what_ends_early_on_two_nodes_stays(lab):
    spin(lab.home2, "early", "exit 3", {"reason": "exit-code", "action": "move"}, data=False)
    known = wait_next(lab.home2, "early", "on two nodes")
    assert known["epoch"] == 2 and known["node"] != "home2", known


def test_what_fails_everywhere_is_moved_three_times(lab):
    spin(lab.home3, "tour", "sleep 12; exit 3", {"reason": "exit-code", "action": "move"}, data=False)
    second = wait_until(lambda: info(lab.home3, "tour")["epoch"] == 2 and info(lab.home3, "tour")["node"], 90, "the first move")
    kill_daemon(lab.machines[second])
    kill_daemon(lab.root)
    known = wait_next(lab.home3, "tour", "3 moves today are used up", 240)
    assert known["epoch"] == 4 and known["reason"]["kind"] == "exit-code" and known["reason"]["code"] == 3, known
    for machine in (lab.root, lab.home1, lab.home2, lab.home3):
        assert not machine.active("p2prc-tour.service"), machine.name
    lab.home3.p2prc("start", "tour", "--no-wait", check=False)
    wait_until(lambda: info(lab.home3, "tour")["epoch"] == 5, 90, "a move after somebody has started it")
