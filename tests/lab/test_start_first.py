"""The next revision serves before the one that ran is stopped: nobody fails, whatever becomes of it."""

import subprocess

import test_update
from lab import wait_until
from lab.errors import LabError
from lab.household import info, process_file, visitors, wait_https, wait_state
from test_update import SERVER, all_served, history, kill_p2prcd, last_revision, outcomes, phase, wait_outcome

MACHINES = test_update.MACHINES
UNITS = ["p2prc-web.service", "p2prc-web_2.service"]


def setup(lab):
    test_update.setup(lab)


def version(text, mode="late", **more):
    file = process_file("web", ["/usr/bin/python3", "-c", SERVER, text, mode], port=0, domain="web.home.example",
                        update={"order": "start-first", "hold": "0s"}, **more)
    return file.replace("[run]", "[run]\ndata = false")


def update(lab, text, mode="late", **more):
    lab.home1.write("/root/web.toml", version(text, mode, **more))
    return lab.home1.run(["p2prc", "spin", "/root/web.toml"], timeout=300, check=False)


def begin(lab, text, mode="late"):
    lab.home1.write("/root/web.toml", version(text, mode))
    return lab.home1.p2prc("spin", "--no-wait", "/root/web.toml", timeout=60)


def active(lab):
    return [unit for unit in UNITS if lab.home1.run(["systemctl", "is-active", unit], check=False).out.strip() in ("active", "activating", "deactivating")]


def wait_one_unit(lab):
    """Exactly one of the two runs."""
    def alone():
        units = active(lab)
        if len(units) != 1:
            raise LabError(f"{units} run")
        return units[0]
    unit = wait_until(alone, 120, "one unit to be left")
    wait_until(lambda: info(lab.home1, "web")["state"] == "running", 60, "it to be running")
    assert active(lab) == [unit]
    return unit


def pid_of(lab, unit):
    return lab.home1.run(["systemctl", "show", "-P", "MainPID", unit]).out.strip()


def test_a_good_update_fails_nobody_and_nobody_waits(lab):
    first = update(lab, "one")
    assert first.code == 0, first
    wait_https(lab.client, "web.home.example", "one", timeout=60)
    assert active(lab) == UNITS[:1]
    port = info(lab.home1, "web")["port"]
    seen, done = visitors(lab.client, "web.home.example", lambda: update(lab, "two"))
    assert done.code == 0, done
    assert "'web' becomes revision 2 on home1, which takes over once it has proved itself" in done.err, done.err
    all_served(seen, "one", "two")
    assert outcomes(lab) == [(2, "good"), (1, "good")]
    known = info(lab.home1, "web")
    assert known["revision"] == 2 and known["next"] is None and known["reason"]["detail"] == "for revision 2", known
    assert known["port"] != port, known
    assert wait_one_unit(lab) == UNITS[1]
    assert "stopped" in {row["stop"] for row in test_update.rows(lab) if row["stop"]}
    wait_until(lambda: info(lab.home1, "web")["memory_bytes"], 60, "what the second unit uses to be told")


def test_the_next_one_takes_the_first_unit_again(lab):
    seen, done = visitors(lab.client, "web.home.example", lambda: update(lab, "three", "well"))
    assert done.code == 0, done
    all_served(seen, "two", "three")
    assert wait_one_unit(lab) == UNITS[0]
    assert outcomes(lab)[0] == (3, "good")


def not_kept(lab, text, mode, *words, **more):
    """The update fails and says why; what serves is as it was, and nobody has noticed."""
    before, unit = info(lab.home1, "web"), wait_one_unit(lab)
    pid = pid_of(lab, unit)
    seen, done = visitors(lab.client, "web.home.example", lambda: update(lab, text, mode, **more))
    assert done.code == 1, done
    for word in (*words, f"revision {before['revision']} runs on"):
        assert word in done.err, (word, done.err)
    all_served(seen, "three")
    known = info(lab.home1, "web")
    assert known["state"] == "running" and known["restarts"] == 0, known
    assert wait_one_unit(lab) == unit and pid_of(lab, unit) == pid != "0"
    revision, outcome = outcomes(lab)[0]
    assert outcome == "rolled-back" and history(lab)[0]["reason"], history(lab)[0]
    wait_until(lambda: info(lab.home1, "web")["port"] == before["port"], 20, "its port to be told again")
    return revision


def test_one_that_is_bad_stops_nothing(lab):
    not_kept(lab, "four", "crash", "not kept: exit-code 1", "there is no such table")
    not_kept(lab, "five", "deaf", "not-ready at port", ready={"port": True, "timeout": "3s"})
    not_kept(lab, "six", "500", "not-ready at http", "500", ready={"http": "/", "timeout": "3s"})
    # The check of its own file is who has asked it.
    not_kept(lab, "seven", "soon", "exit-code 7", ready={"http": "/"})


def test_a_visitor_is_served_to_the_end_by_whom_it_was_begun_with(lab):
    visitor = lab.client.popen(["curl", "-sS", "--max-time", "60", "https://web.home.example/slow"], stdout=subprocess.PIPE, text=True)
    try:
        done = update(lab, "eight", "well")
        assert done.code == 0, done
        assert visitor.poll() is None, "the visitor is still waiting"
        wait_https(lab.client, "web.home.example", "eight", timeout=10)
        assert visitor.communicate(timeout=60)[0] == "three"
    finally:
        if visitor.poll() is None:
            visitor.kill()
            visitor.wait()
    wait_one_unit(lab)


def test_the_logs_are_those_of_both(lab):
    logs = lab.home1.p2prc("logs", "web", "-n", "1000").out
    assert "there is no such table" in logs, logs[-2000:]


def test_p2prcd_is_killed_while_the_new_one_starts(lab):
    begun = begin(lab, "nine")
    assert "'web' becomes revision 9 on home1: revision 9 takes over if" in begun.err and "runs revision 9" not in begun.err, begun.err
    wait_until(lambda: len(active(lab)) == 2, 60, "both to run")
    seen, _ = visitors(lab.client, "web.home.example", lambda: (kill_p2prcd(lab), wait_outcome(lab, last_revision(lab), "good")))
    all_served(seen, "eight", "nine")
    wait_https(lab.client, "web.home.example", "nine", timeout=30)
    wait_one_unit(lab)


def test_p2prcd_is_killed_while_the_new_one_proves_itself(lab):
    begin(lab, "ten", "well")
    wait_until(lambda: "if it stays up" in phase(lab), 60, "it to prove itself")
    seen, _ = visitors(lab.client, "web.home.example", lambda: (kill_p2prcd(lab), wait_outcome(lab, last_revision(lab), "good")))
    all_served(seen, "nine", "ten")
    wait_https(lab.client, "web.home.example", "ten", timeout=30)
    wait_one_unit(lab)


def test_p2prcd_is_killed_while_the_old_one_ends(lab):
    begin(lab, "eleven", "well")
    number = last_revision(lab)
    wait_until(lambda: info(lab.home1, "web")["revision"] == number and not phase(lab), 60, "it to have taken over")
    kill_p2prcd(lab)
    wait_outcome(lab, number, "good")
    wait_https(lab.client, "web.home.example", "eleven", timeout=30)
    wait_one_unit(lab)


def test_p2prcd_is_killed_while_a_bad_one_is_stopped(lab):
    begin(lab, "twelve", "crash")
    kill_p2prcd(lab)
    wait_outcome(lab, last_revision(lab), "rolled-back")
    wait_https(lab.client, "web.home.example", "eleven", timeout=30)
    wait_one_unit(lab)


def test_the_power_is_cut_while_the_new_one_proves_itself(lab):
    begin(lab, "thirteen", "well")
    wait_until(lambda: "if it stays up" in phase(lab), 60, "it to prove itself")
    lab.home1.power_cut()
    lab.home1.boot()
    wait_outcome(lab, last_revision(lab), "good")
    wait_https(lab.client, "web.home.example", "thirteen", timeout=90)
    assert wait_one_unit(lab) == UNITS[0]


def test_who_stops_or_kills_it_meanwhile_stops_both(lab):
    begin(lab, "fourteen", "well")
    wait_until(lambda: len(active(lab)) == 2, 60, "both to run")
    lab.home1.p2prc("stop", "web", timeout=120)
    assert active(lab) == [] and info(lab.home1, "web")["state"] == "stopped"
    lab.home1.p2prc("start", "web", timeout=120)
    wait_https(lab.client, "web.home.example", "fourteen", timeout=60)
    wait_outcome(lab, last_revision(lab), "good")
    begin(lab, "fifteen", "well")
    wait_until(lambda: len(active(lab)) == 2, 60, "both to run")
    lab.home1.p2prc("kill", "web", timeout=120)
    assert active(lab) == []


def test_what_cannot_run_twice_is_refused(lab):
    lab.home1.write("/root/bad.toml", process_file("bad", ["/bin/sleep", "1000"], update={"order": "start-first"}))
    refused = lab.home1.run(["p2prc", "spin", "/root/bad.toml"], check=False)
    assert refused.code == 7 and "start-first is not for a process that keeps data" in refused.err, refused
    assert "run.data = false" in refused.err, refused
