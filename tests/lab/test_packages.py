"""The Debian packages: what installing, upgrading, removing and purging do to the daemons, the processes and the disk."""

import os
import subprocess
import tempfile

from lab import host, wait_until

MACHINES = ["home1"]
INSTALL = False

TICKER = """name = "ticker"

[run]
command = "echo kept >/var/lib/p2prc-data/ticker/kept; exec sleep infinity"
data = true
"""


def newer(package, directory):
    """The same package under the next version."""
    tree = f"{directory}/tree"
    host.call("rm", "-rf", tree)
    host.call("dpkg-deb", "--raw-extract", package, tree)
    version = host.call("dpkg-deb", "--field", package, "Version").strip()
    control = f"{tree}/DEBIAN/control"
    with open(control, encoding="utf-8") as file:
        text = file.read().replace(version, version + "+1")
    with open(control, "w", encoding="utf-8") as file:
        file.write(text)
    path = f"{directory}/{os.path.basename(package).replace(version, version + '+1')}"
    host.call("dpkg-deb", "--root-owner-group", "--build", tree, path)
    return path


def states(machine, *units):
    return {unit: (machine.unit(unit)["UnitFileState"], machine.unit(unit)["ActiveState"]) for unit in units}


def pid(machine, name):
    return machine.unit(f"{name}.service")["MainPID"]


def test_installing_starts_the_daemon_and_spinning_works_at_once(lab):
    lab.home1.install([lab.packages()["p2prc"]])
    lab.home1.write("/root/ticker.toml", TICKER)
    lab.home1.p2prc("spin", "/root/ticker.toml")
    assert lab.home1.json("info", "ticker")["state"] == "running"
    assert lab.home1.active("p2prc-ticker.service")
    assert lab.home1.unit("p2prcd.service")["UnitFileState"] == "enabled"


def test_edge_and_connector_wait_for_their_role(lab):
    lab.home1.install(lab.packages().values())
    units = ["p2prc-connector.service", "p2prc-edge.service", "p2prc-edge.socket"]
    assert states(lab.home1, *units) == {unit: ("static", "inactive") for unit in units}


COMPLETE = r"""
. /usr/share/bash-completion/bash_completion
. /usr/share/bash-completion/completions/p2prc
COMP_LINE=$1 COMP_POINT=${#1}
read -ra COMP_WORDS <<<"$1"
[[ $1 == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_p2prc
printf '%s\n' "${COMPREPLY[@]}"
"""


def test_what_each_start_waits_for_needs_the_c_library_alone(lab):
    needed = lab.home1.run("ldd /usr/libexec/p2prc/p2prcd-ports").out
    assert "libc.so" in needed, needed
    assert not [name for name in ("libcrypto", "libfmt", "libstdc++", "libtomlplusplus") if name in needed], needed


def test_the_command_completes_in_bash(lab):
    for line, among in (("p2prc st", {"stop", "start", "status"}), ("p2prc -o json in", {"init", "invite", "info"}),
                        ("p2prc info ", {"ticker"}), ("p2prc nodes rm ", {"home1"}),
                        ("p2prc help nodes ", {"show", "rm", "label", "custom", "drain", "resume"}),
                        ("p2prc logs --l", {"--lines"})):
        offered = lab.home1.run(["bash", "-c", COMPLETE, "bash", line]).out.split()
        assert set(offered) == among, (line, offered)


def test_an_upgrade_restarts_the_daemon_and_no_process(lab):
    before = {name: pid(lab.home1, name) for name in ("p2prc-ticker", "p2prcd")}
    invocation = lab.home1.unit("p2prc-ticker.service")["InvocationID"]
    with tempfile.TemporaryDirectory() as directory:
        lab.home1.install([newer(package, directory) for package in lab.packages().values()])
    wait_until(lambda: lab.home1.active("p2prcd.service"), 20, "p2prcd to run after the upgrade")
    assert pid(lab.home1, "p2prcd") != before["p2prcd"]
    assert pid(lab.home1, "p2prc-ticker") == before["p2prc-ticker"]
    assert lab.home1.unit("p2prc-ticker.service")["InvocationID"] == invocation
    assert lab.home1.json("info", "ticker")["state"] == "running"


def test_removing_stops_the_processes_and_keeps_the_records(lab):
    lab.home1.run("apt-get remove -y -q p2prc p2prc-edge", timeout=120)
    assert not lab.home1.active("p2prc-ticker.service")
    assert not lab.home1.ok(["pgrep", "-f", "libexec/p2prc"])
    lab.home1.install([lab.packages()["p2prc"]])
    assert lab.home1.json("info", "ticker")["reason"]["kind"] == "stopped-outside"
    lab.home1.p2prc("start", "ticker")
    assert lab.home1.active("p2prc-ticker.service")


def test_purging_leaves_the_data_and_says_so(lab):
    out = lab.home1.run("apt-get purge -y -q p2prc p2prc-edge", timeout=120).out
    assert "/var/lib/p2prc-data" in out
    assert lab.home1.read("/var/lib/p2prc-data/ticker/kept") == "kept\n"
    left = lab.home1.run(
        "find / -xdev \\( -path /proc -o -path /sys -o -path /run -o -path /var/lib/p2prc-data -o -path /var/lib/private/p2prc-data"
        " -o -path /var/cache/lab \\) -prune -o -name '*p2prc*' -print; find /run /tmp /var/tmp -name '*p2prc*' -not -path '/run/systemd/units/*'; getent passwd | grep p2prc || true").out
    assert left == "", f"purging left: {left}"
    assert "p2prc" not in lab.home1.run("systemctl list-units --all --no-legend 'p2prc*'").out


def test_the_packages_declare_no_file_twice(lab):
    listing = [subprocess.run(["dpkg-deb", "--contents", package], capture_output=True, text=True, check=True).stdout for package in lab.packages().values()]
    files = [line.split()[5] for text in listing for line in text.splitlines() if not line.startswith("d")]
    assert sorted(set(files)) == sorted(files)
