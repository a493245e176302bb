"""The lab itself: what all other lab tests stand on."""

import os
import signal
import subprocess
import sys

from lab import Lab, record, wait_until
from lab import host

MACHINES = ["root", "client", "acme", "home1", "home2", "home3"]
INSTALL = False


def listen(machine, port, answer):
    """A server on `machine` that answers every connection with a word."""
    machine.run(["systemd-run", "--quiet", "--collect", f"--unit=answer-{port}", "python3", "-c", f"""
import socket
server = socket.create_server(("0.0.0.0", {port}))
while True:
    connection, peer = server.accept()
    connection.sendall(b"{answer} " + peer[0].encode())
    connection.close()
"""])
    wait_until(lambda: machine.ok(f"ss -Hltn sport = :{port} | grep -q ."), 10, f"{machine.name} to listen on {port}")


def ask(machine, address, port, check=True):
    return machine.run(["nc", "-w", "2", address, str(port)], check=check, timeout=20).out


def test_machines_boot_without_a_failed_unit(lab):
    for machine in lab.machines.values():
        state = machine.run("systemctl is-system-running", check=False).out.strip()
        assert state == "running", machine.run("systemctl --failed --no-pager").out
        assert machine.run("hostname").out.strip() == machine.name


def test_machines_have_identities_of_their_own(lab):
    identities = {machine.read("/etc/machine-id") for machine in lab.machines.values()}
    assert len(identities) == len(lab.machines)


def test_homes_reach_the_public_side_from_their_routers_address(lab):
    listen(lab.root, 7000, "root")
    for home, router in (("home1", "203.0.113.101"), ("home2", "203.0.113.102"), ("home3", "203.0.113.103")):
        assert ask(lab.machines[home], lab.root.address, 7000) == f"root {router}"
    assert ask(lab.client, lab.root.address, 7000) == f"root {lab.client.address}"


def test_nobody_reaches_a_home(lab):
    for home in ("home1", "home2", "home3"):
        listen(lab.machines[home], 7001, home)
    for address in ("192.168.1.10", "203.0.113.101", "192.168.3.10", "203.0.113.103"):
        assert ask(lab.root, address, 7001, check=False) == ""
    assert ask(lab.home1, "192.168.2.10", 7001, check=False) == ""


def test_the_resolver_answers_through_systemd_resolved(lab):
    for machine in lab.machines.values():
        assert machine.run(["resolvectl", "query", "acme.lab.example"]).out.startswith("acme.lab.example: 203.0.113.30")


def test_acme_server_is_trusted_everywhere(lab):
    directory = lab.pebble()
    for machine in (lab.home3, lab.root):
        assert "newOrder" in machine.run(["curl", "-sf", directory]).out


def test_a_cut_cable_loses_packets_and_keeps_routes(lab):
    lab.home1.link_down()
    assert ask(lab.home1, lab.root.address, 7000, check=False) == ""
    lab.home1.link_up()
    wait_until(lambda: ask(lab.home1, lab.root.address, 7000, check=False), 10, "home1 to be back")


def test_a_changed_address(lab):
    lab.home1.change_address(11)
    assert ask(lab.home1, lab.root.address, 7000) == "root 203.0.113.101"
    lab.network.readdress("router1", 111)
    assert ask(lab.home1, lab.root.address, 7000) == "root 203.0.113.111"


def test_a_power_cut_keeps_the_disk_and_nothing_else(lab):
    boot = "/proc/sys/kernel/random/boot_id"
    before = lab.home2.read(boot)
    lab.home2.run("journalctl --sync")
    lab.home2.run("echo kept >/var/lib/kept; echo lost >/run/lost; sync")
    lab.home2.power_cut()
    assert not lab.home2.running()
    assert lab.home2.read("/var/lib/kept") == "kept\n"
    lab.home2.boot()
    assert lab.home2.read("/var/lib/kept") == "kept\n"
    assert not lab.home2.ok("test -e /run/lost")
    assert lab.home2.read(boot) != before
    assert "Linux" in lab.home2.run("uname").out
    assert "Startup finished" in lab.home2.run("journalctl --no-pager -b -1").out


def test_a_clean_reboot_runs_the_stop_commands(lab):
    lab.home2.run(["systemd-run", "--quiet", "--unit=neat", "-p", "ExecStop=touch /var/lib/stopped", "sleep", "infinity"])
    lab.home2.reboot()
    assert lab.home2.ok("test -e /var/lib/stopped")


def test_a_suspended_machine_stands_still(lab):
    lab.home3.run(["systemd-run", "--quiet", "--unit=ticker", "sh", "-c", "while :; do date +%s%N >/run/tick; sleep 0.02; done"])
    path = f"/proc/{lab.home3.leader[0]}/root/run/tick"

    def tick():
        with open(path, encoding="ascii") as file:
            return file.read()
    first = wait_until(lambda: os.path.exists(path) and tick(), 10, "a tick")
    wait_until(lambda: tick() != first, 10, "another tick")
    lab.home3.suspend()
    frozen = tick()
    ask(lab.root, lab.root.address, 7000)
    assert tick() == frozen
    lab.home3.resume()
    wait_until(lambda: tick() != frozen, 10, "ticks after waking up")


def test_commands_by_an_unprivileged_user(lab):
    assert lab.root.run("id -un", user="nobody").out.strip() == "nobody"


def test_a_wrong_clock_for_a_program(lab):
    library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
    year = lab.root.run(f"LD_PRELOAD={library} FAKETIME=-3y date +%Y").out
    assert int(year) == int(lab.root.run("date +%Y").out) - 3


def leftovers(run):
    found = [name for name in host.call("ip", "netns", "list").split() if f"p2prc-{run}-" in name]
    with open("/proc/self/mounts", encoding="ascii") as mounts:
        found += [line.split()[1] for line in mounts if f"/runs/{run}/" in line]
    for base in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/freezer"):
        if os.path.exists(f"{base}/p2prc-lab-{run}"):
            found.append(f"{base}/p2prc-lab-{run}")
    for path in (f"{record.CACHE}/runs/{run}", f"{record.RUNS}/{run}"):
        if os.path.exists(path):
            found.append(path)
    return found


def test_a_second_lab_beside_this_one_leaves_nothing(lab):
    with Lab(["root", "home1"], say=lambda text: None) as other:
        run = other.record.run
        assert other.home1.read("/etc/machine-id") != lab.home1.read("/etc/machine-id")
        assert leftovers(run)
    assert leftovers(run) == []
    assert lab.home1.ok("true")


def test_a_killed_run_leaves_nothing(lab):
    program = f"""
import sys, signal
sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})
from lab import Lab
lab = Lab(["home1"]).start()
print(lab.record.run, lab.home1.leader[0], flush=True)
signal.pause()
"""
    with subprocess.Popen([sys.executable, "-B", "-c", program], stdout=subprocess.PIPE, text=True) as other:
        run, leader = other.stdout.readline().split()
        leader = host.process(int(leader))
        assert host.alive(leader)
        other.send_signal(signal.SIGKILL)
    wait_until(lambda: not host.alive(leader) and leftovers(run) == [], 20, f"nothing to be left of run {run}")
