"""p2prc from a program of one's own: the examples of examples/dbus as they stand, other D-Bus clients, and a reader that goes."""

import os
import signal
import subprocess

from lab.household import spin

MACHINES = ["home1"]
EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "dbus")
CALL = ["gdbus", "call", "--system", "--dest", "org.p2prc1", "--object-path", "/org/p2prc1", "--method"]


def put(lab, name):
    with open(os.path.join(EXAMPLES, name), encoding="utf-8") as file:
        lab.home1.write(f"/root/{name}", file.read())


def test_a_python_program_learns_why_a_command_ended(lab):
    put(lab, "spin.py")
    assert lab.home1.run(["python3", "/root/spin.py", "once", "sh", "-c", "sleep 5; exit 3"]).out == "once is failed: exit-code 3\n"
    # Also what ends before it is ready is reported, and leaves nothing behind.
    assert lab.home1.run(["python3", "/root/spin.py", "brief", "sh", "-c", "exit 4"]).out == "brief is failed: exit-code 4\n"
    assert lab.home1.json("ps") == []


def test_a_shell_script_spins_and_kills(lab):
    put(lab, "spin.sh")
    assert lab.home1.run(["sh", "/root/spin.sh", "nap"]).out == 's "running"\n'
    assert lab.home1.json("ps") == []


def test_a_program_is_told_what_happens(lab):
    lab.home1.install(lab.archive("python3-gi"))
    put(lab, "watch.py")
    lab.home1.p2prc("spin", "before", "--", "/bin/sleep", "infinity")
    watcher = lab.home1.popen(["python3", "/root/watch.py"], stdout=subprocess.PIPE, text=True)
    try:
        assert watcher.stdout.readline() == "before: running\n"
        spin(lab.home1, "once", "sleep 4; exit 3", restart="no")
        heard = []
        while "exit-code 3" not in (line := watcher.stdout.readline()):
            heard.append(line)
        assert line == "once: failed (exit-code 3)\n" and "once: running\n" in heard, (heard, line)
        lab.home1.p2prc("kill", "once")
        while (line := watcher.stdout.readline()) != "once: gone\n":
            assert line, "watch.py has ended"
    finally:
        os.killpg(watcher.pid, signal.SIGKILL)
    lab.home1.p2prc("kill", "before")


def test_errors_have_names_and_words(lab):
    glib = lab.home1.run([*CALL, "org.p2prc1.Manager.KillProcess", "nobody"], check=False)
    assert glib.code != 0 and "org.p2prc1.Error.NotFound" in glib.err, glib.err
    assert "there is no process 'nobody'" in glib.err and "\nhint: " in glib.err, glib.err
    busctl = lab.home1.run(["busctl", "call", "org.p2prc1", "/org/p2prc1", "org.p2prc1.Manager", "KillProcess", "s", "nobody"],
                           check=False)
    assert busctl.code != 0 and "there is no process 'nobody'" in busctl.err, busctl.err


def test_a_followed_log_ends_with_its_reader(lab):
    lab.home1.p2prc("spin", "talker", "--", "/bin/sh", "-c", "echo one; echo two; exec sleep infinity")
    assert lab.home1.run("timeout 30 p2prc logs talker -f | head -1").out != ""
    assert lab.home1.run("bash -c 'timeout 30 p2prc logs talker -f | head -1; exit ${PIPESTATUS[0]}'", check=False).code != 124
