"""A process that wants the ports of others: systemd attaches the programs that p2prcd has had pinned."""

from lab import wait_until
from lab.household import info, make_fleet, spin, wait_state

MACHINES = ["root", "acme", "home1"]

# Binds what its arguments name, prints how that went, and stays.
BINDER = r'''
import errno, os, socket, sys, time
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
def attempt(kind, address, port):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, KINDS[kind]) as s:
        try:
            s.bind((address, port))
            if kind == "tcp": s.listen()
        except OSError as e:
            return errno.errorcode[e.errno]
    return "ok"
ports = {"own": os.environ.get("PORT"), "chosen": 0, "other": 8119, "low": 80, "high": 8443}
for name, port in ports.items():
    if port is not None:
        print(name, *(attempt(kind, address, int(port)) for kind in KINDS for address in ("127.0.0.1", "0.0.0.0", "::1", "::")))
print("listen", end=" ")
with socket.socket() as s:
    s.listen()
    print(s.getsockname()[1] != 0)
with socket.create_connection((sys.argv[1], 443)) as s:
    print("tcp", s.getpeername()[1])
with socket.socket(type=socket.SOCK_DGRAM) as s:
    s.settimeout(10)
    s.connect((sys.argv[1], 53))
    s.send(bytes.fromhex("000100000001000000000000") + b"\x04home\x07example\x00\x00\x06\x00\x01")
    print("udp", len(s.recv(512)) > 12)
print("name", socket.gethostbyname("home.example"))
if ports["own"]: held = socket.create_server(("127.0.0.1", int(ports["own"])))
print("done", flush=True)
time.sleep(1e9)
'''
ALL = "ok ok ok ok ok ok ok ok"
NONE = " ".join(["EPERM"] * 8)


def lines(lab, name):
    """What the binder has printed, by its first word."""
    text = wait_until(lambda: (out := lab.home1.p2prc("logs", name).out) and " done" in out and out, 30, f"{name} to have tried everything")
    words = [line.split() for line in text.splitlines()]
    known = ("own", "chosen", "other", "low", "high", "listen", "tcp", "udp", "name")
    return {word: " ".join(line[line.index(word) + 1:]) for line in words for word in line if word in known}


def binder(lab):
    return ["/usr/bin/python3", "-c", BINDER, lab.root.address]


def outward(seen):
    assert seen["listen"] == "True" and seen["tcp"] == "443" and seen["udp"] == "True" and seen["name"] == "203.0.113.10", seen


def test_a_fleet(lab):
    make_fleet(lab, "home1")


def test_what_is_pinned_is_roots_alone(lab):
    pinned = lab.home1.run("ls /sys/fs/bpf/p2prc").out.split()
    assert pinned == ["bind4-none", "bind6-none"], pinned
    assert not lab.home1.ok("ls /sys/fs/bpf/p2prc", user="nobody")
    assert "are not kept to their ports" not in lab.home1.journal("--unit", "p2prcd.service")


def test_a_squatter_gets_no_port_of_another(lab):
    spin(lab.home1, "squatter", binder(lab))
    seen = lines(lab, "squatter")
    assert seen["other"] == seen["high"] == seen["low"] == NONE, seen
    assert seen["chosen"] == ALL, seen
    outward(seen)


def test_a_process_has_its_own_port_alone(lab):
    spin(lab.home1, "holder", binder(lab), port=8120)
    seen = lines(lab, "holder")
    assert seen["own"] == seen["chosen"] == ALL, seen
    assert seen["other"] == seen["high"] == NONE, seen
    outward(seen)


def test_a_restart_of_p2prcd_changes_nothing(lab):
    before = lab.home1.run("ls -i /sys/fs/bpf/p2prc").out
    lab.home1.run("systemctl restart p2prcd")
    wait_state(lab.home1, "holder", "running")
    # Inode numbers: what is right is not replaced.
    assert lab.home1.run("ls -i /sys/fs/bpf/p2prc").out == before
    lab.home1.run("systemctl daemon-reexec")
    spin(lab.home1, "second", binder(lab))
    assert lines(lab, "second")["other"] == NONE


def test_another_nodes_process_gets_its_low_port_and_no_other(lab):
    spin(lab.root, "low", binder(lab), node="home1", port=443)
    wait_state(lab.root, "low", "running")
    seen = lines(lab, "low")
    assert seen["own"] == ALL and seen["low"] == seen["other"] == NONE, seen


def test_a_user_is_kept_from_other_low_ports_only(lab):
    lab.home1.write("/root/user.toml", 'name = "user"\nport = 81\n[run]\nuser = "daemon"\n'
                                       f'command = ["/usr/bin/python3", "/usr/local/lib/binder.py", "{lab.root.address}"]\n')
    lab.home1.write("/usr/local/lib/binder.py", BINDER)
    lab.home1.p2prc("spin", "/root/user.toml")
    seen = lines(lab, "user")
    assert seen["own"] == seen["other"] == seen["high"] == ALL and seen["low"] == NONE, seen
    free = lab.home1.read("/root/user.toml").replace('"user"', '"free"', 1).replace("port = 81\n", "")
    lab.home1.write("/root/free.toml", free)
    lab.home1.p2prc("spin", "/root/free.toml")
    seen = lines(lab, "free")
    assert seen["other"] == seen["high"] == ALL, seen
    assert "BPFProgram" not in lab.home1.read("/run/systemd/transient/p2prc-free.service")


def test_a_restart_by_systemd_frees_no_port(lab):
    """systemd makes another control group, and takes its programs for attached."""
    lab.home1.run("systemctl kill --signal=KILL p2prc-holder.service")
    wait_until(lambda: lab.home1.p2prc("logs", "holder").out.count(" done") == 2, 30, "holder to have tried everything again")
    seen = lines(lab, "holder")
    assert seen["own"] == seen["chosen"] == ALL, seen
    assert seen["other"] == seen["high"] == NONE, seen


def test_further_ports_are_its_own_too(lab):
    def spin_file(name, keys, check=True):
        words = ", ".join(f'"{word}"' for word in ("/usr/bin/python3", "/usr/local/lib/binder.py", lab.root.address))
        lab.home1.write(f"/root/{name}.toml", f'name = "{name}"\n{keys}\n[run]\ncommand = [{words}]\n')
        return lab.home1.p2prc("spin", f"/root/{name}.toml", check=check)
    spin_file("several", "port = 8130\nports = [8119]")
    seen = lines(lab, "several")
    assert seen["own"] == seen["other"] == ALL and seen["high"] == seen["low"] == NONE, seen
    spin_file("without", "ports = [8443]")
    seen = lines(lab, "without")
    assert seen["high"] == ALL and seen["other"] == seen["low"] == NONE, seen
    refused = spin_file("thief", "port = 8119", check=False)
    assert refused.code != 0 and "port 8119" in refused.err and "several" in refused.err, refused.err


def test_what_no_process_needs_is_not_kept_pinned(lab):
    """A member could otherwise pin ever more, with a new set of ports for each process."""
    def pinned():
        return {name.partition("-")[2] for name in lab.home1.run("ls /sys/fs/bpf/p2prc").out.split()}
    for number in range(3):
        spin(lab.root, f"brief{number}", ["/bin/sleep", "infinity"], node="home1", port=8140 + number, wait=False)
    wait_until(lambda: {"8140", "8141", "8142"} <= pinned(), 30, "their programs to be pinned")
    before = pinned()
    for number in range(3):
        lab.root.p2prc("kill", f"brief{number}")
    # And what was left by a p2prcd that ended before it could see to it.
    lab.home1.run("systemctl stop p2prcd; systemd-run --quiet --wait /usr/libexec/p2prc/p2prcd-ports 8150; systemctl start p2prcd")
    wait_until(lambda: pinned() == before - {"8140", "8141", "8142"}, 120, "them to be removed")
    # And what comes back gets them again.
    spin(lab.home1, "again", binder(lab), port=8140)
    seen = lines(lab, "again")
    assert seen["own"] == ALL and seen["other"] == NONE, seen


def test_after_a_boot_all_are_kept_to_their_ports(lab):
    lab.home1.reboot()
    wait_state(lab.home1, "holder", "running", timeout=60)
    pinned = set(lab.home1.run("ls /sys/fs/bpf/p2prc").out.split())
    assert {f"bind{family}-{rule}" for family in (4, 6) for rule in ("none", "8120", "443", "low-81")} <= pinned, pinned

    def tried():
        boot = lab.home1.run("journalctl -b -u p2prc-holder.service -o cat").out
        return "done" in boot and boot
    boot = wait_until(tried, 30, "holder to have tried everything")
    assert f"own {ALL}" in boot and f"other {NONE}" in boot, boot


def test_without_a_bpf_file_system_processes_start_unconfined(lab):
    lab.home1.run("systemctl stop p2prcd && umount /sys/fs/bpf && systemctl start p2prcd")
    told = "are not kept to their ports"
    wait_until(lambda: told in lab.home1.journal("--unit", "p2prcd.service"), 30, "p2prcd to say so")
    spin(lab.home1, "third", binder(lab))
    assert lines(lab, "third")["other"] == ALL
    assert lab.home1.journal("--unit", "p2prcd.service").count(told) == 1
    spin(lab.root, "lower", ["/bin/sleep", "infinity"], node="home1", port=82, check=False)
    reason = wait_until(lambda: info(lab.root, "lower").get("reason"), 20, "lower to be refused")
    assert reason["step"] == "policy" and "port 82" in reason["detail"], reason
    doctor = lab.home1.p2prc("doctor", check=False).out
    assert "processes are not kept to their ports: " in doctor and "tries again" in doctor, doctor
    # It may come later than p2prcd.
    lab.home1.run("mount -t bpf -o mode=700 bpf /sys/fs/bpf")
    wait_until(lambda: lab.home1.ok("test -e /sys/fs/bpf/p2prc/bind6-none"), 180, "p2prcd to have tried again")
    wait_until(lambda: "processes are not kept" not in lab.home1.p2prc("doctor", check=False).out, 30, "the doctor to see that")
    spin(lab.home1, "fourth", binder(lab))
    assert lines(lab, "fourth")["other"] == NONE
