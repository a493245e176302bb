"""The commands of docs/guides, as they stand there."""

import os
import re

from lab import wait_until
from lab.household import info, make_fleet, spin, wait_state

MACHINES = ["root", "home1"]
GUIDES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/guides")


def setup(lab):
    make_fleet(lab, "home1")


def blocks(name, language):
    """The texts of a guide that are in that language."""
    with open(f"{GUIDES}/{name}.md", encoding="utf-8") as file:
        return re.findall(rf"```{language}\n(.*?)```", file.read(), re.S)


def typed(machine, line, check=True, **names):
    """A line of a guide, as root and with this fleet's names."""
    line = line.split("#")[0].replace("sudo ", "")
    for old, new in names.items():
        line = re.sub(rf"\b{old}\b", new, line)
    return machine.run(f"cd /root && {line}", check=check, timeout=120)


def test_update_and_roll_back(lab):
    file, without_a_pause, _ = blocks("update-and-roll-back", "toml")
    spins, dry, update, broken, back, data = blocks("update-and-roll-back", "sh")
    machine = lab.home1
    machine.write("/root/site.toml", file)
    typed(machine, spins)
    machine.write("/root/site.toml", file.replace("echo one", "echo two"))
    asked = typed(machine, dry)
    assert "run.command" in asked.out + asked.err, asked
    for line in update.splitlines():
        typed(machine, line)
    machine.write("/root/site.toml", re.sub("command = .*", "command = 'exec false'", file))
    assert typed(machine, broken).out.strip().endswith("1")
    assert "rolled-back" in machine.p2prc("history", "site").out
    assert info(machine, "site")["reason"]["kind"] == "update-failed"
    wait_state(machine, "site", "running", 60)
    for line in back.splitlines():
        typed(machine, line)
    port = info(machine, "site")["port"]
    assert machine.run(["curl", "-sS", f"http://127.0.0.1:{port}/"]).out == "one\n"
    for line in data.splitlines():
        typed(machine, line)
    assert machine.read("/root/site-before/index.html") == "one\n"
    machine.write("/root/site.toml", without_a_pause)
    typed(machine, spins)
    port = info(machine, "site")["port"]
    assert machine.run(["curl", "-sS", f"http://127.0.0.1:{port}/"]).out == "three\n"


def test_write_a_deployer(lab):
    """With a deployer of the same name that needs no repository, as the machine has no git."""
    machine = lab.home1
    deployer, spins, by_hand = blocks("write-a-deployer", "sh")
    machine.write("/root/wiki.toml", blocks("write-a-deployer", "toml")[0])
    machine.write("/root/git", deployer)
    install, spin_it, logs = spins.splitlines()
    typed(machine, install)
    failed = typed(machine, spin_it, check=False)
    assert failed.code == 1 and "p2prc logs wiki --deploy" in failed.err, failed
    assert "git" in typed(machine, logs).out
    machine.write("/root/git", '#!/bin/sh -e\nmkdir bin\nprintf \'#!/bin/sh\\nexec /usr/bin/python3 -m http.server "$PORT"\' >bin/wiki\nchmod +x bin/wiki\n')
    typed(machine, install)
    typed(machine, "p2prc start wiki")
    assert info(machine, "wiki")["state"] == "running"
    assert typed(machine, " && ".join(by_hand.splitlines())).out.endswith("hello\n")
    machine.p2prc("kill", "wiki")


def test_lend_a_machine(lab):
    machine = lab.home1
    setting = blocks("lend-a-machine", "toml")[0]
    reload, owner, limits, watch, stop, drain, leave = blocks("lend-a-machine", "sh")
    machine.write("/etc/p2prc/p2prcd.toml", setting)
    typed(machine, reload)
    spin(machine, "mine", ["/usr/bin/sleep", "infinity"])
    spin(lab.root, "game", ["/usr/bin/sleep", "infinity"], node="home1")
    for line in owner.splitlines():
        typed(machine, line, shed="root")
    for line in limits.splitlines():
        typed(machine, line)
    assert "TasksMax=1024" in machine.run(["systemctl", "show", "-p", "TasksMax", "p2prc.slice"]).out
    owners, *tops = watch.splitlines()
    assert "256" in typed(machine, owners).out
    for line in tops:
        assert "game" in typed(machine, line.split("#")[0] + " -n 1", attic="home1").out
    typed(machine, stop.splitlines()[0])
    assert info(lab.root, "game")["state"] == "stopped"
    typed(machine, stop.splitlines()[1])
    for line in drain.splitlines():
        typed(machine, line, attic="home1", check=False)  # 1: something stays
    machine.write("/etc/p2prc/p2prcd.toml", setting.replace("sandboxed", "no"))
    typed(machine, reload)
    # The root learns of the setting with what the node says of itself.
    wait_until(lambda: spin(lab.root, "later", ["/usr/bin/sleep", "infinity"], node="home1", check=False).code != 0, 60, "a spin to be refused")
    typed(machine, leave)
    assert {process["name"] for process in machine.json("ps")} == {"mine"}
