"""What the owner of a machine decides about what others run on it."""

import json

from lab import wait_until
from lab.household import info, main_pid, make_fleet, spin, state, trust_fleet, wait_https, wait_state, web

MACHINES = ["root", "client", "acme", "home1"]

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
