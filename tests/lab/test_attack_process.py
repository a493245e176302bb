"""Processes of others on a home: what they can reach of the machine and of each other, and whether they can be stopped."""

import contextlib
import copy
import re

from lab import wait_until
from lab.conquered import conquered
from lab.household import info, make_fleet, spin, wait_state
from lab.link import ControlLink

MACHINES = ["root", "home1", "home2"]

SECRET = "home2 keeps this to itself"
CREDENTIAL = "a credential of home2"

# Everything of the processes that have the same user.
SPY = """
for p in /proc/[0-9]*; do
  [ "$(stat -c %u $p)" = "$(id -u)" ] || continue
  cat $p/root/var/lib/p2prc-data/kept/secret $p/root/run/credentials/p2prc-vault.service/key
  tr '\\0' '\\n' <$p/environ
done
echo LOOKED
exec sleep infinity
"""

# Ignores SIGTERM, and asks systemd for an hour more, again and again.
LEECH = """
import os, signal, socket, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
while True:
    for address in {os.environ.get("NOTIFY_SOCKET"), "/run/systemd/notify"} - {None}:
        try:
            notify.sendto(b"EXTEND_TIMEOUT_USEC=3600000000", address)
        except OSError:
            pass
    time.sleep(1)
"""

WRITES = """
for d in /dev/shm /dev/mqueue /run /run/lock /run/systemd /var/tmp /tmp /var/lib/p2prc-data /sys/fs/cgroup /etc "$STATE_DIRECTORY"; do
  touch $d/written-by-a-process 2>/dev/null && echo "WROTE $d"
done
echo TRIED
exec sleep infinity
"""


# By every way to the journal: messages that are larger than any line, and more lines than anybody reads.
LOUD = """
import fcntl, os, socket, struct, sys
for path in "/run/systemd/journal/socket", "/run/systemd/journal/dev-log", "/dev/log", "/run/systemd/journal/stdout":
    kind = socket.SOCK_STREAM if path.endswith("stdout") else socket.SOCK_DGRAM
    try:
        with socket.socket(socket.AF_UNIX, kind) as s:
            s.connect(path)
            if path.endswith("socket"):
                for _ in range(16):
                    body = os.urandom(8 << 20)
                    with os.fdopen(os.memfd_create("message", os.MFD_ALLOW_SEALING), "wb", buffering=0) as message:
                        message.write(b"MESSAGE=large\\nBODY\\n" + struct.pack("<Q", len(body)) + body + b"\\n")
                        fcntl.fcntl(message, fcntl.F_ADD_SEALS, 0xf)
                        socket.send_fds(s, [b""], [message.fileno()])
            print("REACHED", path)
    except OSError as error:
        print("CLOSED", path, error.strerror)
print("TRIED", flush=True)
print("to standard error", file=sys.stderr, flush=True)
for number in range(30000):
    print("line", number)
print("", flush=True)
os.execv("/bin/sleep", ["sleep", "infinity"])
"""


def setup(lab):
    make_fleet(lab, "home1", "home2")
    spin(lab.home2, "kept", ["/bin/sh", "-c", f"umask 077; echo '{SECRET}' >$STATE_DIRECTORY/secret; exec sleep infinity"])
    lab.home2.write("/etc/secret-key", f"{CREDENTIAL}\n")
    lab.home2.write("/root/vault.toml", 'name = "vault"\n[run]\ncommand = ["/bin/sleep", "infinity"]\ncredentials = { key = "/etc/secret-key" }\n'
                                        f'environment = {{ WORD = "{SECRET}" }}\n')
    lab.home2.p2prc("spin", "/root/vault.toml")
    wait_until(lambda: lab.home2.ok("test -s /var/lib/p2prc-data/kept/secret"), 30, "kept to have its secret")


def said(lab, name, word):
    """The journal of the process of home2, once it has said the word."""
    def journal():
        lines = lab.home2.journal("--unit", f"p2prc-{name}.service", "-o", "cat")
        return lines if word in lines else None
    return wait_until(journal, 60, f"{name} to say {word}")


@contextlib.contextmanager
def conquest(lab):
    """conquered(lab.root), until home2 has heard what was written."""
    def links():
        return lab.home2.journal("--unit", "p2prcd.service").count("the link to the root is up")
    before = links()
    with conquered(lab.root) as registry:
        yield registry
    wait_until(lambda: links() > before, 60, "home2 to be linked again")


def test_the_id_of_another_process_gives_nothing_of_it(lab):
    ids = {name: info(lab.home2, name)["id"] for name in ("kept", "vault")}
    with conquest(lab) as registry:
        for twin, name in (("twin", "kept"), ("other", "vault")):
            record = copy.deepcopy(registry.get(f"/processes/{name}"))
            record.update(name=twin, change=record["change"] + 1, former_ids=[], created_by="root@root")
            record["spec"] = {"name": twin, "run": {"command": ["/bin/sh", "-c", SPY]}}
            registry.put(f"/processes/{twin}", record)
    wait_until(lambda: all(f"its id {ids[name]} is that of '{name}' here" in lab.home2.journal("--unit", "p2prcd.service") for name in ids),
               60, "home2 to refuse both")
    for twin in ("twin", "other"):
        assert not lab.home2.active(f"p2prc-{twin}.service")
    # With ids of their own they run, each as a user of its own.
    with conquest(lab) as registry:
        for twin, id in (("twin", 5001), ("other", 5002)):
            registry.put(f"/processes/{twin}", dict(registry.get(f"/processes/{twin}"), id=id))
    for twin in ("twin", "other"):
        looked = said(lab, twin, "LOOKED")
        assert SECRET not in looked and CREDENTIAL not in looked, looked
    for twin in ("twin", "other"):
        lab.root.p2prc("kill", twin)
    for name in ids:
        wait_state(lab.home2, name, "running", timeout=60)


def test_it_writes_to_its_own_directories_alone(lab):
    spin(lab.root, "writer", ["/bin/sh", "-c", WRITES], node="home2")
    def check(runs):
        """What it wrote to in each of its runs. /dev/shm and /dev/mqueue are its own, too."""
        wait_until(lambda: said(lab, "writer", "TRIED").count("TRIED") == runs, 60, f"writer to run {runs} times")
        wrote = re.findall("WROTE (.*)", said(lab, "writer", "TRIED"))
        own = {"/dev/shm", "/dev/mqueue", "/tmp", "/var/tmp", "/var/lib/p2prc-data/writer"}
        assert set(wrote) == own and len(wrote) == runs * len(own), wrote
    check(1)
    assert not lab.home2.ok("ls /dev/shm/written-* /dev/mqueue/written-* /run/written-* /run/lock/written-* /tmp/written-* /var/tmp/written-*")
    # Also after systemd has read its unit again.
    lab.home2.run("systemctl daemon-reload; systemctl kill --signal=KILL p2prc-writer.service")
    check(2)
    lab.root.p2prc("kill", "writer")


def test_the_programs_of_p2prc_write_nothing_below_run(lab):
    for program in ("p2prcd", "p2prc-edge"):
        pid = lab.root.unit(f"{program}.service")["MainPID"]
        mounts = [line.split() for line in lab.root.run(["cat", f"/proc/{pid}/mountinfo"]).out.splitlines()]
        options = {mount[4]: mount[5].split(",") for mount in mounts}
        assert "ro" in options["/run"] and "ro" in options["/run/lock"], (program, options)


def test_a_process_of_another_node_cannot_put_off_its_end(lab):
    spin(lab.root, "leech", ["/usr/bin/python3", "-c", LEECH], node="home2")
    assert "notification message" not in lab.home2.journal("--since", "-1min")
    lab.root.p2prc("kill", "leech", check=False, timeout=120)
    wait_until(lambda: not lab.home2.active("p2prc-leech.service") and not lab.home2.ok(["pgrep", "-f", "EXTEND_TIMEOUT"]), 120, "the leech to be ended")


def test_it_does_not_push_the_journal_of_the_machine_out(lab):
    lab.home2.write("/etc/systemd/journald.conf.d/small.conf", "[Journal]\nSystemMaxUse=64M\nRuntimeMaxUse=64M\n")
    lab.home2.run("systemctl restart systemd-journald")
    first = "journalctl --unit p2prcd.service --no-pager --output short-iso-precise | head -2"
    before = lab.home2.run(first).out
    spin(lab.root, "loud", ["/usr/bin/python3", "-c", LOUD], node="home2", wait=False)
    # It ends as another program, once it has printed everything.
    main = "cat /proc/$(systemctl show --value --property MainPID p2prc-loud.service)/comm"
    wait_until(lambda: lab.home2.run(main, check=False).out.strip() == "sleep", 90, "it to have tried everything")

    def printed():
        lines = lab.home2.run("journalctl --unit p2prc-loud.service --output cat --no-pager").out.splitlines()
        return lines if "to standard error" in lines else None
    lines = wait_until(printed, 30, "its output to arrive")
    assert not [line for line in lines if line.startswith("REACHED")], lines[:20]
    assert len([line for line in lines if line.startswith("CLOSED /")]) == 4, lines[:20]
    # Up to a limit that is a tenth of the usual one.
    written = len([line for line in lines if line.startswith("line ")])
    assert 500 <= written <= 8000, written
    assert lab.home2.run(first).out == before
    lab.root.p2prc("kill", "loud")


def test_why_it_cannot_be_executed_is_said_nevertheless(lab):
    """systemd cannot write to the journal either, between the closing of it and the command."""
    spin(lab.root, "nothing", ["/srv/no-such-program"], node="home2", check=False)
    reason = wait_until(lambda: info(lab.root, "nothing").get("reason"), 30, "nothing to fail")
    assert reason["step"] == "EXEC" and "/srv/no-such-program does not exist" in reason["detail"], reason
    lab.root.p2prc("kill", "nothing")


def test_a_member_whose_processes_take_their_time_to_end_holds_up_nobody_else(lab):
    # More than its share, and each has nearly a minute and a half to end.
    names = [f"slow{number}" for number in range(18)]
    run = {"command": ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"], "kill": ["/bin/sleep", "29"]}
    lab.home1.run("systemctl stop p2prcd.service p2prcd-control.socket")
    try:
        with ControlLink(lab.home1, timeout=60) as link:
            for name in names:
                link.request("process.spin", {"spec": {"name": name, "run": run}, "node": "home2"})
            wait_until(lambda: all(lab.home2.active(f"p2prc-{name}.service") for name in names), 90, "them to run")
            for name in names:
                link.request("process.kill", {"process": name})
        left = "systemctl list-units --plain --no-legend 'p2prc-slow*'"
        wait_until(lambda: lab.home2.run(left).out.count("deactivating") >= 16, 60, "the first ones to be asked to end")
        spin(lab.home2, "mine", ["/bin/sleep", "infinity"], wait=False)
        spin(lab.root, "theirs", ["/bin/sleep", "infinity"], node="home2", wait=False)
        for name in ("mine", "theirs"):
            lab.home2.p2prc("kill", name)
        waiting = lab.home2.run(left).out.splitlines()
        assert len(waiting) == len(names), f"the others were done when these had ended: {waiting}"
        lab.home2.run("systemctl kill --signal=KILL 'p2prc-slow*'")
        wait_until(lambda: not lab.home2.run(left).out, 60, "them to be gone")
    finally:
        lab.home1.run("systemctl start p2prcd-control.socket p2prcd.service")


def test_a_change_that_nobody_made_does_not_outlast_the_conqueror(lab):
    with conquest(lab) as registry:
        good = registry.get("/processes/kept")
        record = copy.deepcopy(good)
        record["change"] = 2**64 - 2
        registry.put("/processes/kept", record)
    wait_until(lambda: "/processes/kept is not accepted" in lab.home2.journal("--unit", "p2prcd.service"), 60, "home2 to refuse it")
    assert lab.home2.active("p2prc-kept.service")
    with conquest(lab) as registry:
        registry.put("/processes/kept", good)
    lab.home2.p2prc("stop", "kept", timeout=120)
    assert not lab.home2.active("p2prc-kept.service")
    lab.home2.p2prc("start", "kept", timeout=120)
    assert info(lab.home2, "kept")["state"] == "running"
