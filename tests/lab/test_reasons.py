"""Why it stopped: each kind that one machine can bring about, with the real thing bringing it about."""

import os
import re
import signal
import subprocess

from lab import wait_until
from lab.household import info, main_pid, spin, state, wait_reason, wait_state

MACHINES = ["home1"]

# Which test brings about each kind of core/stop_reason.cpp; script/check-tests compares the two. None: this version has nothing that does.
BROUGHT_ABOUT_BY = {
    "finished": "test_reasons::test_reasons_by_the_process_itself",
    "killed": "test_reasons::test_killed",
    "stopped": "test_reasons::test_stopped_by_p2prc_and_by_systemctl",
    "stopped-outside": "test_reasons::test_stopped_by_p2prc_and_by_systemctl",
    "exit-code": "test_reasons::test_reasons_by_the_process_itself",
    "signal": "test_reasons::test_reasons_by_the_process_itself",
    "core-dump": "test_reasons::test_a_crash",
    "oom-kill": "test_reasons::test_oom_kill",
    "timeout": "test_reasons::test_timeout",
    "watchdog": "test_reasons::test_watchdog",
    "start-failed": "test_reasons::test_a_start_that_fails_says_why_and_leaves_a_record",
    "start-limit": "test_reasons::test_start_limit",
    "deploy-failed": "test_deploy::test_a_script_that_fails",
    "resources": "test_reasons::test_resources",
    "protocol": "test_reasons::test_protocol",
    "not-ready": "test_ready::test_http_that_is_never_well",
    "unhealthy": "test_ready::test_what_is_not_healthy_any_more_is_restarted",
    "paused": "test_owners::test_the_machines_owner_pauses_what_another_node_has_spun",
    "update-failed": "test_update::test_one_that_crashes_at_once_is_taken_back",
    "shutdown": "test_reasons::test_a_clean_reboot_and_a_power_cut",
    "power-loss": "test_reasons::test_a_clean_reboot_and_a_power_cut",
    "node-lost": None,
    "moved": None,
    "fenced": "test_placement::test_a_drained_node_is_emptied_of_what_has_no_data",
    "unknown": "test_reasons::test_what_nothing_noted_is_unknown",
}


def run_until_told(lab, name, ending, restart="no", **options):
    """Spins a shell that says something, waits to be told, so that spin has seen it run, and then does `ending`."""
    spin(lab.home1, name, f"echo last words of {name}; while ! test -e /run/go-{name}; do sleep 0.05; done; {ending}", restart=restart, **options)
    lab.home1.run(["touch", f"/run/go-{name}"])


def wait_daemon(lab):
    wait_until(lambda: lab.home1.ok(["p2prc", "ps"]), 20, "p2prcd to answer")


def crashed(lab, name):
    """The kind of a crash: a core is dumped only where the kernel's pattern and limits let it, and systemd says whether it was."""
    said = lab.home1.journal("--identifier=systemd", f"--unit=p2prc-{name}.service")
    assert ("code=dumped" in said) != ("code=killed" in said), said
    return "core-dump" if "code=dumped" in said else "signal"


def test_reasons_by_the_process_itself(lab):
    for name, ending, kind, check in (
            ("status", "exit 3", "exit-code", lambda reason: reason["code"] == 3),
            ("done", "exit 0", "finished", lambda reason: reason["code"] is None),
            ("signalled", "kill -KILL $$", "signal", lambda reason: reason["signal"] == "SIGKILL")):
        run_until_told(lab, name, ending)
        reason = wait_reason(lab.home1, name, kind)
        assert check(reason), reason
        assert any(f"last words of {name}" in line for line in reason["log"]), reason
        assert reason["node"] == "home1" and reason["at"] and reason["epoch"] == info(lab.home1, name)["epoch"], reason
        wait_state(lab.home1, name, "stopped" if kind == "finished" else "failed")
        assert kind in lab.home1.p2prc("ps").out
        lab.home1.p2prc("kill", name)


def test_a_crash(lab):
    run_until_told(lab, "crash", "kill -SEGV $$")
    reason = wait_until(lambda: info(lab.home1, "crash")["reason"], 20, "its reason")
    assert (reason["kind"], reason["signal"]) == (crashed(lab, "crash"), "SIGSEGV"), reason


def test_a_crash_is_restarted_and_its_reason_stays(lab):
    spin(lab.home1, "crashes", ["/bin/sleep", "infinity"])
    pid = main_pid(lab.home1, "crashes")
    lab.home1.run(["kill", "-SEGV", str(pid)])
    wait_until(lambda: main_pid(lab.home1, "crashes") not in (0, pid), 20, "crashes to run again")
    wait_state(lab.home1, "crashes", "running")
    known = info(lab.home1, "crashes")
    assert (known["reason"]["kind"], known["reason"]["signal"], known["restarts"]) == (crashed(lab, "crashes"), "SIGSEGV", 1), known


def test_restarted_by_itself_after_a_failure(lab):
    spin(lab.home1, "phoenix", 'test -e "$STATE_DIRECTORY/once" && exec sleep infinity; touch "$STATE_DIRECTORY/once"; exit 7', check=False)
    known = wait_until(lambda: (p := info(lab.home1, "phoenix"))["state"] == "running" and p["restarts"] == 1 and p, 30, "phoenix to rise")
    assert (known["reason"]["kind"], known["reason"]["code"]) == ("exit-code", 7), known


def test_a_start_that_fails_says_why_and_leaves_a_record(lab):
    failed = spin(lab.home1, "absent", ["/usr/bin/there-is-no-such"], check=False)
    assert failed.code == 1 and "absent" in failed.err, failed
    reason = wait_reason(lab.home1, "absent", "start-failed")
    assert (reason["code"], reason["step"]) == (203, "EXEC"), reason
    assert state(lab.home1, "absent") == "failed"
    lab.home1.write("/root/secretive.toml", 'name = "secretive"\n[run]\ncommand = ["/bin/sleep", "9"]\ncredentials = { token = "/etc/no-such-file" }\n')
    assert lab.home1.p2prc("spin", "/root/secretive.toml", check=False).code == 1
    reason = wait_reason(lab.home1, "secretive", "start-failed")
    assert (reason["code"], reason["step"]) == (243, "CREDENTIALS"), reason
    assert "run.credentials" in reason["detail"], reason
    # What systemd says before the command is in its cgroup.
    assert any("Failed at step CREDENTIALS" in line for line in reason["log"]), reason
    assert "Failed at step CREDENTIALS" in lab.home1.p2prc("logs", "secretive").out
    # The child that should keep it to its ports fails first at what is no part of the sandbox.
    lab.home1.write("/root/foreign.toml", 'name = "foreign"\n[run]\nuser = "daemon"\ncommand = ["/bin/sleep", "999"]\nrestart = "always"\n')
    lab.home1.run("cp /etc/passwd /root/passwd")
    lab.home1.p2prc("spin", "/root/foreign.toml")
    lab.home1.run("sed -i /^daemon:/d /etc/passwd && systemctl kill --signal=KILL p2prc-foreign.service")
    reason = wait_reason(lab.home1, "foreign", "start-failed")
    lab.home1.run("cp /root/passwd /etc/passwd")
    assert (reason["code"], reason["step"]) == (217, "USER"), reason
    lab.home1.p2prc("kill", "foreign")


def test_a_bind_that_is_refused_is_explained(lab):
    for name, port, words in (("noport", None, "it may bind no port, as it has none: spin it with --port 8222"),
                              ("other", 8223, "it may bind only its own port 8223 ($PORT)")):
        spin(lab.home1, name, ["/usr/bin/python3", "-m", "http.server", "8222"], port=port, restart="no", check=False)
        reason = wait_reason(lab.home1, name, "exit-code")
        assert words in (reason["detail"] or ""), reason
        assert words in lab.home1.p2prc("info", name).out
        assert words in lab.home1.p2prc("status", check=False).out
        wait_until(lambda words=words, name=name: words in lab.home1.p2prc("logs", name).out, 20, "its log to say so")
        lab.home1.p2prc("kill", name)


def test_start_limit(lab):
    # It runs until it is told, so that spin has seen it run; from then on it ends as soon as it is executed.
    run_until_told(lab, "flaps", "echo flapping; exit 5", restart="always")
    reason = wait_reason(lab.home1, "flaps", "start-limit", timeout=60)
    assert reason["code"] == 5 and any("flapping" in line for line in reason["log"]), reason
    assert state(lab.home1, "flaps") == "failed"
    # Asking for it counts anew.
    tried = lab.home1.p2prc("logs", "flaps", "-n", "1000").out.count("flapping")
    lab.home1.p2prc("start", "flaps", check=False)
    wait_until(lambda: wait_reason(lab.home1, "flaps", "start-limit", timeout=60)["at"] != reason["at"], 60, "flaps to have reached its limit again")
    assert lab.home1.p2prc("logs", "flaps", "-n", "1000").out.count("flapping") == 2 * tried


def test_oom_kill(lab):
    if lab.home1.ok("grep -qw memory /sys/fs/cgroup/cgroup.controllers"):
        run_until_told(lab, "greedy", "exec python3 -c 'x = bytearray(1 << 30)'", limits={"memory": "32M"})
    else:
        # Without a memory controller the kernel's count is not there, so systemd is shown one where it looks for it.
        spin(lab.home1, "greedy", ["/bin/sleep", "infinity"], restart="no")
        group = "/sys/fs/cgroup/p2prc.slice/p2prc-greedy.service"
        lab.home1.run(f"mount -t tmpfs none {group} && echo populated 0 >{group}/cgroup.events && echo oom_kill 1 >{group}/memory.events && touch {group}/cgroup.procs")
        lab.home1.run(["kill", "-KILL", str(main_pid(lab.home1, "greedy"))])
        wait_until(lambda: not lab.home1.active("p2prc-greedy.service"), 60, "systemd to give up greedy")
        lab.home1.run(f"umount {group}")
    wait_reason(lab.home1, "greedy", "oom-kill")


def test_watchdog(lab):
    # sd_notify(3): a service may set its own watchdog; this one then falls silent.
    spin(lab.home1, "silent", "systemd-notify WATCHDOG_USEC=500000 WATCHDOG=1; exec sleep infinity", restart="no", wait=False)
    wait_reason(lab.home1, "silent", "watchdog", timeout=60)
    wait_state(lab.home1, "silent", "failed")


def test_timeout(lab):
    # What it leaves behind is told to end with it, and does not listen.
    run_until_told(lab, "deaf", "trap '' TERM; sleep 1000 & exit 0")
    reason = wait_reason(lab.home1, "deaf", "timeout", timeout=120)
    assert reason["step"] == "stop", reason
    assert state(lab.home1, "deaf") == "failed"


def test_protocol(lab):
    failed = spin(lab.home1, "hasty", "exit 0", restart="no", ready={"notify": True}, check=False)
    assert failed.code == 1 and "protocol" in failed.err, failed
    wait_reason(lab.home1, "hasty", "protocol")
    assert state(lab.home1, "hasty") == "failed"


def test_resources(lab):
    # PID 1 makes its private /var/tmp before there is a process that could say what is missing; it makes /var/tmp anew, but not in place of a file.
    lab.home1.run("mv /var/tmp /var/tmp.away && touch /var/tmp")
    try:
        failed = spin(lab.home1, "needy", ["/bin/sleep", "infinity"], restart="no", check=False)
    finally:
        lab.home1.run("rm /var/tmp && mv /var/tmp.away /var/tmp")
    assert failed.code == 1 and "resources" in failed.err, failed
    wait_reason(lab.home1, "needy", "resources")
    assert state(lab.home1, "needy") == "failed"


def test_killed(lab):
    # Its record goes with it, so that only those who listen are told why.
    spin(lab.home1, "gone", ["/bin/sleep", "infinity"])
    listener = lab.home1.popen(["sh", "-c", "exec gdbus monitor --system --dest org.p2prc1 --object-path /org/p2prc1 > /root/killed"], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: lab.home1.read("/root/killed") or None, 20, "gdbus to listen")
        lab.home1.p2prc("kill", "gone")
        told = wait_until(lambda: re.search(r"'process-killed'.*", lab.home1.read("/root/killed")), 20, "the kill to be told")[0]
        assert "'kind': <'killed'>" in told and "'by': <'root@home1'>" in told, told
    finally:
        os.killpg(listener.pid, signal.SIGKILL)


def test_stopped_by_p2prc_and_by_systemctl(lab):
    spin(lab.home1, "quiet", ["/bin/sleep", "infinity"])
    lab.home1.p2prc("stop", "quiet")
    reason = info(lab.home1, "quiet")["reason"]
    assert reason["kind"] == "stopped" and reason["by"] == "root@home1", reason
    lab.home1.p2prc("start", "quiet")
    lab.home1.run("systemctl stop p2prc-quiet.service")
    wait_reason(lab.home1, "quiet", "stopped-outside")
    wait_state(lab.home1, "quiet", "stopped")
    # It stays as the administrator left it, until somebody asks.
    lab.home1.run("systemctl restart p2prcd.service")
    wait_daemon(lab)
    assert state(lab.home1, "quiet") == "stopped"
    lab.home1.p2prc("start", "quiet")
    wait_state(lab.home1, "quiet", "running")


def test_what_stops_while_the_daemon_is_away_is_known_afterwards(lab):
    names = ("away-exit", "away-done", "away-signal", "away-stop", "away-crash")
    spin(lab.home1, "away-exit", "while ! test -e /run/go-away; do sleep 0.05; done; echo last words; exit 4", restart="no")
    spin(lab.home1, "away-done", "while ! test -e /run/go-away; do sleep 0.05; done; exit 0", restart="no")
    for name in names[2:]:
        spin(lab.home1, name, ["/bin/sleep", "infinity"], restart="on-failure" if name == "away-crash" else "no")
    crashing = main_pid(lab.home1, "away-crash")
    lab.home1.run("systemctl stop p2prcd.service")
    lab.home1.run(["touch", "/run/go-away"])
    lab.home1.run(["kill", "-KILL", str(main_pid(lab.home1, "away-signal"))])
    lab.home1.run(["kill", "-SEGV", str(crashing)])
    lab.home1.run("systemctl stop p2prc-away-stop.service")
    wait_until(lambda: not any(lab.home1.active(f"p2prc-{name}.service") for name in names[:4]), 10, "them to end")
    wait_until(lambda: main_pid(lab.home1, "away-crash") not in (0, crashing), 20, "away-crash to run again")
    lab.home1.run("systemctl start p2prcd.service")
    reason = wait_reason(lab.home1, "away-exit", "exit-code")
    assert reason["code"] == 4 and any("last words" in line for line in reason["log"]), reason
    wait_reason(lab.home1, "away-done", "finished")
    assert wait_reason(lab.home1, "away-signal", "signal")["signal"] == "SIGKILL"
    wait_reason(lab.home1, "away-stop", "stopped-outside")
    # systemd keeps nothing of a run that it has made another after: the journal does.
    known = wait_state(lab.home1, "away-crash", "running")
    assert known["restarts"] == 1, known
    reason = wait_until(lambda: info(lab.home1, "away-crash")["reason"], 20, "the reason of away-crash")
    assert (reason["kind"], reason["signal"]) == (crashed(lab, "away-crash"), "SIGSEGV"), reason
    for name in names:
        lab.home1.p2prc("kill", name)


def test_every_reason_that_was_brought_about_is_still_told(lab):
    kinds = {process["name"]: process["reason"]["kind"] for process in lab.home1.json("ps")}
    assert kinds == {
        "absent": "start-failed", "secretive": "start-failed", "crash": crashed(lab, "crash"), "crashes": crashed(lab, "crashes"),
        "phoenix": "exit-code", "flaps": "start-limit", "greedy": "oom-kill", "silent": "watchdog", "quiet": "stopped-outside",
        "deaf": "timeout", "hasty": "protocol", "needy": "resources"}, kinds


def test_a_clean_reboot_and_a_power_cut(lab):
    lab.home1.reboot()
    wait_reason(lab.home1, "quiet", "shutdown")
    wait_state(lab.home1, "quiet", "running")
    lab.home1.power_cut()
    lab.home1.boot()
    wait_reason(lab.home1, "quiet", "power-loss")
    wait_state(lab.home1, "quiet", "running")


def test_what_nothing_noted_is_unknown(lab):
    spin(lab.home1, "traceless", ["/bin/sleep", "infinity"], restart="no")
    lab.home1.run("systemctl stop p2prcd.service")
    # In order, as PID 1 then keeps nothing of the unit; and what it wrote into the journal goes.
    lab.home1.run(["kill", "-TERM", str(main_pid(lab.home1, "traceless"))])
    wait_until(lambda: not lab.home1.active("p2prc-traceless.service"), 20, "it to end")
    lab.home1.run("journalctl --sync && journalctl --rotate && journalctl --vacuum-time=1us")
    lab.home1.run("systemctl start p2prcd.service")
    wait_reason(lab.home1, "traceless", "unknown")
    lab.home1.p2prc("kill", "traceless")
