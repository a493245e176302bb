"""The packages of rpm/p2prc.spec, unpacked on Debian machines: what their units and paths are worth with systemd."""

import subprocess

from lab import host, wait_until
from lab.household import join, make_root, node_state

MACHINES = ["root", "acme", "home1"]
INSTALL = False
UNITS = ["p2prcd.service", "p2prcd-control.socket", "p2prc-connector.service", "p2prc.slice"]
EDGE_UNITS = ["p2prc-edge.service", "p2prc-edge.socket"]


def unpack(package, machine):
    archive = subprocess.run(["rpm2cpio", package], stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["cpio", "--quiet", "-idmu", "--no-absolute-filenames"], input=archive, cwd=machine.root, check=True)


def setup(lab):
    """What systemd's file triggers and %post do on a distribution with rpm, and its administrator."""
    for package in lab.made("p2prc-*.rpm", "--rpm"):
        for machine in (lab.root, lab.home1) if "p2prc-edge" not in package else (lab.root,):
            unpack(package, machine)
    for machine in (lab.root, lab.home1):
        machine.run("systemd-sysusers && systemd-tmpfiles --create && journalctl --update-catalog && systemctl daemon-reload && systemctl reload dbus")
        machine.run("systemctl enable --now p2prcd.service")


def test_units_verify(lab):
    assert lab.home1.run(["systemd-analyze", "verify", "--man=no", *UNITS]).err == ""
    assert lab.root.run(["systemd-analyze", "verify", "--man=no", *UNITS, *EDGE_UNITS]).err == ""
    assert not lab.home1.ok("test -e /usr/lib/systemd/system/p2prc-edge.service")


def test_a_fleet_is_made_and_joined(lab):
    make_root(lab)
    join(lab, lab.home1)
    wait_until(lambda: lab.root.active("p2prc-edge.service") and lab.home1.active("p2prc-connector.service"), 60, "edge and connector to run")
    lab.home1.reboot()
    wait_until(lambda: node_state(lab.root, "home1") == "up" and lab.home1.active("p2prc-connector.service"), 60, "home1 to be up after the boot")


def test_the_edge_can_be_run_by_hand(lab):
    assert "p2prc-edge" in lab.root.run(["/usr/bin/p2prc-edge", "--version"]).out


def test_needrestart_finds_what_it_is_to_leave_running(lab):
    assert "^p2prc-" in lab.home1.read("/etc/needrestart/conf.d/p2prc.conf")


def test_the_packages_declare_no_file_twice(lab):
    files = [line for package in lab.made("p2prc-*.rpm", "--rpm") for line in host.call("rpm", "-qlp", package).split("\n") if line]
    directories = {file for file in files if any(other.startswith(file + "/") for other in files)}
    single = [file for file in files if file not in directories and "/licenses/" not in file and "/.build-id" not in file]
    assert sorted(set(single)) == sorted(single)
