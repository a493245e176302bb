"""What the owner of a machine decides about what others run on it."""

import json

from lab import wait_until
from lab.household import info, join, main_pid, make_fleet, spin, state, trust_fleet, wait_https, wait_reason, wait_state, web

MACHINES = ["root", "client", "acme", "home1", "home2"]

# Writes one more character every tenth of a second, and nothing while it is frozen.
TICKER = ["/bin/sh", "-c", 'while :; do printf x >>"$STATE_DIRECTORY/ticks"; sleep 0.1; done']


def ticks(machine, name):
    return int(machine.run(f"stat -c %s /var/lib/private/p2prc-data/{name}/ticks").out)


def frozen(machine, name):
    return machine.unit(f"p2prc-{name}.service")["FreezerState"] == "frozen"


def refused(machine, *words):
    """The exit status and the error object of a command that fails."""
    result = machine.run(["p2prc", *words, "-o", "json"], check=False, timeout=60)
    assert result.code, (words, result)
    return result.code, json.loads(result.out)["error"]


def test_the_machines_owner_pauses_what_another_node_has_spun(lab):
    make_fleet(lab, "home1")
    trust_fleet(lab, lab.client)
    spin(lab.root, "ticker", TICKER, node="home1", data=True)
    pid = main_pid(lab.home1, "ticker")
    lab.home1.p2prc("pause", "ticker")
    assert frozen(lab.home1, "ticker") and main_pid(lab.home1, "ticker") == pid
    known = wait_state(lab.root, "ticker", "paused")
    assert known["status"] is False and known["reason"]["kind"] == "paused", known
    assert known["reason"]["by"] == "root@home1" and known["reason"]["node"] == "home1", known
    before = ticks(lab.home1, "ticker")
    # As much time as a hundred ticks would need passes on the bus.
    for _ in range(20):
        lab.home1.json("ps")
    assert ticks(lab.home1, "ticker") == before


def test_elsewhere_it_can_be_neither_paused_nor_resumed(lab):
    for verb in ("pause", "resume"):
        code, error = refused(lab.root, verb, "ticker")
        assert code == 4 and "home1" in error["message"], error


def test_a_start_or_restart_says_that_it_is_paused_and_is_done_afterwards(lab):
    code, error = refused(lab.root, "restart", "ticker")
    assert code == 6 and "paused on 'home1' by root@home1" in error["message"] and "p2prc resume ticker" in error["hint"], error
    assert frozen(lab.home1, "ticker")
    pid = main_pid(lab.home1, "ticker")
    lab.home1.p2prc("resume", "ticker")
    wait_until(lambda: main_pid(lab.home1, "ticker") not in (0, pid), 30, "the restart that was asked for meanwhile")
    wait_state(lab.root, "ticker", "running")


def test_it_stays_paused_over_a_kill_of_p2prcd_with_the_root_away(lab):
    lab.root.run("systemctl stop p2prcd-control.socket p2prcd")
    lab.home1.p2prc("pause", "ticker")
    pid = main_pid(lab.home1, "ticker")
    daemon = lab.home1.unit("p2prcd.service")["MainPID"]
    lab.home1.run(f"kill -KILL {daemon}")
    wait_until(lambda: lab.home1.unit("p2prcd.service")["MainPID"] not in ("0", daemon), 30, "another p2prcd")
    assert wait_state(lab.home1, "ticker", "paused")["reason"]["by"] == "root@home1"
    assert frozen(lab.home1, "ticker") and main_pid(lab.home1, "ticker") == pid


def test_it_is_not_started_by_a_boot(lab):
    lab.home1.reboot()
    assert wait_state(lab.home1, "ticker", "paused", timeout=60)["reason"]["kind"] == "paused"
    assert not lab.home1.active("p2prc-ticker.service")
    lab.home1.power_cut()
    lab.home1.boot()
    wait_state(lab.home1, "ticker", "paused", timeout=60)
    assert not lab.home1.active("p2prc-ticker.service")
    lab.home1.p2prc("resume", "ticker")
    wait_state(lab.home1, "ticker", "running")
    lab.root.run("systemctl start p2prcd-control.socket p2prcd")
    wait_state(lab.root, "ticker", "running", timeout=60)


def test_visitors_are_told_at_once_and_nobody_is_named(lab):
    spin(lab.home1, "page", web("here"), port=8100, domain="page.home.example")
    wait_https(lab.client, "page.home.example", "here", timeout=60)
    lab.home1.p2prc("pause", "page")
    seen = lab.client.run(["curl", "--silent", "--max-time", "8", "--write-out", " %{http_code}", "https://page.home.example/"], timeout=20).out
    assert seen.endswith(" 503") and "switched off" in seen and "root@" not in seen, seen
    assert "paused" in next(row["reason"] for row in lab.root.json("domains") if row["domain"] == "page.home.example")
    lab.home1.p2prc("resume", "page")
    wait_https(lab.client, "page.home.example", "here")


def test_what_has_a_watchdog_is_stopped(lab):
    # No property says so that it was started with.
    lab.home1.p2prc("spin", "dog", "--", "/bin/sh", "-c", "systemd-notify WATCHDOG_USEC=600000000 WATCHDOG=1; exec sleep infinity")
    wait_until(lambda: lab.home1.unit("p2prc-dog.service")["WatchdogUSec"] == "10min", 20, "the watchdog of dog")
    lab.home1.p2prc("pause", "dog")
    assert not lab.home1.active("p2prc-dog.service")
    reason = info(lab.home1, "dog")["reason"]
    assert reason["kind"] == "paused" and "watchdog" in reason["detail"], reason
    lab.home1.p2prc("resume", "dog")
    assert state(lab.home1, "dog") == "running"


def test_what_is_frozen_is_stopped_and_killed_like_any_other(lab):
    lab.home1.p2prc("pause", "ticker")
    lab.root.p2prc("stop", "ticker")
    assert state(lab.root, "ticker") == "stopped" and not lab.home1.active("p2prc-ticker.service")
    code, _ = refused(lab.root, "start", "ticker")
    assert code == 6 and not lab.home1.active("p2prc-ticker.service")
    wait_state(lab.root, "ticker", "paused")
    lab.home1.p2prc("resume", "ticker")
    wait_state(lab.root, "ticker", "running")
    lab.home1.p2prc("pause", "ticker")
    lab.root.p2prc("kill", "ticker")
    assert not lab.home1.active("p2prc-ticker.service")
    # What is spun under that name now is another process.
    spin(lab.root, "ticker", TICKER, node="home1", data=True)
    assert state(lab.root, "ticker") == "running"


def test_all_of_a_node_is_paused_and_what_it_spins_later(lab):
    lab.home1.p2prc("pause", "--owner", "root")
    wait_state(lab.root, "ticker", "paused")
    assert state(lab.home1, "page") == "running", "it was spun here"
    spun = spin(lab.root, "late", ["/bin/sleep", "infinity"], node="home1", check=False)
    assert spun.code == 6 and "paused" in spun.err, spun
    assert not lab.home1.active("p2prc-late.service")
    code, error = refused(lab.home1, "resume", "late")
    assert code == 6 and "--owner root" in error["hint"], error
    lab.home1.p2prc("resume", "--owner", "root")
    wait_state(lab.root, "ticker", "running")
    wait_state(lab.root, "late", "running")


def group(machine, name):
    """The control group of the process's unit, from the top."""
    return machine.unit(f"p2prc-{name}.service")["ControlGroup"]


def most_tasks(machine, slice_name="p2prc-root.slice"):
    """What systemd lets the slice have, and the kernel where it counts tasks; a word."""
    limit = machine.unit(slice_name)["TasksMax"]
    counted = machine.run(["cat", f"/sys/fs/cgroup/p2prc.slice/{slice_name}/pids.max"], check=False).out.strip()
    assert counted in ("", limit.replace("infinity", "max")), (counted, limit)
    return limit


def counts_tasks(machine):
    """Whether the kernel does: there is a controller for it."""
    return machine.ok("grep -qw pids /sys/fs/cgroup/cgroup.controllers")


def owner(machine, name):
    return next((row for row in machine.json("owners") if row["owner"] == name), None)


def test_each_nodes_processes_run_in_its_slice(lab):
    assert group(lab.home1, "ticker") == "/p2prc.slice/p2prc-root.slice/p2prc-ticker.service"
    assert group(lab.home1, "page") == "/p2prc.slice/p2prc-page.service"
    mine, roots = owner(lab.home1, "home1"), owner(lab.home1, "root")
    assert mine["own"] and "page" in mine["processes"] and mine["memory_bytes"], mine
    assert set(roots["processes"]) == {"ticker", "late"} and roots["running"] == 2, roots
    assert roots["memory_bytes"] and roots["cpu_percent"] is not None and roots["outside"] == [], roots
    table = lab.home1.p2prc("owners").out
    assert "OWNER" in table and "2 of 2" in table, table
    # Whoever asks, it is about the machine where it is asked.
    assert [row["owner"] for row in lab.root.json("owners")] == ["root"]
    # It is measured, and found when it listens, there as well.
    assert info(lab.root, "ticker")["memory_bytes"]
    spin(lab.root, "shop", web("open"), node="home1", port=8101, domain="shop.home.example")
    wait_https(lab.client, "shop.home.example", "open", timeout=60)


def test_a_limit_counts_at_once_and_for_what_starts_later(lab):
    answer = lab.home1.json("owner", "limit", "root", "--tasks", "40")
    assert answer["tasks_limit"] == 40 and answer["limited_by"] == "root@home1", answer
    assert any("no pids" in note for note in answer["notes"]) != counts_tasks(lab.home1), answer
    assert most_tasks(lab.home1) == "40"
    if counts_tasks(lab.home1):
        forks = "i=0; while [ $i -lt 60 ]; do sleep 1000 & i=$((i+1)); done; wait"
        spun = spin(lab.root, "many", ["/bin/sh", "-c", forks], node="home1", restart="no", check=False)
        assert spun.code == 1, spun
        reason = wait_reason(lab.root, "many", "exit-code")
        assert "'root'" in reason["detail"] and "40 tasks" in reason["detail"], reason
        lab.root.p2prc("kill", "many")
        # A shell that could not fork meanwhile has ended, and was started again.
        wait_state(lab.root, "ticker", "running", timeout=60)
    # Nobody else is limited by it.
    assert lab.home1.unit("p2prc.slice")["TasksMax"] == "infinity"


def test_a_limit_below_what_is_in_use_says_so(lab):
    pid = main_pid(lab.home1, "late")
    result = lab.home1.p2prc("owner", "limit", "root", "--tasks", "1")
    assert ("tasks, and the limit is 1" in result.err) == counts_tasks(lab.home1), result
    assert main_pid(lab.home1, "late") == pid
    assert "of 1" in lab.home1.p2prc("owners").out
    lab.home1.p2prc("owner", "limit", "root", "--tasks", "none")
    assert most_tasks(lab.home1) == "infinity"
    wait_state(lab.root, "ticker", "running", timeout=60)
    assert "no effect" in lab.home1.p2prc("owner", "limit", "root", "--memory", "1G").err
    assert owner(lab.home1, "root")["memory_limit_bytes"] == 1 << 30


def test_what_is_no_limit_is_refused(lab):
    for words, code in ((("owner", "limit", "root"), 2), (("owner", "limit", "root", "--tasks", "lots"), 7),
                        (("owner", "limit", "rot", "--tasks", "5"), 3), (("owner", "limit", "home1", "--tasks", "5"), 7), (("owner",), 2)):
        assert refused(lab.home1, *words)[0] == code, words
    assert lab.home1.run(["p2prc", "owner", "limit", "root", "--tasks", "5"], check=False, user="nobody").code == 4


def test_limits_are_there_after_a_boot_with_the_root_away(lab):
    lab.root.run("systemctl stop p2prcd-control.socket p2prcd")
    lab.home1.p2prc("owner", "limit", "root", "--tasks", "30")
    assert most_tasks(lab.home1) == "30"
    lab.home1.reboot()
    wait_state(lab.home1, "ticker", "running", timeout=60)
    assert most_tasks(lab.home1) == "30"
    lab.home1.run("systemctl daemon-reload")
    assert most_tasks(lab.home1) == "30"
    lab.root.run("systemctl start p2prcd-control.socket p2prcd")
    wait_state(lab.root, "ticker", "running", timeout=60)


def move_to_the_old_slice(machine, name):
    """Runs the process's unit where earlier versions did: all properties but the slice are those that it has."""
    unit = f"p2prc-{name}.service"
    machine.run("systemctl stop p2prcd")
    fields = machine.run(f"grep ^LogExtraFields= /run/systemd/transient/{unit}").out.split()
    machine.run(f"systemctl stop {unit} && rm -r /run/systemd/system/{unit}.d")
    properties = [f"--property={field}" for field in fields]
    machine.run(["systemd-run", "--unit", unit, "--slice=p2prc.slice", "--service-type=exec", "--property=CollectMode=inactive", *properties, "sleep", "infinity"])
    machine.run("systemctl start p2prcd")


def test_what_runs_in_the_old_slice_is_adopted_and_comes_over_at_its_next_start(lab):
    move_to_the_old_slice(lab.home1, "late")
    pid = main_pid(lab.home1, "late")
    wait_state(lab.home1, "late", "running", timeout=60)
    assert main_pid(lab.home1, "late") == pid and group(lab.home1, "late") == "/p2prc.slice/p2prc-late.service"
    assert owner(lab.home1, "root")["outside"] == ["late"] and info(lab.home1, "late")["memory_bytes"]
    assert "late" in lab.home1.p2prc("owner", "limit", "root", "--tasks", "31").err
    lab.root.p2prc("restart", "late")
    assert group(lab.home1, "late") == "/p2prc.slice/p2prc-root.slice/p2prc-late.service"
    assert owner(lab.home1, "root")["outside"] == []


def test_a_node_whose_name_has_dashes_comes_back_under_another_name(lab):
    join(lab, lab.home2, name="big-old-shed")
    spin(lab.home2, "chess", ["/bin/sleep", "infinity"], node="home1")
    shed = "p2prc-big\\x2dold\\x2dshed.slice"
    assert group(lab.home1, "chess") == f"/p2prc.slice/{shed}/p2prc-chess.service"
    lab.home1.p2prc("owner", "limit", "big-old-shed", "--tasks", "20")
    assert most_tasks(lab.home1, shed) == "20"
    pid = main_pid(lab.home1, "chess")
    lab.home1.run("systemctl daemon-reload")
    lab.home1.run("systemctl restart p2prcd")
    wait_state(lab.home1, "chess", "running", timeout=60)
    assert main_pid(lab.home1, "chess") == pid and most_tasks(lab.home1, shed) == "20"
    lab.home1.p2prc("pause", "--owner", "big-old-shed")
    wait_state(lab.home2, "chess", "paused")
    lab.home2.p2prc("leave", timeout=120)
    join(lab, lab.home2, name="hut")
    wait_until(lambda: (owner(lab.home1, "hut") or {}).get("tasks_limit") == 20, 60, "the limit of the hut")
    assert owner(lab.home1, "hut")["paused_by"] == "root@home1"
    lab.home1.p2prc("resume", "--owner", "hut")
    spin(lab.home2, "draughts", ["/bin/sleep", "infinity"], node="home1")
    # In the slice where the limit is: it counts for both together.
    assert group(lab.home1, "draughts") == f"/p2prc.slice/{shed}/p2prc-draughts.service" and most_tasks(lab.home1, shed) == "20"
    # What it spun under the former name is still paused, and limited, by that one.
    assert owner(lab.home1, "big-old-shed")["tasks_limit"] == 20 and state(lab.home1, "chess") == "paused"


def test_whoever_has_spun_it_hears_who_killed_it(lab):
    lab.home1.p2prc("kill", "ticker")
    code, error = refused(lab.root, "info", "ticker")
    assert code == 3 and "root@home1" in error["message"], error
    code, error = refused(lab.root, "history", "ticker")
    assert code == 3 and "killed" in error["message"], error


def test_and_so_it_does_of_a_kill_while_the_root_was_away(lab):
    lab.root.run("systemctl stop p2prcd-control.socket p2prcd")
    lab.home1.p2prc("kill", "late")
    lab.root.run("systemctl start p2prcd-control.socket p2prcd")

    def told():
        return "root@home1" in lab.root.p2prc("info", "late", check=False).err
    wait_until(told, 60, "the root to hear who killed late")
