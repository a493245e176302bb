#!/usr/bin/env python3
"""Spinning a process here against systemd-run with the same properties: script/bench spin [ROUNDS].

On one machine of the lab, with the packages of dist/ (or $P2PRC_PACKAGES), as script/bench makes them. `p2prc spin --no-wait` returns when the
process runs; systemd-run waits for the job of a unit with the sandbox, limits and data directory that p2prcd sets (listed below by
hand). Rounds are interleaved and medians compared, less what it takes to get onto the machine; likewise starts
of a process that is deployed already and of one that has no deployer. Then, with 200 processes: `p2prc ps`,
spins and kills; and of each program that runs, its memory (PSS) and its wake-ups (voluntary context switches) when nothing happens.
Needs root, for the lab.
"""

import os
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
# What process/transient_unit.cpp sets for a process without limits, as systemd-run takes it.
PROPERTIES = """Type=exec KillMode=control-group TimeoutStopSec=30 Restart=on-failure RestartSec=1 StartLimitIntervalSec=60 StartLimitBurst=5 NotifyAccess=all
OOMPolicy=stop CollectMode=inactive Slice=p2prc.slice CPUAccounting=yes IOAccounting=yes MemoryAccounting=yes TasksAccounting=yes DynamicUser=yes NoNewPrivileges=yes
PrivateTmp=yes ProtectKernelTunables=yes ProtectKernelModules=yes ProtectKernelLogs=yes ProtectControlGroups=yes ProtectClock=yes
ProtectHostname=yes LockPersonality=yes RestrictRealtime=yes RestrictSUIDSGID=yes CapabilityBoundingSet= ProtectSystem=strict
ProtectHome=read-only SocketBindDeny=1-65535 ProtectProc=invisible PrivateDevices=yes RestrictNamespaces=cgroup SystemCallArchitectures=native
SystemCallFilter=@system-service SystemCallErrorNumber=EPERM
BPFProgram=bind4:/sys/fs/bpf/p2prc/bind4-none BPFProgram=bind6:/sys/fs/bpf/p2prc/bind6-none""".split()
# p2prcd has each start checked: without its BPF programs it would not be kept to its ports.
CHECK = "ExecCondition=+/usr/libexec/p2prc/p2prcd-ports --attach none"
FAMILIES = "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK"


def timed(machine, command):
    begin = time.monotonic()
    machine.run(command)
    return time.monotonic() - begin


def peer(number, *more):
    state = f"StateDirectory=p2prc-data/peer{number}"
    directory = f"WorkingDirectory=/var/lib/p2prc-data/peer{number}"
    return ["systemd-run", "--quiet", f"--unit=peer{number}", *(f"--property={text}" for text in (*PROPERTIES, FAMILIES, state, directory, *more)), *COMMAND]


def spin_times(machine, rounds):
    times, entering = {"p2prc": [], "systemd-run": [], "checked": []}, []
    for number in range(rounds):
        name = f"bench{number}"
        commands = [("p2prc", ["p2prc", "spin", name, "--no-wait", "--", *COMMAND]), ("systemd-run", peer(number)), ("checked", peer(number + rounds, CHECK))]
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


def list_times(machine):
    machine.run(f"for i in $(seq {PROCESSES}); do p2prc spin many$i --no-wait -- /usr/bin/sleep infinity || exit; done", timeout=400)
    assert len(machine.json("ps")) == PROCESSES
    for what, command, aim in (("ps of", "p2prc ps", " (aim: under 20)"),
                               ("ps -o json of", "p2prc ps -o json", " (aim: under 20)"),
                               ("a spin beside", "p2prc spin more$i --no-wait -- /usr/bin/sleep infinity", ""),
                               ("a kill beside", "p2prc kill more$i", "")):
        # Timed on the machine, by one shell and its own clock (bash(1), EPOCHREALTIME), so that only the command counts.
        loop = f"for i in $(seq 21); do a=${{EPOCHREALTIME/./}}; {command} >/dev/null 2>&1 || exit; b=${{EPOCHREALTIME/./}}; echo $((b - a)); done"
        out = machine.run(f"bash -c '{loop}'").out
        print(f"{what} {PROCESSES} processes: {statistics.median(map(int, out.split())) / 1e3:.1f} ms{aim}")


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
        print(f"idle, {when}: {name} {pss(pid):.1f} MB PSS, {rate:.2f} wake-ups a second (aims: under 15 MB, about 1)")


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
