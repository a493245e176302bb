"""Edge and connector on machines whose /etc is read-only, and on those that had the links of an earlier version."""

from lab import host, wait_until
from lab.household import join, make_root, node_state, spin, wait_state

MACHINES = ["root", "acme", "home1"]
UNITS = {"root": ["p2prc-edge.socket", "p2prc-edge.service", "p2prc-connector.service"], "home1": ["p2prc-connector.service"]}
ROLES = {"root": ["connector", "edge"], "home1": ["connector"]}

# As image-based systems and NixOS have it: PID 1 and everybody else can write nothing there.
READ_ONLY = """[Unit]
DefaultDependencies=no
Before=sysinit.target
After=systemd-remount-fs.service systemd-sysusers.service systemd-machine-id-commit.service systemd-tmpfiles-setup.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c "mount --bind /etc /etc && mount -o remount,bind,ro /etc"
[Install]
WantedBy=sysinit.target
"""


def setup(lab):
    for machine in (lab.root, lab.home1):
        machine.write("/etc/systemd/system/read-only-etc.service", READ_ONLY)
        machine.run("systemctl daemon-reload && systemctl enable --now read-only-etc.service")
        assert not machine.ok("touch /etc/x")


def up(lab, name):
    machine = lab.machines[name]
    return all(machine.active(unit) for unit in UNITS[name])


def roles(machine):
    return machine.run("ls /var/lib/p2prc/roles").out.split()


def wait_roles(lab, *names):
    for name in names:
        wait_until(lambda name=name: up(lab, name), 60, f"the units of {name} to run")
        assert roles(lab.machines[name]) == ROLES[name]


def test_init_and_join_need_nothing_below_etc(lab):
    before = [machine.run("find /etc -newer /etc/hostname | sort").out for machine in (lab.root, lab.home1)]
    assert [roles(machine) for machine in (lab.root, lab.home1)] == [[], []]
    make_root(lab)
    join(lab, lab.home1)
    wait_roles(lab, "root", "home1")
    assert [machine.run("find /etc -newer /etc/hostname | sort").out for machine in (lab.root, lab.home1)] == before
    spin(lab.home1, "web", ["/usr/bin/python3", "-m", "http.server", "8000", "--bind", "127.0.0.1"], port=8000, domain="web.home.example")


def reaches(lab):
    return lab.acme.ok(f"curl -sk --max-time 5 --resolve web.home.example:443:{lab.root.address} https://web.home.example/")


def test_they_come_up_again_after_a_boot(lab):
    wait_until(lambda: reaches(lab), 60, "the domain to be served")
    lab.home1.reboot()
    lab.root.power_cut()
    lab.root.boot()
    wait_roles(lab, "root", "home1")
    wait_until(lambda: reaches(lab), 60, "the domain to be served after the boots")
    assert not lab.root.ok("touch /etc/x")


def test_links_of_an_earlier_version_become_roles(lab):
    # What that version left: no directory of roles, and links below /etc.
    for name in ("root", "home1"):
        machine = lab.machines[name]
        machine.power_off()
        host.call("rm", "-r", f"{machine.root}/var/lib/p2prc/roles")
        for unit in UNITS[name]:
            target = "sockets" if unit.endswith(".socket") else "multi-user"
            host.call("mkdir", "-p", f"{machine.root}/etc/systemd/system/{target}.target.wants")
            host.call("ln", "-s", f"/lib/systemd/system/{unit}", f"{machine.root}/etc/systemd/system/{target}.target.wants/{unit}")
        machine.boot()
    wait_roles(lab, "root", "home1")
    wait_until(lambda: reaches(lab), 60, "the domain to be served")


def test_a_connector_that_was_stopped_stays_so(lab):
    lab.home1.run("systemctl stop p2prc-connector.service && systemctl restart p2prcd.service")
    wait_until(lambda: lab.home1.ok("p2prc ps"), 30, "p2prcd to be up")
    assert not lab.home1.active("p2prc-connector.service")
    lab.home1.run("systemctl start p2prc-connector.service")
    wait_until(lambda: node_state(lab.root, "home1") == "up", 60, "home1 to be up")


def test_an_edge_without_its_role_is_named(lab):
    lab.root.run("systemctl stop p2prc-edge.socket p2prc-edge.service && rm /var/lib/p2prc/roles/edge && systemctl start p2prc-edge.service")
    assert not lab.root.active("p2prc-edge.service")
    (finding,) = [finding for finding in lab.root.json("doctor") if finding["subject"] == "p2prc-edge.service"]
    assert finding["state"] == "fail" and "p2prc init" in finding["fix"], finding

    def status_says_the_same():
        problems = [problem for problem in lab.root.json("status")["problems"] if problem["subject"] == "edge"]
        return [problem["hint"] for problem in problems] == [finding["fix"]] and finding["detail"] in problems[0]["cause"]
    wait_until(status_says_the_same, 60, "status to say the same as doctor")
    make_root(lab)
    wait_roles(lab, "root")
    wait_until(lambda: node_state(lab.root, "home1") == "up", 60, "home1 to be up again")


def test_leaving_turns_the_connector_off(lab):
    lab.home1.p2prc("leave")
    wait_until(lambda: not up(lab, "home1"), 20, "the connector to stop")
    assert roles(lab.home1) == []
    lab.home1.reboot()
    wait_state(lab.home1, "web", "running")
    assert not up(lab, "home1")
    # Started by hand, it is skipped: systemd says why.
    lab.home1.run("systemctl start p2prc-connector.service")
    assert not up(lab, "home1")
    assert "ConditionPathExists=/var/lib/p2prc/roles/connector" in lab.home1.run("systemctl status p2prc-connector.service", check=False).out
