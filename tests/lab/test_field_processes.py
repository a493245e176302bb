"""What people run, and how it ended for them elsewhere: start scripts, stop commands, late networks, copied data, limits."""

import os
import signal

from lab import wait_until
from lab.errors import LabError
from lab.household import info, main_pid, spin, state, wait_reason, wait_state

MACHINES = ["root", "home1", "home2"]

# Says when it is up; asked to end by the signal of its first argument it takes a while to save, and by any other it does not.
SAVER = r'''
import os, signal, sys, time
d, asked, takes = os.environ["STATE_DIRECTORY"], getattr(signal, sys.argv[1]), float(sys.argv[2])
def save(*_):
    open(d + "/asked", "w").close(); time.sleep(takes); open(d + "/saved", "w").close(); os._exit(0)
signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
signal.signal(asked, save)
open(d + "/up", "w").close()
while True: time.sleep(1)
'''
INTERRUPT = '["/bin/sh", "-c", "kill -INT $MAINPID"]'


def data(name, file=""):
    return f"/var/lib/p2prc-data/{name}/{file}"


def has(machine, name, file):
    return machine.ok(["test", "-e", data(name, file)])


def saver(machine, name, command, kill=None):
    """Spins a process that saves when it ends, and waits until it is up."""
    machine.write("/srv/saver.py", SAVER)
    lines = [f'name = "{name}"', "[run]", f"command = {command}"] + ([f"kill = {kill}"] if kill else [])
    machine.write(f"/root/{name}.toml", "\n".join(lines) + "\n")
    machine.p2prc("spin", f"/root/{name}.toml")
    wait_until(lambda: has(machine, name, "up"), 30, f"{name} to be up")


def ended(machine, name):
    wait_until(lambda: not machine.active(f"p2prc-{name}.service"), 60, f"{name} to end")


# --- start scripts: all that runs is asked, and has its time

SCRIPT = "#!/bin/sh\n/usr/bin/python3 /srv/saver.py SIGTERM 1\necho server has ended\n"


def test_the_child_of_a_start_script_is_asked_to_end(lab):
    lab.home1.write("/srv/run.sh", SCRIPT, mode=0o755)
    saver(lab.home1, "game", '["/srv/run.sh"]')
    lab.home1.p2prc("stop", "game")
    assert has(lab.home1, "game", "saved")
    assert info(lab.home1, "game")["reason"]["kind"] == "stopped", info(lab.home1, "game")


def test_it_is_asked_at_a_restart_too(lab):
    lab.home1.run(["rm", "-f", data("game", "saved"), data("game", "up")])
    lab.home1.p2prc("start", "game")
    wait_until(lambda: has(lab.home1, "game", "up"), 30, "game to be up")
    lab.home1.p2prc("restart", "game")
    assert has(lab.home1, "game", "saved")


def test_the_parts_of_a_pipeline_are_asked(lab):
    saver(lab.home1, "pipe", '"/usr/bin/python3 /srv/saver.py SIGTERM 1 | cat"')
    lab.home1.p2prc("stop", "pipe")
    assert has(lab.home1, "pipe", "saved")


def test_it_is_asked_when_the_machine_goes_down(lab):
    lab.home1.run(["rm", "-f", data("game", "saved"), data("game", "up")])
    lab.home1.p2prc("restart", "game")
    wait_until(lambda: has(lab.home1, "game", "up"), 30, "game to be up")
    lab.home1.run(["rm", "-f", data("game", "saved")])
    lab.home1.reboot()
    assert has(lab.home1, "game", "saved")
    wait_state(lab.home1, "game", "running", 60)


# --- run.kill

def test_what_ends_by_itself_needs_no_stop_command(lab):
    lab.home1.write("/root/once.toml", f'name = "once"\n[run]\ncommand = "sleep 1; echo all done; exit 0"\nkill = {INTERRUPT}\n')
    lab.home1.p2prc("spin", "/root/once.toml")
    wait_reason(lab.home1, "once", "finished", 60)
    # A restart would come after a second: what began later and takes longer has ended by then.
    spin(lab.home1, "later", ["/bin/sleep", "4"])
    wait_reason(lab.home1, "later", "finished", 60)
    known = info(lab.home1, "once")
    assert (known["state"], known["restarts"], known["reason"]["kind"]) == ("stopped", 0, "finished"), known
    logs = lab.home1.p2prc("logs", "once").out
    assert logs.count("all done") == 1, logs


def test_a_process_has_its_time_after_the_stop_command(lab):
    saver(lab.home1, "slow", '["/usr/bin/python3", "/srv/saver.py", "SIGINT", "5"]', INTERRUPT)
    lab.home1.p2prc("stop", "slow")
    assert has(lab.home1, "slow", "saved")
    reason = info(lab.home1, "slow")["reason"]
    assert reason["kind"] == "stopped" and not reason["detail"], reason


def again(machine, name):
    machine.run(["rm", "-f", *(data(name, file) for file in ("up", "asked", "saved"))])
    machine.p2prc("start", name)
    wait_until(lambda: has(machine, name, "up"), 30, f"{name} to be up")


def test_so_it_has_when_systemctl_stops_it(lab):
    again(lab.home1, "slow")
    lab.home1.run("systemctl stop p2prc-slow.service", timeout=90)
    assert has(lab.home1, "slow", "saved")
    wait_reason(lab.home1, "slow", "stopped-outside", 30)


def test_so_it_has_when_p2prcd_dies_meanwhile(lab):
    again(lab.home1, "slow")
    stop = lab.home1.popen(["p2prc", "stop", "slow"])
    wait_until(lambda: has(lab.home1, "slow", "asked"), 30, "slow to be asked")
    lab.home1.run("systemctl kill --signal=KILL p2prcd.service")
    stop.wait(timeout=60)
    wait_until(lambda: has(lab.home1, "slow", "saved"), 30, "slow to be saved")
    ended(lab.home1, "slow")
    wait_state(lab.home1, "slow", "stopped", 60)


def test_a_stop_command_that_fails_is_followed_by_sigterm(lab):
    saver(lab.home1, "wrong", '["/usr/bin/python3", "/srv/saver.py", "SIGTERM", "1"]', '["/bin/sh", "-c", "exit 9"]')
    lab.home1.p2prc("stop", "wrong")
    assert has(lab.home1, "wrong", "saved")
    known = info(lab.home1, "wrong")
    assert known["state"] == "stopped" and "stop command failed" in known["reason"]["detail"], known


def test_a_stop_command_that_hangs_is_followed_by_sigterm(lab):
    saver(lab.home1, "hang", '["/usr/bin/python3", "/srv/saver.py", "SIGTERM", "1"]', '["/bin/sleep", "infinity"]')
    lab.home1.p2prc("stop", "hang", timeout=120)
    assert has(lab.home1, "hang", "saved")
    assert info(lab.home1, "hang")["reason"]["kind"] == "stopped"


# --- what fails because something comes late

def test_what_failed_too_often_is_tried_again_until_it_works(lab):
    # A bot that needs the network, on a machine that boots faster than its router; and a program that needs a file.
    server = lab.root.popen(["/usr/bin/python3", "-m", "http.server", "8080", "--bind", lab.root.address])
    spin(lab.home1, "bot", ["/usr/bin/python3", "-c", 'import socket, time; socket.create_connection(("%s", 8080), 2); time.sleep(1e9)' % lab.root.address])
    lab.network.cable("router1", False)
    lab.home1.power_cut()
    lab.home1.boot()
    for name in ("late", "unwanted"):
        spin(lab.home1, name, ["/bin/sh", "-c", "test -e /srv/ready || exit 4; exec sleep infinity"], check=False)
    for name in ("bot", "late", "unwanted"):
        reason = wait_reason(lab.home1, name, "start-limit", 90)
        assert "tried again after" in reason["detail"], reason
    lab.home1.p2prc("stop", "unwanted")
    lab.home1.run(["touch", "/srv/ready"])
    lab.network.cable("router1", True)
    for name in ("late", "bot"):
        wait_until(lambda name=name: info(lab.home1, name)["state"] == "running" and main_pid(lab.home1, name) > 0, 150, f"{name} to run")
    assert info(lab.home1, "late")["reason"]["kind"] == "start-limit", info(lab.home1, "late")
    assert state(lab.home1, "unwanted") == "stopped"
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    lab.home1.p2prc("kill", "bot")
    lab.home1.p2prc("kill", "late")


# --- last words

def test_last_words_that_are_no_utf_8_are_told(lab):
    spin(lab.home1, "latin", ["/bin/sh", "-c", r"printf 'Ger\344t fehlt\n'; exit 3"], restart="no", check=False)
    reason = wait_reason(lab.home1, "latin", "exit-code", 30)
    assert reason["code"] == 3 and any("t fehlt" in line for line in reason["log"]), reason
    spin(lab.home1, "long", ["/usr/bin/python3", "-c", 'print("x" + "\\u00e4" * 600); raise SystemExit(4)'], restart="no", check=False)
    reason = wait_reason(lab.home1, "long", "exit-code", 30)
    assert reason["code"] == 4 and any(line.startswith("xä") for line in reason["log"]), reason
    assert "exit-code 4" in lab.home1.p2prc("info", "long").out


# --- why a command was not executed, or ended at once

def test_why_a_command_was_not_executed(lab):
    lab.home1.write("/srv/dos.sh", "#!/bin/sh\r\necho hello\r\n", mode=0o755)
    lab.home1.write("/srv/plain.sh", "#!/bin/sh\necho hello\n", mode=0o644)
    lab.home1.write("/srv/script", "echo hello\n", mode=0o755)
    lab.home1.write("/srv/closed/bot.sh", "#!/bin/sh\necho hello\n", mode=0o755)
    lab.home1.run("chmod 700 /srv/closed && useradd --create-home anna && chmod 700 /home/anna")
    lab.home1.write("/home/anna/bot.py", "#!/usr/bin/python3\n", mode=0o755)
    cases = {"dos": ("/srv/dos.sh", "Windows"), "plain": ("/srv/plain.sh", "chmod +x"), "script": ("/srv/script", "#!"),
             "closed": ("/srv/closed/bot.sh", "/srv/closed is closed to its user (mode 0700)"), "anna": ("/home/anna/bot.py", "run.user"),
             "missing": ("/srv/missing", "/srv/missing does not exist")}
    for name, (program, words) in cases.items():
        refusal = spin(lab.home1, name, [program], check=False)
        assert refusal.code == 1 and words in refusal.err, (name, refusal)
        assert words in wait_reason(lab.home1, name, "start-failed")["detail"], name
        lab.home1.p2prc("kill", name)


def test_a_command_that_goes_into_the_background_is_told_so(lab):
    spin(lab.home1, "daemonic", ["/bin/sh", "-c", "setsid sleep 1000 & exit 0"])
    reason = wait_reason(lab.home1, "daemonic", "finished", 30)
    assert "foreground" in reason["detail"], reason


# --- limits and ports

def test_limits_that_have_no_effect_are_told(lab):
    spin(lab.home1, "hog", ["/bin/sleep", "infinity"], limits={"memory": "32M"})
    assert lab.home1.unit("p2prc-hog.service")["MemorySwapMax"] == "0"
    limited = lab.home1.ok("grep -qw memory /sys/fs/cgroup/cgroup.controllers")
    told = "limits.memory of 'hog' has no effect" in lab.home1.journal("--unit", "p2prcd.service")
    assert told != limited


PORTS = r'''
import errno, os, socket, time
def bind(kind, port):
    with socket.socket(socket.AF_INET, kind) as s:
        try: s.bind(("127.0.0.1", port))
        except OSError as e: return errno.errorcode[e.errno]
    return "ok"
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b"x", ("127.0.0.1", 9))
print("own", bind(socket.SOCK_STREAM, int(os.environ["PORT"])), bind(socket.SOCK_DGRAM, int(os.environ["PORT"])))
print("any", bind(socket.SOCK_STREAM, 0), bind(socket.SOCK_DGRAM, 0))
print("other", bind(socket.SOCK_STREAM, 8199), bind(socket.SOCK_DGRAM, 8199), flush=True)
time.sleep(1e9)
'''


def test_a_process_binds_its_own_port(lab):
    spin(lab.home1, "ports", ["/usr/bin/python3", "-c", PORTS], port=8198, wait=False)
    wait_until(lambda: "other" in lab.home1.p2prc("logs", "ports").out, 30, "ports to have tried")
    logs = lab.home1.p2prc("logs", "ports").out
    assert "own ok ok" in logs and "any ok ok" in logs, logs
    unit = lab.home1.unit("p2prc-ports.service")
    assert unit["SocketBindAllow"] == "8198" and unit["SocketBindDeny"] == "1-65535", unit
    assert "other EPERM EPERM" in logs, logs


def test_a_user_listens_at_its_low_port(lab):
    lab.home1.write("/root/low.toml", 'name = "low"\nport = 443\n[run]\nuser = "nobody"\ndata = false\n'
                                      'command = ["/usr/bin/python3", "-m", "http.server", "443", "--bind", "127.0.0.1"]\n')
    lab.home1.p2prc("spin", "/root/low.toml")
    wait_until(lambda: lab.home1.ok("curl -s -o /dev/null http://127.0.0.1:443/"), 30, "low to answer")
    lab.home1.p2prc("kill", "low")


# --- data that was copied by hand

NOTES = '''name = "notes"
[run]
command = "umask 077; date >>$STATE_DIRECTORY/log && wc -l $STATE_DIRECTORY/log && exec sleep infinity"
'''


def lines_of(machine):
    """How many lines the last start of notes has counted."""
    counts = [line.split()[-2] for line in machine.p2prc("logs", "notes").out.splitlines() if line.endswith("/log") and "denied" not in line]
    if not counts:
        raise LabError("notes has counted nothing yet")
    return int(counts[-1])


def test_data_that_was_copied_is_taken_over(lab):
    lab.home1.write("/root/notes.toml", NOTES)
    lab.home2.write("/root/notes.toml", NOTES)
    lab.home1.p2prc("spin", "/root/notes.toml")
    wait_until(lambda: lines_of(lab.home1) == 1, 30, "the first line")
    lab.home1.p2prc("restart", "notes")
    wait_until(lambda: lines_of(lab.home1) == 2, 30, "the second line")
    lab.home1.p2prc("kill", "notes")
    # Copied to another machine, with the owners that its files have here.
    lab.home1.run(f"tar -C {data('notes')} -cf /root/notes.tar .")
    archive = f"{lab.home1.root}/root/notes.tar"
    lab.home2.run(f"mkdir -p {data('notes')}")
    with open(archive, "rb") as file, open(f"{lab.home2.root}/root/notes.tar", "wb") as copy:
        copy.write(file.read())
    lab.home2.run(f"tar -C {data('notes')} -xf /root/notes.tar")
    lab.home2.p2prc("spin", "/root/notes.toml")
    wait_until(lambda: lines_of(lab.home2) == 3, 30, "the third line, on the other machine")
    assert not lab.home2.ok("ls -d /var/lib/p2prc-data/notes.*")


def test_so_it_is_when_its_files_are_the_superusers(lab):
    lab.home2.p2prc("stop", "notes")
    lab.home2.run("mkdir /root/o && tar -C /root/o -xf /root/notes.tar --no-same-owner && chown -R root:root /root/o")
    lab.home2.run(f"rm -rf {data('notes')}/* && cp -r /root/o/. {data('notes')}/ && rm -rf /root/o")
    assert lab.home2.run(f"stat -c %u {data('notes', 'log')}").out.strip() == "0"
    lab.home2.p2prc("start", "notes")
    wait_until(lambda: lines_of(lab.home2) == 3 and lab.home2.active("p2prc-notes.service"), 30, "the copied line and one more")
    assert "denied" not in lab.home2.p2prc("logs", "notes").out


def test_another_process_of_that_name_does_not_inherit_it(lab):
    lab.home2.p2prc("kill", "notes")
    lab.home2.write("/root/notes.toml", NOTES.replace("umask 077", "umask 027"))
    lab.home2.p2prc("spin", "/root/notes.toml")
    wait_until(lambda: lines_of(lab.home2) == 1, 30, "the first line of another process")
    assert lab.home2.run("ls -d /var/lib/p2prc-data/notes.*").out.count("notes.") == 1


def test_a_note_that_is_empty_moves_nothing(lab):
    lab.home2.p2prc("stop", "notes")
    note = "/var/lib/p2prc/data-owners/notes"
    kept = lab.home2.read(note)
    lab.home2.write(note, "")
    refusal = lab.home2.p2prc("start", "notes", check=False)
    assert refusal.code == 1 and note in refusal.err, refusal
    assert has(lab.home2, "notes", "log")
    lab.home2.write(note, kept)
    lab.home2.p2prc("start", "notes")
    wait_until(lambda: lines_of(lab.home2) == 2, 30, "its data to be there still")
