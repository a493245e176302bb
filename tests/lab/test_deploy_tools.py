"""The deployers that come with p2prc and need tools of others: with those of Debian, and without the Internet."""

import json

from lab import wait_until
from lab.household import deployers, info, make_fleet

MACHINES = ["root", "home1", "home2"]

SLEEP = ["/bin/sleep", "infinity"]

EXPRESSION = """
derivation {
  name = "greeter";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-c" "/bin/mkdir -p $out/bin && printf '#!/bin/sh\\necho built >\\"$STATE_DIRECTORY/said\\"\\nexec sleep infinity\\n' >$out/bin/greeter && /bin/chmod +x $out/bin/greeter" ];
}
"""

PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - copy: { content: "played\\n", dest: "{{ lookup('env', 'STATE_DIRECTORY') }}/said" }
    - copy: { content: "shown\\n", dest: "{{ lookup('env', 'DEPLOY') }}/file" }
"""


def deploy(lab, name, strategy, script, command, check=True):
    return spin(lab.home1, name, strategy, script, command, check=check)


def spin(machine, name, strategy, script, command, *options, check=True):
    machine.write(f"/root/{name}.toml", f'name = "{name}"\n[deploy]\nstrategy = "{strategy}"\nscript = {json.dumps(script)}\n[run]\ncommand = {json.dumps(command)}\n')
    return machine.p2prc("spin", f"/root/{name}.toml", "--timeout", "5m", *options, check=check, timeout=320)


def test_what_is_missing_is_named(lab):
    for strategy, program in (("nix", "/usr/bin/nix-build"), ("ansible", "/usr/bin/ansible-playbook")):
        refused = deploy(lab, f"no-{strategy}", strategy, "x", SLEEP, check=False)
        assert refused.code == 1 and f"needs {program}" in refused.err and "apt install" in refused.err, refused


def test_nix(lab):
    lab.home1.install(lab.archive("nix-bin", "nix-setup-systemd"))
    lab.home1.run("systemctl start nix-daemon.service")
    deploy(lab, "greeter", "nix", EXPRESSION, ["/run/p2prc-deploy/bin/greeter"])
    assert lab.home1.run("cat /var/lib/p2prc-data/greeter/said").out == "built\n"
    # What it has built stays when garbage is collected.
    lab.home1.run("nix-store --gc", timeout=120)
    lab.home1.p2prc("restart", "greeter", timeout=120)
    assert info(lab.home1, "greeter")["state"] == "running"


def test_nix_that_does_not_build(lab):
    refused = deploy(lab, "wrong", "nix", "derivation {", SLEEP, check=False)
    assert refused.code == 1 and "deploy-failed at exit 1" in refused.err and "syntax error" in refused.err, refused
    lab.home1.p2prc("kill", "wrong")


def test_ansible(lab):
    lab.home1.install(lab.archive("ansible-core"))
    deploy(lab, "played", "ansible", PLAY, 'cat "$DEPLOY/file" >"$STATE_DIRECTORY/shown"; exec sleep infinity')
    assert lab.home1.run("cat /var/lib/p2prc-data/played/said").out == "played\n"
    assert lab.home1.run("cat /var/lib/p2prc-data/played/shown").out == "shown\n"
    assert "ok=2 changed=2" in lab.home1.run("journalctl -o cat -u p2prcd").out


def test_a_play_that_fails(lab):
    refused = deploy(lab, "unplayed", "ansible", "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - fail: { msg: 'no such luck' }\n", SLEEP, check=False)
    assert refused.code == 1 and "deploy-failed at exit 2" in refused.err and "no such luck" in refused.err, refused


CHANGES_THE_MACHINE = """
- hosts: localhost
  gather_facts: false
  tasks:
    - copy: { content: "played\\n", dest: /etc/played }
"""


def test_a_play_that_changes_the_machine(lab):
    # As the guide says.
    lab.home1.run("mkdir -p /etc/p2prc/deployers && cp /usr/lib/p2prc/deployers/ansible /etc/p2prc/deployers/ansible-root && chmod 0755 /etc/p2prc/deployers")
    lab.home1.write("/etc/p2prc/deployers/ansible-root.toml", 'as = "root"\nneeds = ["/usr/bin/ansible-playbook"]\n')
    refused = deploy(lab, "sandboxed", "ansible", CHANGES_THE_MACHINE, SLEEP, check=False)
    assert refused.code == 1 and not lab.home1.ok("test -e /etc/played"), refused
    deploy(lab, "changer", "ansible-root", CHANGES_THE_MACHINE, SLEEP)
    assert lab.home1.read("/etc/played") == "played\n"
    for name in ("sandboxed", "changer"):
        lab.home1.p2prc("kill", name, timeout=120)


def admitted_by_home1(lab):
    """Which of the deployers of this house it runs for other nodes, as home2 knows."""
    return {name for name, told in deployers(lab.home2, "home1").items() if told["admitted"]} & {"nix", "ansible", "ansible-root"}


def test_each_policy_of_other_nodes(lab):
    make_fleet(lab, "home1", "home2")
    wait_until(lambda: admitted_by_home1(lab) == {"nix", "ansible"}, 60, "home1 to tell of its deployers")
    greeter = ("nix", EXPRESSION, ["/run/p2prc-deploy/bin/greeter"])
    player, changer = ("ansible", PLAY, SLEEP), ("ansible-root", CHANGES_THE_MACHINE, SLEEP)
    for policy, admitted in (("no", []), ("sandboxed", [greeter, player]), ("any", [greeter, player, changer])):
        lab.home1.write("/etc/p2prc/p2prcd.toml.d/remote.toml", f'[remote]\nspin = "{policy}"\n')
        lab.home1.run("systemctl reload p2prcd")
        wanted = {what[0] for what in admitted}
        wait_until(lambda: admitted_by_home1(lab) == wanted, 60, f"home1 to tell of {policy}")  # noqa: B023
        for strategy, script, command in (greeter, player, changer):
            name = f"{strategy}-{policy}"
            spun = spin(lab.home2, name, strategy, script, command, "--node", "home1", check=False)
            if strategy in wanted:
                assert spun.code == 0 and info(lab.home1, name)["state"] == "running", (policy, strategy, spun)
                lab.home2.p2prc("kill", name, timeout=120)
            else:
                assert spun.code != 0 and "[remote]" in spun.err, (policy, strategy, spun)
                assert lab.home2.p2prc("info", name, check=False).code == 3
