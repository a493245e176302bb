"""p2prc below /usr/local, as `cmake --install` puts it there: a fleet of two such machines."""

from lab import host, wait_until
from lab.household import join, make_root, node_state, spin, wait_state

MACHINES = ["root", "acme", "home1"]
INSTALL = False


def setup(lab):
    """What docs/installing.md says under "From source"."""
    (archive,) = lab.made("p2prc-local.tar", "--local")
    for machine in (lab.root, lab.home1):
        host.call("tar", "-x", "--keep-directory-symlink", "-f", archive, "-C", machine.root)
        machine.run("systemd-sysusers && systemd-tmpfiles --create && journalctl --update-catalog")
        machine.run("systemctl daemon-reload && systemctl reload dbus && systemctl enable --now p2prcd")


def test_a_fleet_is_made_and_joined(lab):
    make_root(lab)
    join(lab, lab.home1)
    for machine, units in ((lab.root, ("p2prc-edge.service", "p2prc-connector.service")), (lab.home1, ("p2prc-connector.service",))):
        for unit in units:
            wait_until(lambda machine=machine, unit=unit: machine.active(unit), 30, f"{unit} of {machine.name} to run")
            assert machine.unit(unit)["FragmentPath"] == f"/usr/local/lib/systemd/system/{unit}"


def served(lab):
    return lab.acme.ok(f"curl -sk --max-time 5 --resolve web.home.example:443:{lab.root.address} https://web.home.example/")


def test_a_process_is_kept_to_its_port_and_served(lab):
    spin(lab.home1, "web", ["/usr/bin/python3", "-m", "http.server", "8000", "--bind", "127.0.0.1"], port=8000, domain="web.home.example")
    wait_until(lambda: served(lab), 60, "the domain to be served")
    # The program that makes BPF programs was found.
    sandbox = [check for check in lab.home1.json("doctor") if check["subject"] == "sandbox"]
    assert sandbox and sandbox[0]["state"] == "ok", sandbox


def test_all_of_it_is_there_after_a_boot(lab):
    lab.home1.reboot()
    wait_until(lambda: node_state(lab.root, "home1") == "up", 60, "home1 to be up")
    wait_state(lab.home1, "web", "running")
    wait_until(lambda: served(lab), 60, "the domain to be served after the boot")


def test_another_user_may_look_and_is_asked_for_changes(lab):
    assert lab.home1.ok(["p2prc", "ps"], user="nobody")
    refused = lab.home1.run(["p2prc", "kill", "web"], check=False, user="nobody")
    assert refused.code != 0 and "org.p2prc1.kill" in lab.home1.run("pkaction").out, refused


def test_needrestart_finds_what_it_is_to_leave_running(lab):
    assert "^p2prc-" in lab.home1.read("/etc/needrestart/conf.d/p2prc.conf")


def test_the_defaults_are_read(lab):
    lab.home1.run("sed -i '1i nonsense = 1' /usr/local/lib/p2prc/p2prcd.toml && systemctl reload p2prcd")
    wait_until(lambda: "/usr/local/lib/p2prc/p2prcd.toml:1" in lab.home1.journal("-u", "p2prcd"), 20, "the mistake in the defaults to be named")
