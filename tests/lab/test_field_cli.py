"""What the command line says of a process: only what is so. Words of spin, last words in any bytes, logs of any bytes, held ports."""

import json

from lab import wait_until
from lab.household import info, spin

MACHINES = ["root", "home1"]

LISTEN = r"""
import socket, sys, time
time.sleep(float(sys.argv[1]))
family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
server = socket.socket(family, socket.SOCK_STREAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind((sys.argv[2], int(sys.argv[3])))
server.listen()
while True:
    server.accept()[0].close()
"""

# Takes the next free port when its own is taken.
NEXT_PORT = """import http.server as h
for p in range(8110,8120):
    try: s=h.HTTPServer(("127.0.0.1",p),h.SimpleHTTPRequestHandler); break
    except OSError: print("port",p,"in use, trying the next",flush=True)
s.serve_forever()"""


def said(machine, *words, timeout=120):
    """Exit status and standard error of a command that must end."""
    result = machine.p2prc(*words, check=False, timeout=timeout)
    return result.code, result.err


def listener(*arguments):
    return ["--", "/usr/bin/python3", "-c", LISTEN, *[str(argument) for argument in arguments]]


def everywhere(lab, check):
    """For a process here, and for one on another node."""
    check(lab.root, [])
    check(lab.root, ["--node", "home1"])


def test_a_fleet(lab):
    lab.root.p2prc("init", "--name", "root", "--domain", "home.example", "--public-ip", "203.0.113.10", "--acme", "none")
    token = lab.root.p2prc("invite").out.strip()
    lab.home1.p2prc("join", token, timeout=120)
    lab.home1.write("/etc/p2prc/p2prcd.toml.d/50-test.toml", '[remote]\nspin = "any"\n')
    lab.home1.run("systemctl reload p2prcd")
    wait_until(lambda: [node["state"] for node in lab.root.json("nodes")] == ["up", "up"], 30, "both nodes to be up")


def test_what_ends_at_once_has_finished_or_failed(lab):
    def check(machine, place):
        code, words = said(machine, "spin", "once", *place, "--", "/bin/true")
        assert code == 0 and "has finished (exit status 0)" in words and "runs" not in words, words
        machine.p2prc("kill", "once")
        code, words = said(machine, "spin", "three", *place, "--", "/bin/sh", "-c", "exit 3")
        assert code == 1 and "'three'" in words and " runs" not in words, words
        assert info(machine, "three")["ready"] is False
        machine.p2prc("kill", "three")
    everywhere(lab, check)


def test_what_ends_after_a_second_has_not_been_running(lab):
    def check(machine, place):
        code, words = said(machine, "spin", "short", *place, "--", "/bin/sh", "-c", "sleep 1; exit 3")
        assert code == 1 and " runs" not in words, words
        machine.p2prc("kill", "short")
    everywhere(lab, check)


def test_a_failure_that_is_final_says_its_reason(lab):
    result = spin(lab.home1, "final", "sleep 1; echo no space left; exit 3", restart="no", check=False)
    assert result.code == 1 and "exit-code 3" in result.err and "no space left" in result.err, result
    lab.home1.p2prc("kill", "final")


def test_a_port_is_waited_for(lab):
    def check(machine, place):
        code, words = said(machine, "spin", "late", "--port", "8200", *place, *listener(5, "127.0.0.1", 8200))
        assert code == 0 and "'late' runs on" in words and "port 8200" in words, words
        assert info(machine, "late")["ready"] is True
        code, words = said(machine, "restart", "late")
        assert code == 0 and "'late' runs again on" in words, words
        assert info(machine, "late")["ready"] is True
        machine.p2prc("kill", "late")
        code, words = said(machine, "spin", "six", "--port", "8201", *place, *listener(0, "::1", 8201))
        assert code == 0 and "'six' runs on" in words, words
        machine.p2prc("kill", "six")
    everywhere(lab, check)


def test_a_wait_that_ends_says_what_it_was_for(lab):
    def check(machine, place):
        code, words = said(machine, "spin", "other", "--port", "8202", "--timeout", "6s", *place, *listener(0, "127.0.0.1", 8203))
        # Where the kernel confines it to its own port, it cannot listen there at all, and ends.
        assert code == 1 and ("'other' listens on port 8203" in words or "ended" in words), words
        machine.p2prc("kill", "other")
        code, words = said(machine, "spin", "never", "--port", "8204", "--timeout", "6s", *place, "--", "/bin/sleep", "infinity")
        assert code == 1 and "nothing listens on 127.0.0.1:8204" in words and "6 seconds" in words, words
        known = info(machine, "never")
        assert known["state"] == "starting" and known["status"] and known["ready"] is False and "8204" in known["waits_for"], known
        machine.p2prc("kill", "never")
    everywhere(lab, check)


def test_who_does_not_wait_is_told_what_is_known(lab):
    def check(machine, place):
        code, words = said(machine, "spin", "later", "--port", "8205", "--no-wait", *place, *listener(5, "127.0.0.1", 8205))
        assert code == 0 and "'later' was started on" in words and " runs" not in words, words
        wait_until(lambda: info(machine, "later")["ready"], 30, "'later' to become ready")
        machine.p2prc("kill", "later")
    everywhere(lab, check)


def test_a_port_that_another_program_holds_is_refused_by_its_name(lab):
    lab.home1.run("mkdir -p /srv/admin; echo private admin page >/srv/admin/index.html")
    lab.home1.run("systemd-run -u admin python3 -m http.server 8110 --bind 127.0.0.1 --directory /srv/admin")
    wait_until(lambda: lab.home1.ok("curl -s http://127.0.0.1:8110/ || python3 -c \"import socket; socket.create_connection(('127.0.0.1', 8110))\""),
               20, "the other program to listen")
    code, words = said(lab.home1, "spin", "pub", "--port", "8110", "--domain", "pub.home.example", "--", "/usr/bin/python3", "-c", NEXT_PORT)
    assert code == 6 and "port 8110 is held by python3 (uid 0, admin.service)" in words, (code, words)
    assert [process["name"] for process in lab.home1.json("ps")] == []
    code, words = said(lab.root, "spin", "pub", "--node", "home1", "--port", "8110", "--", "/usr/bin/python3", "-c", NEXT_PORT)
    assert code == 1 and "port 8110 is held by python3 (uid 0, admin.service)" in words, (code, words)
    lab.root.p2prc("kill", "pub")


def test_a_chosen_port_is_one_that_nobody_listens_at(lab):
    lab.home1.p2prc("spin", "chosen", "--port", "0", "--no-wait", "--", "/bin/sleep", "infinity")
    port = info(lab.home1, "chosen")["port"]
    lab.home1.p2prc("kill", "chosen")
    lab.home1.run(["systemd-run", "-u", "squat", "python3", "-m", "http.server", str(port), "--bind", "127.0.0.1"])
    wait_until(lambda: lab.home1.ok(["python3", "-c", f"import socket; socket.create_connection(('127.0.0.1', {port}))"]), 20, "the squatter to listen")
    lab.home1.p2prc("spin", "chosen", "--port", "0", "--no-wait", "--", "/bin/sleep", "infinity")
    assert info(lab.home1, "chosen")["port"] not in (port, None)
    lab.home1.p2prc("kill", "chosen")


def test_last_words_in_any_bytes(lab):
    for name, command in (("u1", "printf 'Ger\\344t fehlt\\n'; exit 3"), ("u2", "printf 'GET /\\357\\277\\277\\n'; exit 3"),
                          ("u3", "printf 'a\\033[2Jb\\n'; exit 3")):
        result = spin(lab.home1, name, command, restart="no", check=False)
        assert result.code == 1 and "exit-code 3" in result.err and "\x1b" not in result.err, result
        for machine in (lab.home1, lab.root):
            wait_until(lambda: (info(machine, name)["reason"] or {}).get("code") == 3, 20, f"the reason of {name} on {machine.name}")
            assert "\x1b" not in machine.p2prc("info", name).out
            assert name in machine.p2prc("ps").out
        lab.home1.p2prc("kill", name)
    long_line = "/usr/bin/python3 -c 'print(\"x\" + \"\\u00e4\" * 600); raise SystemExit(4)'"
    assert spin(lab.home1, "u4", long_line, restart="no", check=False).code == 1
    assert info(lab.home1, "u4")["reason"]["code"] == 4
    lab.home1.run("systemctl restart p2prcd")
    wait_until(lambda: info(lab.home1, "u4")["reason"]["code"] == 4, 20, "the reason after a restart of p2prcd")
    lab.home1.p2prc("kill", "u4")


def test_logs_show_all_text_and_move_no_cursor(lab):
    lab.home1.p2prc("spin", "bar", "--", "/bin/sh", "-c",
                    r'printf "10%%\r50%%\r100%% fertig\n"; printf "M\374ller\n"; printf "\033[2K\033[1Gline\n"; exec sleep infinity')
    for machine in (lab.home1, lab.root):
        shown = wait_until(lambda: (out := machine.p2prc("logs", "bar").out) and "line" in out and out, 20, "the log")
        assert "blob data" not in shown and "\x1b" not in shown and "\r" not in shown, shown
        for words in ("10%", "100% fertig", "ller", "line"):
            assert words in shown, (words, shown)
        lines = [json.loads(line)["line"] for line in machine.p2prc("logs", "bar", "-o", "json").out.splitlines()]
        assert lines == shown.splitlines()
    lab.home1.p2prc("kill", "bar")


def test_a_followed_log_goes_on_after_the_journal_has_changed_its_files(lab):
    lab.home1.p2prc("spin", "clock", "--", "/bin/sh", "-c", "i=0; while sleep 0.2; do i=$((i+1)); echo tick $i; done")
    lab.home1.run("rm -f /tmp/seen")
    follower = lab.home1.popen("p2prc logs -f -n 3 clock >/tmp/seen")
    try:
        def last():
            ticks = [int(line.rsplit(" ", 1)[1]) for line in lab.home1.read("/tmp/seen").splitlines() if " tick " in line]
            assert ticks == sorted(set(ticks)), "a line came twice"
            return ticks[-1] if ticks else 0
        wait_until(lambda: last() > 3, 30, "lines to come")
        lab.home1.run("journalctl --rotate")
        before = last()
        wait_until(lambda: last() > before + 10, 60, "lines to come after the rotation")
    finally:
        lab.home1.run("pkill -f 'logs -f -n 3 clock'", check=False)
        follower.wait(30)
    lab.home1.p2prc("kill", "clock")


def test_log_streams_leave_the_machine_its_inotify_instances(lab):
    lab.home1.p2prc("spin", "quiet", "--", "/bin/sleep", "infinity")
    lab.home1.write("/root/streams.py", """
import dbus, os
bus = dbus.SystemBus()
manager = dbus.Interface(bus.get_object("org.p2prc1", "/org/p2prc1"), "org.p2prc1.Manager")
held = [manager.Logs("quiet", dbus.UInt32(0), True).take() for _ in range(100)]
print(len(held), flush=True)
input()
""")
    holder = lab.home1.popen(["python3", "/root/streams.py"], stdin=-1, stdout=-1, text=True)
    assert holder.stdout.readline().strip() == "100"
    pid = lab.home1.unit("p2prcd.service")["MainPID"]
    assert lab.home1.run("pgrep -c journalctl", check=False).out.strip() == "0"
    wait_until(lambda: lab.home1.run(f"ls -l /proc/{pid}/fd | grep -c inotify", check=False).out.strip() in ("0", "1", "2"), 10,
               "p2prcd to hold an inotify instance or two")
    holder.communicate("\n", timeout=30)
    lab.home1.p2prc("kill", "quiet")


def test_a_mistake_in_the_settings_is_told(lab):
    file = "/etc/p2prc/p2prcd.toml"
    before = lab.home1.read(file) if lab.home1.ok(f"test -e {file}") else None
    lab.home1.write(file, '# one line\nlog = "loud"\n')
    lab.home1.run("systemctl reload p2prcd")
    for verb in ("status", "doctor"):
        shown = wait_until(lambda verb=verb: (words := lab.home1.p2prc(verb, check=False).out) and "settings of" in words and words, 10,
                           f"{verb} to name the mistake")
        assert f"{file}:2" in shown and "loud" in shown and "systemctl reload p2prcd" in shown, shown
    lab.home1.run("systemctl restart p2prcd", check=False)
    for _ in range(2):  # in the pause before the next try, and after it
        (finding,) = [finding for finding in wait_until(lambda: lab.home1.json("doctor", check=False), 20, "doctor to answer")
                      if finding["subject"] == "p2prcd.service"]
        assert finding["state"] == "fail" and f"{file}:2" in finding["detail"], finding
    if before is None:
        lab.home1.run(f"rm {file}")
    else:
        lab.home1.write(file, before)
    lab.home1.run("systemctl restart p2prcd")
    assert "settings of" not in lab.home1.p2prc("status", check=False).out


def test_a_file_of_the_caller_is_pointed_out(lab):
    lab.home1.run("mkdir -p /srv/bot; echo 'print(1)' >/srv/bot/bot.py")
    result = lab.home1.run("cd /srv/bot; p2prc spin bot --no-wait -- /usr/bin/python3 bot.py", check=False)
    assert "write /srv/bot/bot.py" in result.err, result
    lab.home1.p2prc("kill", "bot")


def test_kill_needs_no_information_and_stop_says_what_it_waits_for(lab):
    lab.home1.p2prc("spin", "stubborn", "--", "/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    # A terminal, for which script(1) is one.
    shown = lab.home1.run("script -qec 'p2prc stop stubborn' /dev/null </dev/null", timeout=120).out
    assert "waiting for 'stubborn' to stop" in shown and "is stopped" in shown, shown
    assert "killed 'stubborn'" in lab.home1.p2prc("kill", "stubborn").err
    code, words = said(lab.home1, "kill", "nobody")
    assert code == 3 and "no process 'nobody'" in words, words


def test_a_command_that_is_tried_again_is_not_said_to_be_over(lab):
    def check(machine, place):
        code, words = said(machine, "spin", "dies", *place, "--", "/bin/sh", "-c", "echo oops; exit 3")
        assert code == 1 and "it is tried again; p2prc stop dies ends that" in words and "forgets" not in words, words
        machine.p2prc("kill", "dies")
    everywhere(lab, check)


def test_what_is_started_and_ends_at_once_was_started(lab):
    for number in range(5):
        code, words = said(lab.home1, "spin", f"brief{number}", "--no-wait", "--", "/bin/true")
        assert code == 0 and ("was started" in words or "has finished" in words) and "starts it" not in words, words
        lab.home1.p2prc("kill", f"brief{number}")


def test_what_becomes_of_data_is_said_and_the_way_back_works(lab):
    root = "/var/lib/p2prc-data"
    file = 'name = "website"\n[run]\ncommand = ["/bin/sleep", "{}"]\n'
    lab.home1.write("/root/website.toml", file.format(1000))
    lab.home1.p2prc("spin", "/root/website.toml")
    old = info(lab.home1, "website")["id"]
    lab.home1.run(f"echo ours >{root}/website/index.html")
    lab.home1.write("/root/website.toml", file.format(2000))
    code, words = said(lab.home1, "spin", "/root/website.toml")
    assert code == 0 and "'website' runs revision 2 on home1" in words and info(lab.home1, "website")["id"] == old, words
    assert lab.home1.read(f"{root}/website/index.html") == "ours\n", "an update keeps the data"
    code, words = said(lab.home1, "kill", "website")
    assert code == 0 and f"stays in {root}/website\n" in words and f"{root}/website.{old}" in words, words
    code, words = said(lab.home1, "spin", "/root/website.toml")
    assert code == 0 and f"the data of the earlier process 'website' is now in {root}/website.{old}" in words, words
    assert lab.home1.run(f"ls {root}/website/").out == ""
    # As it stands there; the lab's machines have no sudo.
    way_back = next(line for line in words.splitlines() if "to use it again: " in line).split(": ", 1)[1].replace("sudo ", "")
    lab.home1.run(way_back, timeout=120)
    assert lab.home1.read(f"{root}/website/index.html") == "ours\n"
    assert info(lab.home1, "website")["state"] == "running"
    lab.home1.p2prc("kill", "website")
    # Nothing is said of data that is not there; of another machine's nothing is known.
    lab.home1.p2prc("spin", "empty", "--", "/bin/sleep", "infinity")
    code, words = said(lab.home1, "kill", "empty")
    assert words == "killed 'empty' on home1\n", words
    code, words = said(lab.home1, "spin", "empty", "--", "/bin/sleep", "1000")
    assert code == 0 and "earlier process" not in words, words
    lab.home1.p2prc("kill", "empty")
    lab.root.p2prc("spin", "empty", "--node", "home1", "--", "/bin/sleep", "infinity")
    code, words = said(lab.root, "kill", "empty")
    assert "if it has any" in words, words


def test_what_cannot_start_names_the_file_or_the_user(lab):
    lab.home1.write("/root/keyed.toml", 'name = "keyed"\n[run]\ncommand = ["/bin/sleep", "9"]\ncredentials = { token = "/etc/no-such-token" }\n')
    code, words = said(lab.home1, "spin", "/root/keyed.toml")
    assert code == 1 and "/etc/no-such-token of run.credentials is missing" in words and "Protocol error" not in words, words
    lab.home1.write("/root/user.toml", 'name = "user"\n[run]\ncommand = ["/bin/sleep", "9"]\nuser = "nobdy"\n')
    code, words = said(lab.home1, "spin", "/root/user.toml")
    assert code == 1 and "there is no user 'nobdy' on this machine" in words, words
    for name in ("keyed", "user"):
        lab.home1.p2prc("kill", name)


def test_logs_mark_what_the_process_did_not_write(lab):
    lab.home1.p2prc("spin", "talk", "--port", "8207", "--", "/bin/sh", "-c", "echo hello there; exec python3 -m http.server 8207 --bind 127.0.0.1")
    lab.home1.p2prc("restart", "talk")
    for machine in (lab.home1, lab.root):
        def entries(machine=machine):
            return [json.loads(line) for line in machine.p2prc("logs", "talk", "-o", "json").out.splitlines()]
        found = wait_until(lambda: (e := entries()) and sum(x["text"] == "hello there" for x in e) == 2 and e, 20, "both greetings")
        for entry in found:
            assert entry["time"].startswith("20") and entry["line"].endswith(entry["text"]), entry
            assert (" systemd[1]: -- " in entry["line"]) == (" systemd[1]: " in entry["line"]), entry
        assert any(entry["text"].startswith("-- Started ") for entry in found), found
        assert not any("Foreign BPF" in entry["line"] for entry in found), found
    lab.home1.p2prc("kill", "talk")


def test_completion_of_zones(lab):
    assert lab.root.run(["p2prc", "__complete", "zones"]).out == "home.example\n"
    script = "source /usr/share/bash-completion/bash_completion; source /usr/share/bash-completion/completions/p2prc; " \
             "COMP_WORDS=(p2prc dns records ''); COMP_CWORD=3; COMP_LINE='p2prc dns records '; COMP_POINT=18; _p2prc; echo \"${COMPREPLY[@]}\""
    if lab.root.ok("test -e /usr/share/bash-completion/bash_completion"):
        assert lab.root.run(["bash", "-c", script]).out == "home.example\n"


def test_a_user_is_told_of_polkit_and_a_latency_has_its_unit(lab):
    result = lab.home1.run(["p2prc", "stop", "x"], user="nobody", check=False)
    assert result.code == 4 and "use sudo, or have a polkit rule allow org.p2prc1.kill" in result.err, result
    wait_until(lambda: " ms " in lab.home1.p2prc("nodes").out, 30, "a latency")


def test_a_masked_daemon_is_said_to_be_masked(lab):
    lab.home1.run("systemctl mask --runtime --now p2prcd-control.socket p2prcd.service")
    code, words = said(lab.home1, "ps")
    assert code == 5 and "p2prcd is masked" in words and "systemctl unmask" in words, words
    assert "systemctl unmask --runtime p2prcd.service; systemctl start p2prcd.service" in lab.home1.p2prc("doctor", check=False).out
    lab.home1.run("systemctl unmask --runtime p2prcd-control.socket p2prcd.service && systemctl start p2prcd")
    wait_until(lambda: lab.home1.ok("p2prc ps"), 30, "p2prcd to answer")
