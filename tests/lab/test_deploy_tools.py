"""The deployers that come with p2prc and need tools of others: with those of Debian, and without the Internet."""

import json

from lab.household import info

MACHINES = ["home1"]

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
    lab.home1.write(f"/root/{name}.toml", f'name = "{name}"\n[deploy]\nstrategy = "{strategy}"\nscript = {json.dumps(script)}\n[run]\ncommand = {json.dumps(command)}\n')
    return lab.home1.p2prc("spin", f"/root/{name}.toml", "--timeout", "5m", check=check, timeout=320)


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
