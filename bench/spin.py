#!/usr/bin/env python3
"""Spinning a process here against systemd-run with the same properties: script/bench spin [ROUNDS].

On one machine of the lab, with the packages of dist/ (or $P2PRC_PACKAGES), as script/bench makes them. `p2prc spin --no-wait` returns when the
process runs; systemd-run waits for the job of a unit with the same lines, which are read from the unit of a process; with and without the
check of its ports. Rounds are interleaved and medians compared, less what it takes to get onto the machine; likewise starts
of a process that is deployed already and of one that has no deployer. Then, with 200 processes: `p2prc ps`,
spins and kills, with the processor time that each costs; and of each program that runs, its memory (PSS) and its wake-ups (voluntary
context switches) when nothing happens.
Needs root, for the lab.
"""

import os
import re
import statistics
import sys
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, f"{ROOT}/tests/lab")
sys.dont_write_bytecode = True

from lab import Lab  # noqa: E402

PROCESSES = 200
IDLE_SECONDS = 20
SETTLE_SECONDS = 10
COMMAND = ["/usr/bin/sleep", "infinity"]
# Lines of the unit that the peer has its own of.
NOT_COPIED = {"Description", "LogExtraFields", "ExecStart", "ExecCondition"}
# What keeps it to its ports also when systemd starts it again: it is in the drop-in, with the command.
CHECK = "ExecCondition="


def timed(machine, command):
    begin = time.monotonic()
    machine.run(command)
    return time.monotonic() - begin


class Peer:
    """systemd-run with the very lines that the unit of process `model` has."""

    def __init__(self, machine, model):
        self.model = model
        text = machine.run(["systemctl", "cat", f"p2prc-{model}.service"]).out
        lines = [line for line in text.splitlines() if "=" in line and not line.startswith(("#", "["))]
        # "BPFProgram=" alone is how systemd begins a list.
        self.lines = [line for line in lines if line.split("=")[0] not in NOT_COPIED and line != "BPFProgram="]
        self.check = next(line for line in lines if line.startswith(CHECK))

    def command(self, number, checked=False):
        lines = [*self.lines, *([self.check] if checked else [])]
        own = (re.sub(rf"\b{self.model}\b", f"peer{number}", line) for line in lines)
        return ["systemd-run", "--quiet", f"--unit=peer{number}", *(f"--property={line}" for line in own), *COMMAND]


def spin_times(machine, rounds):
    peer = Peer(machine, "first")
    times, entering = {"p2prc": [], "systemd-run": [], "checked": []}, []
    for number in range(rounds):
        name = f"bench{number}"
        commands = [("p2prc", ["p2prc", "spin", name, "--no-wait", "--", *COMMAND]), ("systemd-run", peer.command(number)),
                    ("checked", peer.command(number + rounds, checked=True))]
        for who, command in commands[number % 3:] + commands[:number % 3]:
            times[who].append(timed(machine, command))
        # What it costs to get onto the machine at all; no part of any.
        entering.append(timed(machine, ["true"]))
        machine.run(["p2prc", "kill", name])
        machine.run(["systemctl", "stop", f"peer{number}", f"peer{number + rounds}"])
    base = statistics.median(entering)
    mine, its, checked = (statistics.median(values) - base for values in times.values())
    print(f"spin to running: p2prc {mine * 1000:.1f} ms, systemd-run {its * 1000:.1f} ms, ratio {mine / its:.2f} (aim: at most 1.2; median of {rounds}); "
          f"systemd-run with the check of its ports, too: {checked * 1000:.1f} ms, ratio {mine / checked:.2f}")


def deploy_times(machine, rounds):
    """What is deployed already is found again at each start: beside one that has no deployer."""
    tables = f'[run]\ncommand = ["{COMMAND[0]}", "{COMMAND[1]}"]\n'
    machine.write("/root/deployed.toml", f'name = "deployed"\n[deploy]\nstrategy = "script"\nscript = "echo made >made"\n{tables}')
    machine.write("/root/plain.toml", f'name = "plain"\n{tables}')
    first = {name: timed(machine, ["p2prc", "spin", f"/root/{name}.toml", "--no-wait"]) for name in ("plain", "deployed")}
    starts = {"plain": [], "deployed": []}
    for number in range(rounds):
        for name in sorted(starts, reverse=number % 2):
            machine.run(["p2prc", "stop", name])
            starts[name].append(timed(machine, ["p2prc", "start", name, "--no-wait"]))
    again = {name: statistics.median(values) for name, values in starts.items()}
    print(f"a first deployment by a script of one line: {(first['deployed'] - first['plain']) * 1000:.0f} ms; what a second costs a start: "
          f"{(again['deployed'] - again['plain']) * 1000:.1f} ms, ratio {again['deployed'] / again['plain']:.2f} (aim: under 20 ms; median of {rounds})")
    for name in starts:
        machine.run(["p2prc", "kill", name])


def processor_ms(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e6


def seconds(text):
    """Of bash's times: 0m1.234s."""
    minutes, rest = text.rstrip("s").split("m")
    return int(minutes) * 60 + float(rest)


def list_times(machine):
    rounds = 21
    daemon = programs(machine)["p2prcd"]
    machine.run(f"for i in $(seq {PROCESSES}); do p2prc spin many$i --no-wait -- /usr/bin/sleep infinity || exit; done", timeout=400)
    assert len(machine.json("ps")) == PROCESSES
    for what, command, aim in (("ps of", "p2prc ps", " (aim: under 15)"),
                               ("ps -o json of", "p2prc ps -o json", " (aim: under 15)"),
                               ("a spin beside", "p2prc spin more$i --no-wait -- /usr/bin/sleep infinity", ""),
                               ("a kill beside", "p2prc kill more$i", "")):
        # Timed on the machine, by one shell and its own clock (bash(1), EPOCHREALTIME), so that only the command counts.
        loop = f"for i in $(seq {rounds}); do a=${{EPOCHREALTIME/./}}; {command} >/dev/null 2>&1 || exit; b=${{EPOCHREALTIME/./}}; echo $((b - a)); done; times"
        before = processor_ms(daemon)
        *times, _, children = machine.run(f"bash -c '{loop}'").out.splitlines()
        own = sum(map(seconds, children.split())) * 1e3 / rounds
        its = (processor_ms(daemon) - before) / rounds
        print(f"{what} {PROCESSES} processes: {statistics.median(map(int, times)) / 1e3:.1f} ms{aim}; "
              f"processor time of p2prc {own:.1f} ms, of p2prcd {its:.1f} ms")


def programs(machine):
    """The programs of ours on the machine: name -> process id, as the box numbers it."""
    space = os.readlink(f"/proc/{machine.leader[0]}/ns/pid")
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/comm", encoding="ascii") as file:
                name = file.read().strip()
            if name.startswith("p2prc") and os.readlink(f"/proc/{entry}/ns/pid") == space:
                found[name] = entry
        except OSError:
            continue
    return found


def pss(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:")) / 1024


def wake_ups(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as file:
            total += next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))
    return total


def idle(machine, when):
    # What was asked for before has its ends: reports, and what goes to the disk behind an answer.
    time.sleep(SETTLE_SECONDS)
    found = programs(machine)
    before = {name: wake_ups(pid) for name, pid in found.items()}
    time.sleep(IDLE_SECONDS)
    for name, pid in sorted(found.items()):
        rate = (wake_ups(pid) - before[name]) / IDLE_SECONDS
        print(f"idle, {when}: {name} {pss(pid):.1f} MB PSS, {rate:.2f} wake-ups a second (aims: under 15 MB, at most 2)")


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with Lab(["root"]) as lab:
        lab.install()
        lab.root.p2prc("spin", "first", "--", *COMMAND)
        spin_times(lab.root, rounds)
        deploy_times(lab.root, rounds)
        lab.root.p2prc("init", "--name", "root", "--domain", "home.example", "--public-ip", lab.root.address, "--acme", "none", timeout=120)
        lab.root.run("until systemctl -q is-active p2prc-edge p2prc-connector; do sleep 0.1; done", timeout=30)
        idle(lab.root, "one process")
        lab.root.p2prc("kill", "first")
        list_times(lab.root)
        idle(lab.root, f"{PROCESSES} processes")


if __name__ == "__main__":
    main()
